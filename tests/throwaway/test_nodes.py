"""Nodes that come, die, come back and go, on a real cluster."""

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from command_line import CommandLine, eventually
from throwaway import Cluster, ThrowawayError
from throwaway.cluster import find_or_fail
from throwaway.components import PLAN

AGNHOST = "registry.k8s.io/e2e-test-images/agnhost:2.66.1"


@pytest.fixture(scope="module")
def name(throwaway: CommandLine) -> Iterator[str]:
    """A cluster of two nodes; what a test adds to it, it takes away."""
    name = f"nodes-{os.getpid()}"
    done = throwaway("up", "--name", name, "--nodes", "2", "--no-load-balancer")
    assert done.returncode == 0, done.stderr
    yield name
    throwaway("down", "--name", name)


def kubectl(throwaway: CommandLine, name: str, *arguments: str) -> str:
    """Run kubectl beside the nodes; fails on an error."""
    done = throwaway("shell", "--name", name, "--", "kubectl", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ready_nodes(throwaway: CommandLine, name: str) -> list[str]:
    """The names of the Nodes that are Ready."""
    items = json.loads(kubectl(throwaway, name, "get", "nodes", "--output=json"))["items"]
    return sorted(
        item["metadata"]["name"]
        for item in items
        if any(each["type"] == "Ready" and each["status"] == "True" for each in item["status"]["conditions"])
    )


def test_a_pod_of_an_added_node_and_one_of_an_old_node_reach_each_other(throwaway: CommandLine, name: str) -> None:
    added = throwaway("node", "add", "--name", name, "extra")
    assert added.returncode == 0, added.stderr
    assert ready_nodes(throwaway, name) == ["control-plane", "extra", "worker1"]
    pods = {"on-extra": "extra", "on-worker1": "worker1"}
    for pod, node in pods.items():
        placed = f'--overrides={{"spec": {{"nodeName": "{node}"}}}}'
        kubectl(
            throwaway,
            name,
            "run",
            pod,
            f"--image={AGNHOST}",
            placed,
            "--",
            "netexec",
        )
    kubectl(throwaway, name, "wait", "--for=condition=Ready", "--timeout=60s", *(f"pod/{pod}" for pod in pods))
    for pod in pods:
        other = next(each for each in pods if each != pod)
        address = kubectl(throwaway, name, "get", "pod", other, "--output=jsonpath={.status.podIP}")
        answer = kubectl(throwaway, name, "exec", pod, "--", "/agnhost", "connect", f"{address}:8080", "--timeout=5s")
        assert answer == ""
    kubectl(throwaway, name, "delete", "--now", "pod", *pods)
    assert throwaway("node", "delete", "--name", name, "extra").returncode == 0
    assert ready_nodes(throwaway, name) == ["control-plane", "worker1"]
    assert "extra" not in throwaway("exec", "--name", name, "worker1", "--", "ip", "route").stdout


def test_a_stopped_node_is_off_for_others_and_comes_back_ready(throwaway: CommandLine, name: str) -> None:
    ping = (
        "exec",
        "--name",
        name,
        "control-plane",
        "--",
        "curl",
        "-sk",
        "-m",
        "2",
        "https://172.30.0.12:10250/healthz",
    )
    assert throwaway(*ping).returncode == 0
    stopped = throwaway("node", "stop", "--name", name, "--output", "json", "worker1")
    assert json.loads(stopped.stdout) == {"name": "worker1", "is_deleted": False}
    assert throwaway(*ping).returncode != 0
    assert "worker1" in throwaway("status").stdout
    refused = throwaway("exec", "--name", name, "worker1", "--", "true")
    assert refused.stderr.endswith(f"'throwaway node start --name {name} worker1' brings a worker back\n")
    started = throwaway("node", "start", "--name", name, "worker1")
    assert started.returncode == 0, started.stderr
    assert ready_nodes(throwaway, name) == ["control-plane", "worker1"]
    assert throwaway(*ping).returncode == 0


def test_a_deployment_runs_again_on_the_node_that_came_back(throwaway: CommandLine, name: str) -> None:
    kubectl(throwaway, name, "create", "deployment", "echo", f"--image={AGNHOST}", "--", "/agnhost", "netexec")
    kubectl(throwaway, name, "rollout", "status", "deployment/echo", "--timeout=60s")
    throwaway("node", "stop", "--name", name, "worker1")
    throwaway("node", "start", "--name", name, "worker1")

    def answers() -> bool:
        address = kubectl(throwaway, name, "get", "pods", "-l=app=echo", "--output=jsonpath={.items[0].status.podIP}")
        curl = (
            "exec",
            "--name",
            name,
            "control-plane",
            "--",
            "curl",
            "-s",
            "-m",
            "2",
            f"http://{address}:8080/hostname",
        )
        return throwaway(*curl).stdout.startswith("echo-")

    eventually(answers, "the Pod answers again", 90)
    kubectl(throwaway, name, "delete", "--now", "deployment/echo")


@pytest.mark.parametrize("action", ["stop", "delete"])
def test_the_control_plane_cannot_be_taken_away(throwaway: CommandLine, name: str, action: str) -> None:
    done = throwaway("node", action, "--name", name, "control-plane")
    assert done.returncode == 1
    assert done.stderr == (
        f"throwaway: control-plane holds the cluster's data; 'throwaway down --name {name}' ends all of the cluster\n"
    )


def test_a_name_that_is_taken_is_refused(throwaway: CommandLine, name: str) -> None:
    done = throwaway("node", "add", "--name", name, "worker1")
    assert done.stderr.endswith("has a machine 'worker1' already; choose another name\n")


def test_a_node_whose_adding_was_killed_is_made_whole_by_starting_it(throwaway: CommandLine, name: str) -> None:
    adding = throwaway.start("node", "add", "--name", name, "half")
    cluster = find_or_fail(name)
    eventually(lambda: cluster.sandbox.has_node("half"), "the machine is there", 30)
    os.killpg(adding.pid, signal.SIGKILL)
    adding.communicate()
    started = throwaway("node", "start", "--name", name, "half")
    assert started.returncode == 0, started.stderr
    assert "half" in ready_nodes(throwaway, name)
    subnet = find_or_fail(name).plan.node("half").pod_subnets[0]
    assert subnet in throwaway("exec", "--name", name, "worker1", "--", "ip", "route").stdout
    assert throwaway("node", "delete", "--name", name, "half").returncode == 0


def test_whoever_gives_an_impossible_command_is_answered_at_once(name: str) -> None:
    with pytest.raises(ThrowawayError, match=r"could not start 'nobody': ThrowawayError: .* another version"):
        find_or_fail(name).sandbox.tell(do="start", host="nobody", plan={})


def test_whoever_reads_the_plan_while_it_changes_sees_a_whole_one(name: str) -> None:
    cluster = find_or_fail(name)
    path = f"{cluster.sandbox.root}{PLAN}"
    with open(path) as reader:
        before = Path(path).read_text()
        cluster.sandbox.tell(do="end", host="nobody", plan=asdict(cluster.plan) | {"feature_gates": {"New": True}})
        assert reader.read() == before
    assert find_or_fail(name).plan.feature_gates == {"New": True}
    cluster.sandbox.tell(do="end", host="nobody", plan=asdict(cluster.plan))


def test_nodes_that_are_added_at_once_get_addresses_of_their_own(throwaway: CommandLine, name: str) -> None:
    adding = [throwaway.start("node", "add", "--name", name) for _ in range(2)]
    for process in adding:
        _, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
    plan = find_or_fail(name).plan
    added = [node.name for node in plan.nodes if node.name not in ("control-plane", "worker1")]
    assert len({node.address for node in plan.nodes}) == 4
    assert set(added) < set(ready_nodes(throwaway, name))
    for node in added:
        assert throwaway("node", "delete", "--name", name, node).returncode == 0


def test_the_same_is_done_by_python(throwaway: CommandLine, name: str) -> None:
    cluster = Cluster.find_or_fail(name, provider="embedded")
    added = cluster.add_node()
    assert added.name in ready_nodes(throwaway, name)
    cluster.stop_node(added.name)
    assert f"{added.name} " in throwaway("status").stdout
    with pytest.raises(ThrowawayError, match=f"node '{added.name}' of cluster .* is dead"):
        cluster.exec(added.name, ["true"])
    cluster.start_node(added.name)
    assert cluster.exec(added.name, ["hostname"]) == f"{added.name}\n"
    cluster.delete_node(added.name)
    assert added.name not in [node.name for node in cluster.nodes]
