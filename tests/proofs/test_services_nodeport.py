"""Proofs of docs/kubernetes/resources/services-nodeport.md."""

import json
import re
import subprocess
import sys
from itertools import pairwise

import pytest

from proofs import proof
from proofs.chance import ALPHA, p_of_even_spread
from proofs.world import POD_PORT, World, answers, asked, outside, outside_failure, spread, wait_for

UNUSED = 29999
"""A port of the Nodes that nobody uses."""


def node_port(service: object) -> int:
    """The first NodePort of a Service."""
    return int(service.spec.ports[0].node_port)  # type: ignore[attr-defined]


@proof(
    "nodeport-every-node",
    "nodeport-wherever-pods-run",
    "nodeport-bare-pods",
    "myths-only-nodes-with-pods",
    control="No Node would answer but the one that runs the Pod; a port of no Service is refused by all of them.",
)
def test_every_node_answers_also_one_without_a_pod(world: World) -> None:
    """Starts one Pod, without a Deployment, and asks all Nodes for it from outside, the control plane's too."""
    (pod,) = world.pods(node="worker1")
    port = node_port(world.service(type="NodePort"))
    urls = [f"http://{address}:{port}/hostname" for address in world.nodes.values()]
    wait_for(lambda: all(map(answers, urls)), "every Node answers")
    assert [outside(url) for url in urls] == [pod.name] * 3
    for address in world.nodes.values():
        assert outside_failure(f"http://{address}:{UNUSED}/") == "refused"


@proof(
    "nodeport-has-cluster-ip",
    "nodeport-target-port-default",
    "nodeport-no-address-of-its-own",
    control="There would be no ClusterIP, or it would not answer at the Service's port, as it does not at another one.",
)
def test_a_node_port_service_is_a_cluster_ip_service(world: World) -> None:
    """Makes a NodePort Service without `targetPort`, and asks a Pod to reach it at its ClusterIP."""
    (pod,) = world.pods()
    service = world.service(type="NodePort", ports=[{"port": POD_PORT}])
    assert service.spec.ports[0].target_port == POD_PORT
    assert not service.status.load_balancer.ingress
    assert not service.spec.external_ips
    url = f"http://{service.spec.cluster_ip}:{POD_PORT}/hostname"
    wait_for(lambda: world.ask(url) == [pod.name], "the ClusterIP answers")
    assert world.failure(f"http://{service.spec.cluster_ip}:{UNUSED}/") != ""


@proof("nodeport-externalname-apart", control="The Service would have a ClusterIP, as the others have.")
def test_an_external_name_has_neither_address_nor_port(world: World) -> None:
    """Makes an ExternalName Service and a ClusterIP Service, and reads what each was given."""
    service = world.service("elsewhere", type="ExternalName", externalName="example.org", selector=None, ports=None)
    assert (service.spec.cluster_ip, service.spec.cluster_ips, service.spec.ports) == (None, None, None)
    assert world.service("other").spec.cluster_ip


@proof(
    "nodeport-selector-ready",
    "nodeport-endpointslice",
    control="The Pod that is not ready would get connections, as the ready one does, or be noted as ready.",
)
def test_ready_pods_with_the_label_are_behind_the_service(world: World) -> None:
    """Starts a ready Pod and one that never gets ready, reads the EndpointSlice, and asks the Service 20 times."""
    (ready,) = world.pods()
    (other,) = world.pods("never", labels={"app": "echo"}, ready=False)
    url = f"http://{world.nodes['worker1']}:{node_port(world.service(type='NodePort'))}/hostname"
    wait_for(lambda: set(world.endpoints("echo")) == {ready.address, other.address}, "both stand in the EndpointSlice")
    is_ready = {address: endpoint.conditions.ready for address, endpoint in world.endpoints("echo").items()}
    assert is_ready == {ready.address: True, other.address: False}
    wait_for(lambda: answers(url), "the Service answers")
    assert {outside(url) for _ in range(20)} == {ready.name}


