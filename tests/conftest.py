"""What all tests share: pages as arguments, tests that need a cluster and who may use it when, fences not run.

With pytest-xdist (-n 3 --dist loadgroup) tests share a cluster at the same time: each has a namespace of its own. A
test that is marked `disturbs` has the cluster to itself.
"""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import recording
import sharing
from cluster_mode import mode_of
from fences.selection import take_pages
from live.fences import KUBECTL
from throwaway import Cluster, ThrowawayError
from throwaway.plan import ProxyMode


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--proof-results", type=Path, metavar="FILE", help="write there what becomes of the pages' claims")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cluster: needs a throwaway cluster, so runs under `throwaway shell`")
    config.addinivalue_line("markers", "disturbs: changes Nodes for a while; nothing else may run beside it")
    config.addinivalue_line("markers", "once: has nothing to do with kube-proxy's mode, so is run in one of them")
    config.addinivalue_line("markers", "proof(*claims, control, mode): proves claims of pages, see tests/proofs")
    take_pages(config)
    if file := config.getoption("--proof-results"):
        config.pluginmanager.register(recording.Recorder(file))


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what takes longest first, and what disturbs others in the end, when nobody has to wait for it."""
    for item in items:
        if item.get_closest_marker("disturbs"):
            item.add_marker(pytest.mark.xdist_group("disturbs"))
    groups = {item: marker.args[0] for item in items if (marker := item.get_closest_marker("xdist_group"))}
    sizes = Counter(groups.values())
    items.sort(key=lambda item: (groups.get(item) == "disturbs", -sizes[groups.get(item, "")]))


@pytest.fixture(autouse=True)
def _share(request: pytest.FixtureRequest) -> Iterator[None]:
    """Keep tests from disturbing each other."""
    if not request.node.get_closest_marker("cluster"):
        yield
        return
    alone = request.node.get_closest_marker("disturbs") is not None
    with sharing.turn(Cluster.of_shell().kubeconfig, alone):
        yield


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to start without a cluster if a chosen test needs one: it must not look as if it had passed."""
    need_one = [item for item in session.items if item.get_closest_marker("cluster")]
    problem = _problem_with_cluster() if need_one and not session.config.option.collectonly else None
    if problem:
        raise pytest.UsageError(
            f"{problem}. Start a cluster with `throwaway up` and run the tests by "
            "`throwaway shell -- pytest …`, or leave out those that need one with -m 'not cluster'"
        )


@pytest.fixture(scope="session")
def proxy_mode(throwaway_cluster: Cluster) -> ProxyMode:
    """Kube-proxy's mode."""
    return mode_of(throwaway_cluster)


@pytest.fixture(scope="session")
def built_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site, as it is published."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run([sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", f"--site-dir={folder}"], check=True)
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the fences that were not run, each with its reason."""
    skipped = terminalreporter.stats.get("skipped", [])
    of_pages = [report for report in skipped if "test_pages.py" in report.nodeid]
    if of_pages:
        terminalreporter.section("fences not run")
    listed: set[tuple[str, str]] = set()
    for report in of_pages:
        fence = report.nodeid.partition("[")[2].partition("]")[0]  # pytest-xdist writes its group behind
        reason = report.longrepr[2].removeprefix("Skipped: ")
        same = (fence.removesuffix(f" {KUBECTL}"), reason)  # whichever reader comes to it
        if same not in listed:
            terminalreporter.line(f"{fence}: {reason}")
        listed.add(same)


def _problem_with_cluster() -> str | None:
    """Why tests cannot use the cluster of KUBECONFIG, if so. None but a throwaway one is ever touched."""
    try:
        Cluster.of_shell().kubectl(["get", "--raw", "/readyz"])
    except ThrowawayError as error:
        return str(error)
    return None
