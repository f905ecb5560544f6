"""The provider kind with a real Docker; run by .github/workflows/kind.yml only, so not collected with the others."""

import pytest

from throwaway import Cluster

ECHO = {"image": "registry.k8s.io/e2e-test-images/agnhost:2.53", "args": ["netexec", "--http-port=8080"]}


def test_three_nodes_are_there_and_commands_run_on_them(throwaway_cluster: Cluster) -> None:
    nodes = throwaway_cluster.nodes
    assert [node.is_control_plane for node in nodes] == [True, False, False]
    for node in nodes:
        assert throwaway_cluster.exec(node.name, ["hostname"]).strip() == node.name


def test_kube_proxy_has_the_mode_that_was_asked_for(throwaway_cluster: Cluster, pytestconfig: pytest.Config) -> None:
    node = throwaway_cluster.nodes[0].name
    mode = throwaway_cluster.exec(node, ["curl", "-s", "http://127.0.0.1:10249/proxyMode"])
    assert mode == pytestconfig.getoption("--throwaway-proxy-mode")


@pytest.mark.needs_capability("node-network")
def test_a_node_port_answers_on_every_node(throwaway_cluster: Cluster) -> None:
    throwaway_cluster.kubectl(
        ["create", "deployment", "echo", f"--image={ECHO['image']}", "--", "/agnhost", *ECHO["args"]]
    )
    throwaway_cluster.kubectl(["expose", "deployment", "echo", "--type=NodePort", "--port=80", "--target-port=8080"])
    throwaway_cluster.wait("deployment/echo", "condition=Available", timeout=180)
    port = throwaway_cluster.kubectl(["get", "service", "echo", "-o", "json"])["spec"]["ports"][0]["nodePort"]
    for node in throwaway_cluster.nodes:
        url = f"http://{node.address}:{port}/hostname"
        answer = throwaway_cluster.shell(["curl", "-s", "--retry", "10", "--retry-connrefused", url])
        assert answer.startswith("echo-")