@proof(
    "nodeport-dnat",
    "nodeport-snat",
    control="The first packet would leave the Node with the addresses with which it came.",
)
def test_a_nodes_rules_change_both_addresses(world: World) -> None:
    """Traces the first packet of a connection through the rules of a Node that does not run the Pod."""
    (pod,) = world.pods(node="worker2")
    port = node_port(world.service(type="NodePort"))
    address = world.nodes["worker1"]
    url = f"http://{address}:{port}/clientip"
    wait_for(lambda: answers(url), "the Service answers")
    command = [sys.executable, "-m", "throwaway", "trace", "worker1", "--port", str(port), "--count", "1", "-o", "json"]
    with subprocess.Popen(command, env=world.cluster.environment, stdout=-1, stderr=-1, text=True) as tracing:
        assert tracing.stderr
        assert tracing.stderr.readline().startswith("Tracing on worker1")
        client = outside(url)
        traced = json.loads(tracing.communicate(timeout=30)[0])
    assert traced["destination"] == f"{address}:{port}"
    assert traced["final_destination"] == f"{pod.address}:{POD_PORT}"
    assert traced["source"].startswith("172.30.0.1:")
    assert client == traced["final_source"]
    assert client.startswith(f"{address}:") or client.startswith("10.244.1.")  # one of worker1's own addresses


def own_addresses(world: World, node: str) -> list[str]:
    """All IPv4 addresses of a Node."""
    return re.findall(r"inet ([\d.]+)/", world.cluster.exec(node, ["ip", "-4", "address"]))


def answering(world: World, node: str) -> tuple[set[str], set[str]]:
    """Which of a Node's addresses answer to the Node itself at a NodePort, and all that it has."""
    world.pods(node=node)
    port = node_port(world.service(type="NodePort"))
    wait_for(lambda: answers(f"http://{world.nodes[node]}:{port}/hostname"), "the Service answers")
    every = own_addresses(world, node)
    curl = "curl -s -o /dev/null --max-time 2 http://{}:" + str(port) + "/hostname && echo {}; true"
    told = world.cluster.exec(node, ["sh", "-c", "\n".join(curl.replace("{}", address) for address in every)])
    return set(told.split()), set(every)


@proof(
    "nodeport-addresses-nftables",
    "myths-every-address-nftables",
    mode="nftables",
    control="127.0.0.1 and the Node's address among its Pods would answer, too.",
)
def test_only_the_primary_address_answers(world: World) -> None:
    """Asks a NodePort at each address that a Node has, on the Node itself."""
    found, every = answering(world, "worker1")
    assert {"127.0.0.1", "10.244.1.1"} < every
    assert found == {world.nodes["worker1"]}


@proof(
    "nodeport-addresses-iptables",
    "myths-every-address-iptables",
    mode="iptables",
    control="One of the Node's addresses would not answer.",
)
def test_all_addresses_answer(world: World) -> None:
    """Asks a NodePort at each address that a Node has, on the Node itself."""
    found, every = answering(world, "worker1")
    assert {"127.0.0.1", "10.244.1.1"} < every
    assert found == every


@proof("nodeport-taken-for-udp-too", control="The second Service would be made.")
def test_a_port_is_taken_for_the_other_protocol_too(world: World) -> None:
    """Gives a Service a port for TCP, and asks for the same number for UDP by another one."""
    port = node_port(world.service(type="NodePort"))
    code, message = world.refusal(type="NodePort", ports=[{"port": 53, "protocol": "UDP", "nodePort": port}])
    assert (code, "provided port is already allocated" in message) == (422, True)


@proof("nodeport-tcp-and-udp", control="The Service would be refused, as one that has a port of TCP twice is.")
def test_one_service_has_a_port_for_both_protocols(world: World) -> None:
    """Makes a Service with one number for TCP and UDP, and one with the same number twice for TCP."""
    free = node_port(world.service("probe", type="NodePort"))
    world.core.delete_namespaced_service("probe", world.namespace)
    ports = [
        {"name": "tcp", "port": 53, "nodePort": free},
        {"name": "udp", "port": 53, "nodePort": free, "protocol": "UDP"},
    ]
    made = world.service(type="NodePort", ports=ports)
    assert {(each.protocol, each.node_port) for each in made.spec.ports} == {("TCP", free), ("UDP", free)}
    twice = [{"name": "one", "port": 53, "nodePort": free + 1}, {"name": "two", "port": 54, "nodePort": free + 1}]
    assert world.refusal(type="NodePort", ports=twice)[0] == 422


