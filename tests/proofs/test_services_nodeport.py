"""Proofs of docs/kubernetes/resources/services-nodeport.md."""

import contextlib
import json
import re
import subprocess
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from kubernetes import client

import sharing
from proofs import proof
from proofs.chance import ALPHA, p_of_even_spread
from proofs.world import POD_PORT, World, answers, asked, outside, outside_failure, spread, start_trace, wait_for
from throwaway import Cluster, ThrowawayError

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
    control="There would be no ClusterIP, or it would not answer at the Service's port, as it does not at another one;"
    " or its status or spec would have an outside address.",
)
def test_a_node_port_service_is_a_cluster_ip_service(world: World) -> None:
    """Makes a NodePort Service without `targetPort`, reads its addresses, and has a Pod ask its ClusterIP."""
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
    with start_trace(world, "worker1", "--port", str(port)) as tracing:
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


def answering(world: World, node: str, port: int) -> set[str]:
    """Which of a Node's addresses answer to the Node itself at a NodePort."""
    curl = "curl -s -o /dev/null --max-time 2 http://{}:" + str(port) + "/hostname && echo {}; true"
    commands = [curl.replace("{}", address) for address in own_addresses(world, node)]
    return set(world.cluster.exec(node, ["sh", "-c", "\n".join(commands)]).split())


def answering_node_port(world: World, node: str) -> int:
    """The NodePort of a Service whose Pod runs on a Node, as soon as that Node answers."""
    world.pods(node=node)
    port = node_port(world.service(type="NodePort"))
    wait_for(lambda: answers(f"http://{world.nodes[node]}:{port}/hostname"), "the Service answers")
    return port


@proof(
    "nodeport-addresses-nftables",
    "myths-every-address-nftables",
    mode="nftables",
    control="127.0.0.1 and the Node's address among its Pods would answer, too.",
)
def test_only_the_primary_address_answers(world: World) -> None:
    """Asks a NodePort at each address that a Node has, on the Node itself."""
    port = answering_node_port(world, "worker1")
    assert {"127.0.0.1", "10.244.1.1"} < set(own_addresses(world, "worker1"))
    assert answering(world, "worker1", port) == {world.nodes["worker1"]}


@proof(
    "nodeport-addresses-iptables",
    "myths-every-address-iptables",
    mode="iptables",
    control="One of the Node's addresses would not answer.",
)
def test_all_addresses_answer(world: World) -> None:
    """Asks a NodePort at each address that a Node has, on the Node itself."""
    port = answering_node_port(world, "worker1")
    assert {"127.0.0.1", "10.244.1.1"} < set(own_addresses(world, "worker1"))
    assert answering(world, "worker1", port) == set(own_addresses(world, "worker1"))


@contextlib.contextmanager
def kube_proxy_with(world: World, node: str, **settings: object) -> Iterator[None]:
    """Have kube-proxy run on a Node with other settings for a while."""
    file = "/run/throwaway/kube-proxy.json"
    own = world.cluster.exec(node, ["cat", file])

    def restart(text: str) -> None:
        world.cluster.exec(node, ["sh", "-c", f'printf %s "$1" >{file}; pkill -x kube-proxy || true', "sh", text])

    try:
        restart(json.dumps(json.loads(own) | settings))
        yield
    finally:
        restart(own)


@pytest.mark.disturbs
@proof(
    "nodeport-addresses-setting",
    needs=("change-nodes",),
    control="The Node's primary address would answer as before, or others besides the one that was chosen.",
)
def test_a_setting_of_kube_proxy_decides_which_addresses_answer(world: World) -> None:
    """Runs kube-proxy on worker1 with `nodePortAddresses: [10.244.1.0/24]`, and asks at each address of worker1."""
    port = answering_node_port(world, "worker1")
    before = answering(world, "worker1", port)
    assert world.nodes["worker1"] in before
    with kube_proxy_with(world, "worker1", nodePortAddresses=["10.244.1.0/24"]):
        wait_for(lambda: answering(world, "worker1", port) == {"10.244.1.1"}, "the chosen address alone answers")
    wait_for(lambda: answering(world, "worker1", port) == before, "the same addresses as before answer")


