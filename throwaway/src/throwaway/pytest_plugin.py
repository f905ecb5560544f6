"""The pytest plugin: a cluster as a fixture, and tests that are skipped where a cluster lacks what they need.

    def test_echo(throwaway_cluster):
        throwaway_cluster.apply("echo.yaml")

    @pytest.mark.needs_capability("exec", nodes=2)
    def test_rules(throwaway_cluster): ...

The cluster is a new one, unless an option or the environment names one that runs.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from throwaway import Cluster, ThrowawayError

_OPTIONS = (
    ("cluster-name", "THROWAWAY_CLUSTER", "the cluster's name; without it a new one is started for this run"),
    ("provider", "THROWAWAY_PROVIDER", "where it comes from: embedded (default), kind or existing"),
    ("context", "THROWAWAY_CONTEXT", "the context of your kubeconfig, for the provider existing"),
    ("nodes", "THROWAWAY_NODES", "how many nodes a new cluster has (default 3)"),
    ("proxy-mode", "THROWAWAY_PROXY_MODE", "kube-proxy's mode in a new cluster: nftables (default) or iptables"),
)
"""Options that take a value: name, the environment variable that has it otherwise, help."""

_FULFILLED = pytest.StashKey[set[str]]()
"""The capabilities that this run's cluster was found to have: each is asked for once."""
"""The needs of tests that were found fulfilled in this session."""
_MARKER = (
    "needs_capability(*names, nodes=1): skip the test, and say why, where the throwaway cluster lacks one of these"
    " capabilities (throwaway.capabilities.CAPABILITIES) or has fewer nodes"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("throwaway", "throwaway Kubernetes cluster")
    for name, variable, help_text in _OPTIONS:
        group.addoption(f"--throwaway-{name}", metavar=name.upper(), help=f"{help_text}; else ${variable}")
    group.addoption("--throwaway-keep", action="store_true", help="leave a new cluster running; else $THROWAWAY_KEEP")


def pytest_configure(config: pytest.Config) -> None:
    """Add the marker."""
    config.addinivalue_line("markers", _MARKER)


def _settings(config: pytest.Config) -> dict[str, str]:
    """What the options say, else the environment; '' for what nothing says."""
    return {
        name: config.getoption(f"--throwaway-{name}") or os.environ.get(variable, "") for name, variable, _ in _OPTIONS
    }


@pytest.fixture(scope="session")
def throwaway_cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A running Kubernetes cluster: that of the given name, of a `throwaway shell`, or a new one.

    One that ran before stays; a new one ends with the session unless it is to be kept.
    """
    settings = _settings(request.config)
    chosen: dict[str, Any] = {"provider": settings["provider"] or None, "context": settings["context"]}
    try:
        if settings["nodes"]:
            chosen["nodes"] = _number(settings["nodes"])
        if settings["proxy-mode"]:
            chosen["proxy_mode"] = settings["proxy-mode"]
        cluster = _start(settings["cluster-name"], chosen, request.config)
    except ThrowawayError as error:
        pytest.fail(f"throwaway: {error}", pytrace=False)
    with cluster:
        yield cluster


def _start(name: str, chosen: dict[str, Any], config: pytest.Config) -> Cluster:
    where = {"provider": chosen["provider"], "context": chosen["context"]}
    if name and chosen == where and (found := Cluster.find(name, **where)):
        return found  # with the settings that it has
    # Workers of pytest-xdist are processes of their own: none may end what another one uses.
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    name = name or f"pytest-{os.getpid()}"
    keep = config.getoption("--throwaway-keep") or bool(os.environ.get("THROWAWAY_KEEP"))
    return Cluster.up(f"{name}-{worker}" if worker else name, keep=keep, **chosen)


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ThrowawayError(f"--throwaway-nodes takes a number, not {text!r}") from None


@pytest.fixture(autouse=True)
def _throwaway_needs_capability(request: pytest.FixtureRequest) -> None:
    """Skip a marked test where the cluster lacks what it needs."""
    # To ask how many nodes there are takes a tenth of a second of processor time, too much before each of many tests.
    fulfilled = request.config.stash.setdefault(_FULFILLED, set())
    for marker in request.node.iter_markers("needs_capability"):
        if (need := repr(marker)) in fulfilled:
            continue
        cluster: Cluster = request.getfixturevalue("throwaway_cluster")
        try:
            reason = cluster.lacks(*marker.args, **marker.kwargs)
        except ThrowawayError as error:
            pytest.fail(f"throwaway: {error}", pytrace=False)
        if reason:
            pytest.skip(reason)
        fulfilled.add(need)
