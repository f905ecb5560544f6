"""Clusters of other people's making: nothing is done to one without its owner's mark, whatever a kubeconfig says."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from command_line import CommandLine, eventually
from production import MARK_PATH, NAMESPACE_PATH, UID, Production, production, write_kubeconfig
from throwaway import Cluster, ThrowawayError
from throwaway.kubectl import refuse_other_targets

CONTEXT = "arn:aws:eks:eu-west-1:1:cluster/live"
READ_ONLY = {f"GET {NAMESPACE_PATH}", f"GET {MARK_PATH}"}
"""All that may be asked of a cluster before its mark is known."""


@pytest.fixture
def live() -> Iterator[Production]:
    with production() as served:
        yield served


@pytest.fixture
def other() -> Iterator[Production]:
    with production() as served:
        yield served


@pytest.fixture
def kubeconfig(live: Production, other: Production, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two contexts; the current one is not that of the test."""
    for variable in ("THROWAWAY_CLUSTER", "THROWAWAY_CONTEXT", "THROWAWAY_PROVIDER"):
        monkeypatch.delenv(variable, raising=False)
    path = write_kubeconfig(tmp_path / "config", {CONTEXT: live.address, "prod": other.address}, current="prod")
    monkeypatch.setenv("KUBECONFIG", str(path))
    return path


def find() -> Cluster:
    return Cluster.find_or_fail(provider="existing", context=CONTEXT)


