"""NetworkPolicies: with --network-policy they keep out whom they should, without it they have no effect."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import CommandLine, eventually
from throwaway import Cluster

TOOLBOX = "localhost/toolbox:1"
POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: friends
spec:
  podSelector: {matchLabels: {app: echo}}
  policyTypes: [Ingress]
  ingress:
    - from: [{podSelector: {matchLabels: {role: friend}}}]
"""


@pytest.fixture(scope="module")
def cluster(throwaway: CommandLine) -> Iterator[Cluster]:
    """A cluster that enforces them, with an echo Service, a Pod that is a friend, and one that is not."""
    name = f"policies-{os.getpid()}"
    done = throwaway("up", "--name", name, "--network-policy", "--no-load-balancer")
    assert done.returncode == 0, done.stderr
    cluster = Cluster.find_or_fail(name)
    echo = ["--image=hashicorp/http-echo:1.0.0", "--", "/http-echo", "-text=hello-world"]
    cluster.kubectl(["create", "deployment", "echo", *echo])
    cluster.kubectl(["expose", "deployment/echo", "--type=NodePort", "--port=5678"])
    for pod, labels in (("friend", "role=friend"), ("stranger", "role=stranger")):
        cluster.kubectl(["run", pod, f"--image={TOOLBOX}", f"--labels={labels}", "--", "sleep", "infinity"])
    cluster.kubectl(["wait", "--for=condition=Ready", "pods", "--all", "--timeout=90s"])
    yield cluster
    assert throwaway("down", "--name", name).returncode == 0


def answers(cluster: Cluster, pod: str) -> bool:
    """Whether the echo Service answers a Pod."""
    said = cluster.kubectl(["exec", pod, "--", "sh", "-c", "curl -s --max-time 1 http://echo:5678 || true"])
    return "hello-world" in str(said)


def answers_outside(cluster: Cluster) -> bool:
    """Whether the echo Service's NodePort answers a machine beside the Nodes."""
    port = cluster.kubectl(["get", "service/echo", "-o", "jsonpath={.spec.ports[0].nodePort}"])
    url = f"http://{cluster.nodes[0].address}:{port}"
    return "hello-world" in cluster.exec("client", ["sh", "-c", f"curl -s --max-time 1 {url} || true"])


def everyone(cluster: Cluster) -> tuple[bool, bool, bool]:
    return answers(cluster, "friend"), answers(cluster, "stranger"), answers_outside(cluster)


def test_a_policy_lets_in_whom_it_names_and_nobody_else(cluster: Cluster, tmp_path: Path) -> None:
    assert cluster.lacks("network-policy") == ""
    eventually(lambda: everyone(cluster) == (True, True, True), "without a policy all are let in")
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    cluster.apply(policy)
    eventually(lambda: everyone(cluster) == (True, False, False), "the friend alone is let in")
    cluster.kubectl(["delete", "networkpolicy", "friends"])
    eventually(lambda: everyone(cluster) == (True, True, True), "all are let in again")


def test_a_cluster_without_it_says_how_to_get_it(cluster_name: str) -> None:
    reason = Cluster.find_or_fail(cluster_name).lacks("network-policy")
    assert "NetworkPolicies have no effect" in reason
    assert "throwaway up --network-policy" in reason
