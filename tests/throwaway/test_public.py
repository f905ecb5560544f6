"""The Python API and the pytest plugin on a real cluster, used as a stranger's project would."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import CommandLine
from throwaway import Cluster, CommandFailedError, ThrowawayError, cache, images, sandbox

CACHE = str(cache.folder())
SCRIPT = "echo hi; sleep 600"
HELLO = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "hello"},
    "spec": {
        "selector": {"matchLabels": {"app": "hello"}},
        "template": {
            "metadata": {"labels": {"app": "hello"}},
            "spec": {"containers": [{"name": "hello", "image": "localhost/toolbox:1", "args": ["sh", "-c", SCRIPT]}]},
        },
    },
}  # fmt: skip


@pytest.fixture
def cluster(cluster_name: str) -> Cluster:
    return Cluster.find_or_fail(cluster_name, provider="embedded")


def test_importing_the_package_imports_nothing_else() -> None:
    code = (
        "import sys, throwaway; print(sorted(m for m in sys.modules if m.startswith('throwaway.')));"
        "throwaway.Cluster; heavy = {'yaml', 'cryptography', 'click', 'rich', 'throwaway.build', 'throwaway.sandbox'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n[]\n"


def test_without_linux_the_api_says_what_to_do_and_kind_is_still_there() -> None:
    """Windows has neither of these modules."""
    code = (
        "import sys; sys.modules.update(fcntl=None, pwd=None, resource=None)\n"
        "from throwaway import Cluster, ThrowawayError\n"
        "import throwaway.pytest_plugin, throwaway.providers.kind, throwaway.providers.existing\n"
        "try: Cluster.find('x')\n"
        "except ThrowawayError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("the embedded cluster needs Linux"), done.stderr
    assert done.stdout.endswith("choose the provider kind\n")


def test_objects_are_applied_waited_for_read_and_deleted(cluster: Cluster) -> None:
    cluster.apply(HELLO)
    cluster.wait("deployment/hello", "condition=Available")
    assert cluster.logs("deployment/hello") == "hi\n"
    deployments = cluster.kubectl(["get", "deployments", "-o", "json"])["items"]
    assert [each["metadata"]["name"] for each in deployments] == ["hello"]
    cluster.delete(HELLO)
    assert cluster.kubectl(["get", "deployments", "-o", "name"]) == ""
    cluster.delete(HELLO)  # what is gone is no error


def test_a_refused_command_raises_with_its_code_and_output(cluster: Cluster) -> None:
    with pytest.raises(CommandFailedError, match=r"'kubectl get pod nobody' failed: Error from server \(NotFound\)"):
        cluster.kubectl(["get", "pod", "nobody"])
    with pytest.raises(CommandFailedError) as failed:
        cluster.exec("worker1", ["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert (failed.value.returncode, failed.value.stdout, failed.value.stderr) == (7, "out\n", "err\n")
    with pytest.raises(ThrowawayError, match="'sleep 60' had not ended after 1 s"):
        cluster.shell(["sleep", "60"], timeout=1)


def test_shell_reaches_the_nodes_and_exec_runs_on_one(cluster: Cluster) -> None:
    control_plane = cluster.nodes[0]
    assert cluster.shell(["curl", "-sk", f"https://{control_plane.address}:6443/readyz"]) == "ok"
    assert cluster.exec("worker2", ["hostname"]) == "worker2\n"
    with pytest.raises(ThrowawayError, match="its nodes are control-plane, worker1, worker2"):
        cluster.exec("worker9", ["true"])


def test_what_has_ended_meanwhile_is_said_in_one_line(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    with pytest.raises(ThrowawayError, match="true cannot be run on a node: the node has ended"):
        sandbox.output_on_node(ended.pid, ["true"])
    monkeypatch.setattr(sandbox, "enter_network", lambda _: os.pidfd_open(ended.pid))
    with pytest.raises(ThrowawayError, match=f"cluster {cluster.name!r} has ended"):
        cluster.shell(["true"])


def test_capabilities_are_those_of_the_cluster(cluster: Cluster) -> None:
    assert {"exec", "load", "node-network", "ipv4"} <= cluster.capabilities
    ranges = cluster.kubectl(["get", "servicecidr", "kubernetes", "-o", "json"])["spec"]["cidrs"]
    one_family_only = "" if len(ranges) == 2 else f"one family only, their range is {ranges[0]}"
    assert cluster.lacks("dual-stack").endswith(one_family_only)
    assert ("dual-stack" in cluster.capabilities) == (not one_family_only)
    assert cluster.lacks("exec", nodes=3) == ""
    assert cluster.lacks("exec", nodes=4) == f"cluster {cluster.name!r} has 3 nodes, 4 are needed"
    with pytest.raises(ThrowawayError, match="there is no capability 'exce'; there are exec, load"):
        cluster.lacks("exce")


def test_an_image_tar_is_loaded_into_every_node(cluster: Cluster, tmp_path: Path) -> None:
    reference = f"localhost/loaded:{os.getpid()}"
    images.write(images.Image(reference, (images.File("/hello", b"hello"),)), tmp_path / "image.tar")
    cluster.load(tmp_path / "image.tar")
    for node in cluster.nodes:
        listed = cluster.exec(node.name, ["ctr", "--namespace", "k8s.io", "images", "list", "--quiet"])
        assert reference in listed.split()
    with pytest.raises(ThrowawayError, match="there is no image tar"):
        cluster.load(tmp_path / "not-there.tar")


def test_a_block_ends_the_cluster_that_it_started_and_no_other(throwaway: CommandLine) -> None:
    name = f"block-{os.getpid()}"
    throwaway.started.add(name)
    steps: list[str] = []
    with Cluster.up(name, nodes=1, provider="embedded", report=steps.append) as outer:
        with Cluster.up(name, nodes=1, provider="embedded") as inner:
            assert inner.name == name
        assert outer.kubectl(["get", "--raw", "/readyz"]) == "ok", "it ran before the inner block"
        assert throwaway("up", "--new", "--name", name, "--nodes", "1").returncode == 1
        with pytest.raises(ThrowawayError, match="is running with --nodes 1, not with --nodes 2"):
            Cluster.up(name, nodes=2, provider="embedded")
    assert sandbox.find(name) is None
    assert "starting the nodes" in steps
    assert Cluster.find(name, provider="embedded") is None
    with pytest.raises(ThrowawayError, match=f"start it with 'throwaway up --name {name}'"):
        Cluster.find_or_fail(name, provider="embedded")


# The plugin


@pytest.fixture(autouse=True)
def built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pytester gives its tests a home folder of their own, in which nothing is built."""
    monkeypatch.setenv("THROWAWAY_CACHE", CACHE)