@pytest.mark.disturbs
@proof(
    "nodeport-localhost-gate",
    "nodeport-localhost-listens",
    mode="nftables",
    needs=("change-nodes",),
    control="127.0.0.1 would not answer, as it does not before and after, or no socket be open at the port there.",
)
def test_a_feature_gate_lets_localhost_answer(world: World) -> None:
    """Runs kube-proxy on worker1 with the feature gate and `nodePortAddresses: [127.0.0.0/8]`, and asks 127.0.0.1."""
    port = answering_node_port(world, "worker1")
    listening = ["ss", "-Hltn", f"sport = {port}"]
    assert world.cluster.exec("worker1", listening) == ""
    gate = {"KubeProxyNFTablesLocalhostNodePorts": True}
    with kube_proxy_with(world, "worker1", nodePortAddresses=["127.0.0.0/8"], featureGates=gate):
        wait_for(lambda: answering(world, "worker1", port) == {"127.0.0.1"}, "127.0.0.1 answers")
        assert f"127.0.0.1:{port}" in world.cluster.exec("worker1", listening)
    primary = {world.nodes["worker1"]}
    wait_for(lambda: answering(world, "worker1", port) == primary, "the primary address alone answers")


@proof(
    "nodeport-beats-program",
    control="The program would still answer at the Node's address when there is the Service, as it does before and"
    " after.",
)
def test_a_service_has_a_port_before_a_program_that_listens(world: World) -> None:
    """Starts a web server on worker1, and makes and deletes a Service whose NodePort is the port of that server."""
    (pod,) = world.pods()
    port = node_port(world.service("probe", type="NodePort"))
    world.core.delete_namespaced_service("probe", world.namespace)
    url = f"http://{world.nodes['worker1']}:{port}/hostname"
    start = f"mkdir -p /run/{port}; cd /run/{port}; echo program >hostname; busybox httpd -f -p {port}"
    pid = world.cluster.exec("worker1", ["sh", "-c", f"{start} >/dev/null 2>&1 & echo $!"]).strip()
    try:
        wait_for(lambda: asked(url, 1) == ["program\n"], "the program answers")
        world.service(type="NodePort", ports=[{"port": 80, "targetPort": POD_PORT, "nodePort": port}])
        wait_for(lambda: asked(url, 10) == [pod.name] * 10, "the Pod answers")
        assert world.cluster.exec("worker1", ["curl", "-s", url]) == pod.name
        assert f":{port} " in world.cluster.exec("worker1", ["ss", "-ltn"])
        world.core.delete_namespaced_service("echo", world.namespace)
        wait_for(lambda: asked(url, 1) == ["program\n"], "the program answers again")
    finally:
        world.cluster.exec("worker1", ["kill", pid])