@proof(
    "nodeport-dynamic-band",
    control="Some of 300 ports would lie below 30086 (that none does by chance has p < 0.0001), or each would follow"
    " the one before.",
)
def test_ports_are_taken_at_random_from_30086_on(world: World) -> None:
    """Has 300 ports allocated, twice 150, and looks at their numbers."""
    taken = [
        each.node_port
        for half in range(2)
        for each in world.service(
            f"many-{half}", type="NodePort", ports=[{"name": f"p{n}", "port": 1000 + n} for n in range(150)]
        ).spec.ports
    ]
    # Were they taken from the whole range of 2768 ports, of which 86 are in the static band, all would miss that band
    # with p = (1 - 86/2768)^300 = 8e-5.
    assert min(taken) >= 30086
    assert max(taken) <= 32767
    assert taken != sorted(taken)
    assert max(taken) - min(taken) > 2000  # p < 1e-20 for 300 ports at random


@proof(
    "nodeport-random",
    control="One Pod would get far more connections than the other, or they would take turns. A chi-square test and a"
    " test of runs say so with an error probability of one in a million; taking turns, 400 connections would never meet"
    " the same Pod twice in a row.",
)
def test_connections_go_to_a_pod_at_random(world: World) -> None:
    """Opens 400 connections, counts which of two Pods answers, and how often it is the same one as before."""
    pods = world.pods(count=2)
    url = f"http://{world.nodes['control-plane']}:{node_port(world.service(type='NodePort'))}/hostname"
    wait_for(lambda: set(asked(url, 20)) == {pod.name for pod in pods}, "both Pods answer")
    seen = asked(url, 400)
    assert p_of_even_spread(list(spread(seen, pods).values())) > ALPHA
    again = sum(one == following for one, following in pairwise(seen))
    assert p_of_even_spread([again, len(seen) - 1 - again]) > ALPHA


@proof("nodeport-affinity", control="Both Pods would answer, as they do before.")
def test_session_affinity_keeps_a_client_with_one_pod(world: World) -> None:
    """Opens 40 connections without session affinity, and 40 with it."""
    world.pods(count=2)
    url = f"http://{world.nodes['worker1']}:{node_port(world.service(type='NodePort'))}/hostname"
    wait_for(lambda: answers(url), "the Service answers")
    wait_for(lambda: len(set(asked(url, 40))) == 2, "both Pods answer")
    world.patch("echo", sessionAffinity="ClientIP")
    wait_for(lambda: len(set(asked(url, 40))) == 1, "one Pod answers")


@proof(
    "nodeport-policy-cluster",
    "nodeport-policy-inside",
    control="The other Node's Pod would never answer to a process on the Node, as it never does to a client outside.",
)
def test_the_policy_does_not_count_on_the_node_itself(world: World) -> None:
    """Starts a Pod on worker1 and one on worker2, and asks at worker1's address with both policies."""
    pods = {pod.node: pod.name for pod in world.pods("one", node="worker1", labels={"app": "echo"})}
    pods |= {pod.node: pod.name for pod in world.pods("two", node="worker2", labels={"app": "echo"})}
    url = f"http://{world.nodes['worker1']}:{node_port(world.service(type='NodePort'))}/hostname"
    wait_for(lambda: set(asked(url, 30)) == set(pods.values()), "any ready Pod answers")
    world.patch("echo", externalTrafficPolicy="Local")
    wait_for(lambda: set(asked(url, 30)) == {pods["worker1"]}, "its own Pod alone answers")
    many = f"for i in $(seq 30); do curl -s --max-time 2 {url}; echo; done"
    assert set(world.cluster.exec("worker1", ["sh", "-c", many]).split()) == set(pods.values())
    toolbox = world.toolbox("worker1")
    assert set(world.ask(url, 30, toolbox.name)) == set(pods.values())


@proof("nodeport-terminating-pods", control="Connections would be refused as soon as the only Pod is being deleted.")
def test_a_pod_that_is_shut_down_serves_when_it_is_the_last(world: World) -> None:
    """Deletes the only Pod, which needs ten seconds to end, and asks on."""
    (pod,) = world.pods(args=["netexec", "--delay-shutdown=10"], terminationGracePeriodSeconds=15, node="worker1")
    url = f"http://{world.nodes['worker1']}:{node_port(world.service(type='NodePort'))}/hostname"
    wait_for(lambda: answers(url), "the Service answers")
    world.delete_pod(pod)
    wait_for(lambda: world.endpoints("echo")[pod.address].conditions.terminating, "it is being shut down")
    endpoint = world.endpoints("echo")[pod.address].conditions
    assert (endpoint.ready, endpoint.serving) == (False, True)
    assert outside(url) == pod.name