@pytest.mark.parametrize(
    "arguments",
    [
        ("shell", "--", "touch", "was-run"),
        ("kubectl", "--", "delete", "namespace", "default"),
        ("kubeconfig",),
        ("exec", "node", "--", "reboot"),
        ("down",),
    ],
    ids=lambda arguments: arguments[0],
)
def test_each_command_refuses_a_context_that_is_not_marked(
    throwaway: CommandLine,
    arguments: tuple[str, ...],
    kubeconfig: Path,
    live: Production,
    other: Production,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = throwaway(arguments[0], "--provider", "existing", "--context", CONTEXT, *arguments[1:])
    assert done.returncode == 1
    assert done.stderr == (
        f"throwaway: context '{CONTEXT}' ({live.address}) is not marked as throwaway, so nothing is done to it;"
        f" if it is yours and may be destroyed: 'throwaway adopt --context {CONTEXT}'\n"
    )
    assert live.asked == {f"GET {MARK_PATH}"}
    assert other.requests == []
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize("get", [Cluster.up, Cluster.find, Cluster.find_or_fail])
def test_the_python_api_refuses_it_likewise(get: Callable[..., Cluster], kubeconfig: Path, live: Production) -> None:
    with pytest.raises(ThrowawayError, match="is not marked as throwaway"):
        get(provider="existing", context=CONTEXT)
    assert live.asked <= READ_ONLY


def test_the_current_context_is_never_taken_for_want_of_another(
    kubeconfig: Path, live: Production, other: Production
) -> None:
    other.mark()
    with pytest.raises(ThrowawayError, match="give --context NAME"):
        Cluster.find(provider="existing")
    with pytest.raises(ThrowawayError, match="there is no context 'misspelt'"):
        Cluster.find(provider="existing", context="misspelt")
    assert (live.requests, other.requests) == ([], [])


@pytest.mark.parametrize(
    ("uid", "server", "until", "complaint"),
    [
        ("22222222-2222-2222-2222-222222222222", "", "2999-01-01T00:00:00+00:00", "was made for another cluster"),
        (UID, "https://elsewhere:6443", "2999-01-01T00:00:00+00:00", "was made for https://elsewhere:6443, not http"),
        (UID, "", "2020-01-01T00:00:00+00:00", "ended at 2020-01-01 00:00 UTC"),
        (UID, "", "for ever", "cannot be read"),
    ],
    ids=["restored backup", "other address", "expired", "unreadable"],
)
def test_a_mark_that_does_not_count_is_refused(
    uid: str, server: str, until: str, complaint: str, kubeconfig: Path, live: Production
) -> None:
    live.mark(uid, server, until)
    with pytest.raises(ThrowawayError, match=complaint) as refused:
        find()
    assert f"'throwaway adopt --context {CONTEXT}' marks it anew" in str(refused.value)
    assert live.asked <= READ_ONLY


def test_a_valid_mark_is_accepted(kubeconfig: Path, live: Production) -> None:
    live.mark()
    assert find().name == CONTEXT
    assert live.asked == READ_ONLY


def test_a_mark_that_ends_while_the_cluster_is_used_stops_it(kubeconfig: Path, live: Production) -> None:
    until = datetime.now(UTC) + timedelta(seconds=3)
    live.mark(until=until.isoformat())
    found = find()
    eventually(lambda: datetime.now(UTC) > until, "the mark has ended")
    asked = len(live.requests)
    with pytest.raises(ThrowawayError, match="ended at"):
        found.kubectl(["delete", "namespace", "default"])
    assert len(live.requests) == asked


def test_a_refusal_to_read_the_mark_counts_as_none(kubeconfig: Path, live: Production) -> None:
    live.refusal = 403
    with pytest.raises(ThrowawayError, match=r"whether context .* is marked cannot be seen"):
        find()
    assert live.asked <= READ_ONLY


def test_a_config_map_of_somebody_elses_is_no_mark(throwaway: CommandLine, kubeconfig: Path, live: Production) -> None:
    live.mark()
    live.objects[MARK_PATH]["metadata"] = {}
    with pytest.raises(ThrowawayError, match="is not throwaway's; nothing is done to it"):
        find()
    for option in ([], ["--release"]):
        assert throwaway("adopt", "--yes", *option, "--context", CONTEXT).returncode == 1
    assert live.asked <= READ_ONLY


def test_of_several_kubeconfig_files_only_the_context_is_taken(
    live: Production, other: Production, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write_kubeconfig(tmp_path / "first", {"prod": other.address}, current="prod")
    second = write_kubeconfig(tmp_path / "second", {CONTEXT: live.address, "stage": other.address}, current="stage")
    monkeypatch.setenv("KUBECONFIG", f"{first}:{tmp_path / 'not-there'}:{second}")
    live.mark()
    found = find()
    taken = json.loads(found.kubeconfig.read_text())
    assert [context["name"] for context in taken["contexts"]] == [taken["current-context"]] == [CONTEXT]
    assert [cluster["cluster"]["server"] for cluster in taken["clusters"]] == [live.address]
    assert found.kubeconfig.stat().st_mode & 0o077 == 0
    assert found.environment["KUBECONFIG"] == str(found.kubeconfig)
    assert other.requests == []


def test_credential_plugins_of_other_contexts_are_not_run(
    live: Production, other: Production, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "touch",
            "args": [str(tmp_path / "plugin-was-run")],
            "interactiveMode": "Never",
        }
    }
    # Without TLS kubectl gives no credentials, and asks no plugin for them.
    contexts = {CONTEXT: live.address, "prod": other.address.replace("http:", "https:")}
    path = write_kubeconfig(tmp_path / "config", contexts, current="prod", users={"prod": plugin})
    monkeypatch.setenv("KUBECONFIG", str(path))
    live.mark()
    assert find().name == CONTEXT
    assert not (tmp_path / "plugin-was-run").exists()
    with pytest.raises(ThrowawayError):  # the plugin works: it is run for its own context
        Cluster.find(provider="existing", context="prod")
    assert (tmp_path / "plugin-was-run").exists()


@pytest.mark.parametrize(
    "options",
    [
        "--context=prod",
        "--kubeconfig=/root/.kube/config",
        "--server=http://x",
        "-s http://x",
        "-s=http://x",
        "-shttp://x",
        "-As http://x",
        "-ARwshttp://x",
        "-fs http://x logs",
    ],
)
def test_kubectl_is_not_led_elsewhere_by_options(options: str, kubeconfig: Path, live: Production) -> None:
    live.mark()
    found = find()
    asked = len(live.requests)
    with pytest.raises(ThrowawayError, match="leads to another cluster"):
        found.kubectl(["delete", "namespace", "default", *options.split()])
    assert len(live.requests) == asked


def test_an_s_in_the_value_of_a_short_option_is_no_server() -> None:
    refuse_other_targets(["get", "-ojson", "-nkube-system", "-fservice.yaml", "-lapp=s", "-v6", "--", "-s"])


@pytest.mark.parametrize("typed", ["", "prod\n", "y\n"])
def test_adopt_does_nothing_unless_the_contexts_name_is_typed(typed: str, kubeconfig: Path, live: Production) -> None:
    for path in ("/api/v1/nodes", "/api/v1/namespaces"):
        live.objects[path] = {"items": [{}, {}]}
    command = [sys.executable, "-m", "throwaway", "adopt", "--context", CONTEXT]
    done = subprocess.run(command, input=typed, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"{live.address}, 2 nodes, 2 namespaces, cluster {UID}" in done.stdout
    assert all(request.startswith("GET ") for request in live.requests)


def test_release_of_a_context_without_a_mark_deletes_nothing(
    throwaway: CommandLine, kubeconfig: Path, live: Production
) -> None:
    done = throwaway("adopt", "--release", "--yes", "--context", CONTEXT)
    assert done.stdout == f"Context '{CONTEXT}' has no mark.\n"
    assert live.asked <= READ_ONLY


def test_an_environment_that_pretends_to_be_a_shell_is_found_out(
    throwaway: CommandLine, cluster_name: str, live: Production, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A production context that is called as a throwaway cluster which runs, with all variables to match."""
    kubeconfig = write_kubeconfig(tmp_path / "config", {cluster_name: live.address}, current=cluster_name)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    monkeypatch.setenv("THROWAWAY_CLUSTER", cluster_name)
    monkeypatch.delenv("THROWAWAY_PROVIDER", raising=False)
    with pytest.raises(ThrowawayError, match="is not the kubeconfig of cluster"):
        Cluster.of_shell()
    tests = [sys.executable, "-m", "pytest", "-m", "cluster", "-p", "no:cacheprovider", "tests/test_pages.py"]
    done = subprocess.run(tests, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "is not the kubeconfig of cluster" in done.stderr
    assert live.requests == []


def test_a_real_cluster_is_adopted_used_and_released(
    throwaway: CommandLine, cluster_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config"
    path.write_text(throwaway("kubeconfig", "--name", cluster_name).stdout)
    monkeypatch.setenv("KUBECONFIG", str(path))
    options = ("--provider", "existing", "--context", cluster_name)
    assert throwaway("shell", *options, "--", "true").returncode == 1
    adopted = throwaway("adopt", "--yes", "--context", cluster_name)
    assert adopted.returncode == 0, adopted.stderr
    try:
        with Cluster.up(provider="existing", context=cluster_name) as cluster:
            assert [node.name for node in cluster.nodes] == ["control-plane", "worker1", "worker2"]
            assert "not be run on the nodes of an adopted cluster" in cluster.lacks("exec")
            assert "this machine does not reach its node at 172.30.0.11" in cluster.lacks("node-network")
            assert {"ipv4"} <= cluster.capabilities
            config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine"}}
            assert cluster.apply(config_map) == "configmap/mine created\n"
            cluster.delete(config_map)
            with pytest.raises(ThrowawayError, match="is its owner's and is not ended here"):
                cluster.down()
        probe = f"from throwaway import Cluster; print(Cluster.of_shell().name, {os.getpid()})"
        inside = throwaway("shell", *options, "--", sys.executable, "-c", probe)
        assert inside.stdout == f"{cluster_name} {os.getpid()}\n", inside.stderr
        again = throwaway("adopt", "--yes", "--days", "1", "--context", cluster_name)
        assert again.returncode == 0, again.stderr
    finally:
        released = throwaway("adopt", "--yes", "--release", "--context", cluster_name)
    assert released.stdout == f"Context '{cluster_name}' is released.\n"
    assert throwaway("kubectl", *options, "--", "get", "nodes").returncode == 1