@proof(
    "nodeport-below-own-ports",
    "nodeport-as-source-port",
    control="The Node's own connection would get no answer, since the packets that come back to that port would go to a"
    " Pod; or the kernel would take ports for connections from the range of NodePorts.",
)
def test_a_nodes_own_connection_may_come_from_the_number_of_a_node_port(world: World) -> None:
    """Asks another Node from worker1, from the very port that is a NodePort, and asks worker1 at that NodePort."""
    (pod,) = world.pods()
    port = node_port(world.service(type="NodePort"))
    urls = [f"http://{world.nodes[node]}:{port}/hostname" for node in ("worker1", "worker2")]
    wait_for(lambda: all(map(answers, urls)), "both Nodes answer")
    curl = ["curl", "-s", "--max-time", "5", "--local-port", str(port), "-w", " %{local_port}", urls[1]]
    assert world.cluster.exec("worker1", curl) == f"{pod.name} {port}"
    assert outside(urls[0]) == pod.name
    first, _ = world.cluster.exec("worker1", ["cat", "/proc/sys/net/ipv4/ip_local_port_range"]).split()
    assert int(first) == 32768


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
    "nodeport-static-band-last",
    "nodeport-range-full",
    "nodeport-range-changed",
    "nodeport-range-changed-event",
    "nodeport-range-changed-anew",
    needs=("change-nodes",),
    control="A port of the lower half would be allocated while others are left; or, after the range is changed, the"
    " Service get another port or none, no longer answer, or be made anew with its port.",
)
def test_what_becomes_of_ports_when_the_range_is_full_or_changed(world: World) -> None:
    """Allocates all ports of a cluster with the range 30000-30031, which has 16 in either part, and changes the range.

    One more is asked for. Then the API server is started again with the range 31000-31999. One of the Services leads to
    the API server itself, and is asked, looked at, deleted and made anew.
    """
    name, ports = f"ranges-{world.namespace.removeprefix('proof-')}", "30000-30031"
    with (
        sharing.only_one_on_this_machine(),  # one more cluster is what an account's inotify instances allow by default
        Cluster.up(name, nodes=1, proxy_mode=world.mode, load_balancer=False, service_node_port_range=ports) as cluster,
    ):
        (node,) = cluster.nodes
        upper, lower = made(cluster, "upper", count=16), made(cluster, "lower", count=15)
        assert set(upper) == set(range(30016, 30032))
        (port,) = made(cluster, "old")
        assert {*lower, port} == set(range(30000, 30016))
        with pytest.raises(ThrowawayError, match="range is full"):
            made(cluster, "one-more")
        to_api_server = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "old-0", "labels": {"kubernetes.io/service-name": "old"}},
            "addressType": "IPv4",
            "ports": [{"port": 6443}],
            "endpoints": [{"addresses": [node.address]}],
        }
        cluster.apply(to_api_server)
        wait_for(lambda: version_at(cluster, port), "the Service answers")

        cluster.exec(node.name, ["sh", "-c", CHANGE_RANGE])

        def events() -> list[tuple[str, str]]:
            with contextlib.suppress(ThrowawayError):
                found = cluster.kubectl(["get", "events", "-o", "json"])["items"]
                return [(each["reason"], each["message"]) for each in found if each["involvedObject"]["name"] == "old"]
            return []  # it is not up again yet

        said = wait_for(events, "there is an event")
        message = f"Port {port} is not within the port range 31000-31999; please recreate service"
        assert said == [("PortOutOfRange", message)]
        assert cluster.kubectl(["get", "service", "old", "-o", "json"])["spec"]["ports"][0]["nodePort"] == port
        wait_for(lambda: version_at(cluster, port), "the Service answers as before")
        cluster.kubectl(["delete", "service", "old"])
        with pytest.raises(ThrowawayError, match="The range of valid ports is 31000-31999"):
            made(cluster, "old", nodePort=port)


CHANGE_RANGE = """
mkdir /run/own && mount --bind /run/throwaway/bin /run/own && mount --make-private /run/own
cat >/run/changed <<'EOF'
#!/bin/sh
case $0 in */kube-apiserver) set -- "$@" --service-node-port-range=31000-31999 ;; esac
exec "/run/own/${0##*/}" "$@"
EOF
chmod +x /run/changed && mount --bind /run/changed /run/throwaway/bin/kubernetes && pkill -KILL -x kube-apiserver
"""
"""Puts a script in the place of Kubernetes' program, and ends the API server, which is started again by it."""


def made(cluster: Cluster, name: str, count: int = 1, **port: object) -> list[int]:
    """The NodePorts of a new Service without a selector; raises `ThrowawayError` if it is refused."""
    named = [{"name": f"p{number}", "port": number} for number in range(1, count + 1)]
    ports = named if count > 1 else [{"port": 1, **port}]
    spec = {"type": "NodePort", "ports": ports}
    own = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
    service = cluster.kubectl(["create", "-o", "json", "-f", "-"], json.dumps(own))
    return [each["nodePort"] for each in service["spec"]["ports"]]