def test_the_plugin_gives_tests_the_named_cluster_and_skips_with_the_reason(
    pytester: pytest.Pytester, cluster_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("THROWAWAY_PROVIDER", raising=False)
    pytester.makepyfile("""
        import pytest

        def test_it(throwaway_cluster):
            assert throwaway_cluster.kubectl(["get", "--raw", "/readyz"]) == "ok"

        @pytest.mark.needs_capability("exec", nodes=3)
        def test_exec(throwaway_cluster):
            assert throwaway_cluster.exec("worker1", ["hostname"]) == "worker1\\n"

        @pytest.mark.needs_capability("exec", nodes=21)
        def test_many_nodes():
            raise AssertionError("not to be run")

        @pytest.mark.needs_capability("misspelt")
        def test_misspelt(): ...
    """)
    result = pytester.runpytest_subprocess("-rs", f"--throwaway-cluster-name={cluster_name}")
    result.assert_outcomes(passed=2, skipped=1, errors=1)
    result.stdout.fnmatch_lines(["*has 3 nodes, 21 are needed*"])
    result.stdout.fnmatch_lines(["*there is no capability 'misspelt'*"])
    assert Cluster.find(cluster_name, provider="embedded"), "it ran before, so it stays"


def test_the_plugin_starts_a_cluster_by_the_environment_and_ends_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("THROWAWAY_CLUSTER", "THROWAWAY_PROVIDER"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("THROWAWAY_NODES", "1")
    pytester.makepyfile("""
        from pathlib import Path

        def test_it(throwaway_cluster):
            assert len(throwaway_cluster.nodes) == 1
            Path("name").write_text(throwaway_cluster.name)
    """)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1)
    name = (pytester.path / "name").read_text()
    assert name.startswith("pytest-")
    assert sandbox.find(name) is None


def test_the_plugin_says_in_one_line_why_there_is_no_cluster(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THROWAWAY_PROVIDER", "minikube")
    pytester.makepyfile("def test_it(throwaway_cluster): ...")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["throwaway: there is no provider 'minikube'; choose embedded, kind, existing"])