@proof(
    "nodeport-pod-dies",
    "nodeport-last-pod-dies",
    control="Some of 20 connections would still fail when the Pod is gone, or one to a Service without Pods succeed.",
)
def test_connections_go_to_the_pods_that_are_left(world: World) -> None:
    """Deletes one of two Pods, then the other, and starts a new one; asks a Node each time."""
    one, two = world.pods(count=2)
    url = f"http://{world.nodes['control-plane']}:{node_port(world.service(type='NodePort'))}/hostname"
    wait_for(lambda: set(asked(url, 20)) == {one.name, two.name}, "both answer")
    world.delete_pod(one)
    wait_for(lambda: asked(url, 20) == [two.name] * 20, "the other one answers")
    world.delete_pod(two)
    wait_for(lambda: outside_failure(url, 3) == "refused", "connections are refused")
    (three,) = world.pods("three", labels={"app": "echo"})
    wait_for(lambda: answers(url), "the new Pod answers")
    assert outside(url) == three.name


@pytest.mark.disturbs
@proof(
    "nodeport-kube-proxy-stopped",
    "myths-kube-proxy-stops",
    "nodeport-kube-proxy-learns-nothing",
    control="Connections by this Node would fail as soon as kube-proxy stands still; a Service that is made then would"
    " answer there, as it does at the other Nodes.",
)
def test_rules_work_on_without_kube_proxy(world: World) -> None:
    """Stops kube-proxy on worker1 (SIGSTOP), asks there, makes a second Service, and lets kube-proxy go on."""
    (pod,) = world.pods(node="worker2")
    worker1, worker2 = world.nodes["worker1"], world.nodes["worker2"]
    port = node_port(world.service(type="NodePort"))
    wait_for(lambda: answers(f"http://{worker1}:{port}/hostname"), "the Service answers")
    world.cluster.exec("worker1", ["pkill", "-STOP", "-x", "kube-proxy"])
    try:
        assert [outside(f"http://{worker1}:{port}/hostname") for _ in range(10)] == [pod.name] * 10
        second = node_port(world.service("second", type="NodePort", selector={"app": "echo"}))
        wait_for(lambda: answers(f"http://{worker2}:{second}/hostname"), "the second Service answers elsewhere")
        assert outside_failure(f"http://{worker1}:{second}/hostname") == "refused"
    finally:
        world.cluster.exec("worker1", ["pkill", "-CONT", "-x", "kube-proxy"])
    wait_for(lambda: answers(f"http://{worker1}:{second}/hostname"), "the second Service answers there, too")


@pytest.mark.disturbs
@proof(
    "nodeport-node-dies",
    needs=("change-nodes",),
    control="The dead Node's address would answer, or the others would not.",
)
def test_the_other_nodes_answer_when_one_dies(world: World) -> None:
    """Cuts the power of worker2, which runs no Pod of the Service, and asks all Nodes; then starts it again."""
    (pod,) = world.pods(node="worker1")
    nodes = world.nodes
    port = node_port(world.service(type="NodePort"))
    urls = {node: f"http://{address}:{port}/hostname" for node, address in nodes.items()}
    wait_for(lambda: all(map(answers, urls.values())), "every Node answers")
    world.cluster.stop_node("worker2")
    try:
        wait_for(lambda: outside_failure(urls["worker2"], 2) not in ("", "refused"), "the Node is silent")
        assert [outside(urls[node]) for node in ("control-plane", "worker1")] == [pod.name] * 2
    finally:
        world.cluster.start_node("worker2")
    wait_for(lambda: answers(urls["worker2"]), "it answers again")


@proof("nodeport-input-chain", control="The rule in the INPUT chain would cut the connections, as one before NAT does.")
def test_a_rule_in_the_input_chain_does_not_see_the_connections(world: World) -> None:
    """Drops packets to the port on worker1: first in a chain at `input`, then in one at `prerouting` before NAT."""
    (pod,) = world.pods(node="worker2")
    port = node_port(world.service(type="NodePort"))
    url = f"http://{world.nodes['worker1']}:{port}/hostname"
    wait_for(lambda: answers(url), "the Service answers")
    for hook, priority, is_cut in (("input", "filter", False), ("prerouting", "raw", True)):
        rules = (
            f"add table ip firewall; add chain ip firewall drops {{ type filter hook {hook} priority {priority}; }};"
            f" add rule ip firewall drops tcp dport {port} counter drop"
        )
        world.cluster.exec("worker1", ["nft", rules])
        try:
            assert (outside_failure(url) == "timeout") == is_cut
        finally:
            world.cluster.exec("worker1", ["nft", "delete table ip firewall"])
    assert outside(url) == pod.name