def version_at(cluster: Cluster, port: int) -> str:
    """What the API server says of its version at a NodePort; "" if nobody answers."""
    url = f"https://{cluster.nodes[0].address}:{port}/version"
    return cluster.exec(cluster.nodes[0].name, ["sh", "-c", f"curl -sk --max-time 2 {url}; true"])


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
    wait_for(lambda: not world.core.list_namespaced_pod(world.namespace).items, "the last Pod is gone")
    wait_for(lambda: outside_failure(url, 3) == "refused", "connections are refused")
    assert [outside_failure(url, 3) for _ in range(5)] == ["refused"] * 5
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
    "nodeport-node-dies-no-route",
    needs=("change-nodes",),
    control="The dead Node's address would answer, or the others would not; or who asks would wait for longer in vain.",
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
        wait_for(lambda: "No route to host" in outside_failure(urls["worker2"], 10), "nobody knows the Node's address")
        assert [outside(urls[node]) for node in ("control-plane", "worker1")] == [pod.name] * 2
    finally:
        world.cluster.start_node("worker2")
    wait_for(lambda: answers(urls["worker2"]), "it answers again")


@proof(
    "nodeport-network-policy",
    control="Connections would time out as soon as the policy is there, as they do where a network plugin enforces it.",
)
def test_a_policy_that_nobody_enforces_keeps_nobody_out(world: World) -> None:
    """Makes a NetworkPolicy by which nobody may reach any Pod of the namespace, and asks Pods over 30 connections."""
    if "network-policy" in world.cluster.capabilities:
        pytest.skip("this cluster enforces NetworkPolicies")
    (pod,) = world.pods()
    port = node_port(world.service(type="NodePort"))
    urls = [f"http://{address}:{port}/hostname" for address in world.nodes.values()]
    wait_for(lambda: all(map(answers, urls)), "every Node answers")
    policy = {"metadata": {"name": "nobody"}, "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}
    client.NetworkingV1Api().create_namespaced_network_policy(world.namespace, policy)
    for _ in range(10):
        assert [outside(url) for url in urls] == [pod.name] * 3
        time.sleep(0.2)  # a plugin would need a moment


@proof(
    "nodeport-plaintext",
    control="The word would be in no packet, as a word that nobody sends is not.",
)
def test_requests_cross_the_wire_as_they_are(world: World) -> None:
    """Sends a password by a NodePort, and reads the packets as they come to a Node and as it passes them on."""
    (pod,) = world.pods(node="worker2")
    port = node_port(world.service(type="NodePort"))
    url = f"http://{world.nodes['worker1']}:{port}/echo?msg="
    wait_for(lambda: answers(f"{url}hello"), "the Service answers")
    filters = f"tcp and (port {port} or (host {pod.address} and port {POD_PORT}))"
    tcpdump = ["tcpdump", "-n", "-l", "-A", "--immediate-mode", "-Z", "root", "-i", "any", filters]
    command = world.cluster.node_command("worker1", ["timeout", "30", *tcpdump])
    seen: dict[str, set[str]] = {"open-sesame": set(), "never-sent": set()}
    with subprocess.Popen(command, env=world.cluster.environment, stdout=-1, stderr=-1, text=True) as capturing:
        assert capturing.stderr
        assert capturing.stdout
        assert any("listening on" in line for line in capturing.stderr)
        assert outside(f"{url}open-sesame") == "open-sesame"
        destination = ""
        for line in capturing.stdout:
            if header := re.search(r" > ([\d.]+): Flags", line):
                destination = header[1]
            for word, destinations in seen.items():
                if word in line:
                    destinations.add(destination)
            if seen["open-sesame"] >= {f"{world.nodes['worker1']}.{port}", f"{pod.address}.{POD_PORT}"}:
                break
        capturing.kill()
    assert {f"{world.nodes['worker1']}.{port}", f"{pod.address}.{POD_PORT}"} <= seen["open-sesame"]
    assert not seen["never-sent"]


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
