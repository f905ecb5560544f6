"""Proofs of docs/kubernetes/resources/services-loadbalancer.md. The load balancer is MetalLB, in its layer 2 mode."""

import contextlib
import hashlib
import json
import re
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import IPv4Address
from typing import Any

import pytest
from kubernetes import client

from proofs import proof
from proofs.world import POD_PORT, World, answers, asked, outside, outside_failure, start_trace, wait_for

FIRST, LAST = IPv4Address("172.30.0.200"), IPv4Address("172.30.0.250")
"""MetalLB's pool on the embedded cluster. It gives the first one that is free, so that the last ones stay free."""
WISHES = [str(LAST - back) for back in range(10)]
"""The last ones, for proofs that ask for a certain one: the first is for none."""
HERE = "172.30.0.1"
"""The address of this machine beside the Nodes."""
NO_ROUTE = "[Errno 113] No route to host"
WISH = "metallb.io/loadBalancerIPs"
SHARE = "metallb.io/allow-shared-ip"
CLEANUP = "service.kubernetes.io/load-balancer-cleanup"


def annotated(**annotations: str) -> dict[str, Any]:
    """Metadata with annotations of MetalLB's: `wish` for an address, `share` with the Services of the same key."""
    names = {"wish": WISH, "share": SHARE}
    return {"annotations": {names[key]: value for key, value in annotations.items()}}


def address_now(world: World, service: str = "echo") -> str:
    """The address that a Service has by now; "" if it has none."""
    ingress = world.core.read_namespaced_service(service, world.namespace).status.load_balancer.ingress
    return str(ingress[0].ip) if ingress else ""


def address_of(world: World, service: str = "echo") -> str:
    """The address of a Service, once it has one."""
    return wait_for(lambda: address_now(world, service), f"{service} has an address")


def events(world: World, service: str) -> dict[str, str]:
    """What happened to a Service: reason → message."""
    found = world.core.list_namespaced_event(world.namespace, field_selector=f"involvedObject.name={service}").items
    return {each.reason: each.message for each in found}


def hardware_address(world: World, address: str) -> str:
    """Where this machine sends packets for an address of its network, as ARP has told it; "" if it has not."""
    told = world.cluster.shell(["ip", "neigh", "show", address]).split()
    return told[told.index("lladdr") + 1] if "lladdr" in told else ""


def remember(world: World, address: str) -> None:
    """Have this machine keep what ARP has told it of an address, until it is to `forget` it."""
    (entry,) = json.loads(world.cluster.shell(["ip", "-json", "neigh", "show", address]))
    world.cluster.shell(
        ["ip", "neigh", "replace", address, "lladdr", entry["lladdr"], "dev", entry["dev"], "nud", "permanent"]
    )


def forget(world: World, address: str) -> None:
    """Have this machine forget what ARP has told it of an address."""
    world.cluster.shell(["ip", "neigh", "flush", "to", address, "nud", "all"])


def cards(world: World) -> dict[str, str]:
    """Whose hardware address it is: address → Node."""
    eth0 = ["cat", "/sys/class/net/eth0/address"]
    return {world.cluster.exec(node, eth0).strip(): node for node in world.nodes}


def announcer(world: World, service: str = "echo") -> str:
    """The Node whose speaker says that it answers for a Service; "" while it is not exactly one."""
    kind = ("metallb.io", "v1beta1", "metallb-system", "servicel2statuses")
    found = client.CustomObjectsApi().list_namespaced_custom_object(*kind)["items"]
    wanted = (world.namespace, service)
    statuses = [each.get("status", {}) for each in found]
    nodes = [each["node"] for each in statuses if (each.get("serviceNamespace"), each.get("serviceName")) == wanted]
    return str(nodes[0]) if len(nodes) == 1 else ""


def address_for(node: str, nodes: list[str]) -> str:
    """An address for which MetalLB chooses this Node, by a hash of its name and the address."""
    for back in range(len(WISHES), 40):
        address = str(LAST - back)
        if min(nodes, key=lambda each: hashlib.sha256(f"{each}#{address}".encode()).digest()) == node:
            return address
    raise AssertionError(f"no address of the pool is {node}'s")


def status_of(url: str) -> int:
    """The status code that an address answers; 0 where nothing comes."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code
    except OSError:
        return 0


@contextlib.contextmanager
def balancer_of_our_own() -> Iterator[int]:
    """A server on this machine beside the Nodes that says `the balancer itself`; its port."""

    class Balancer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"the balancer itself")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer((HERE, 0), Balancer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def say_address(world: World, service: str, **ingress: str) -> Any:
    """Write an address into a Service's status, as a provider does."""
    status = {"status": {"loadBalancer": {"ingress": [ingress]}}}
    return world.core.patch_namespaced_service_status(service, world.namespace, status)


# The address, and what is underneath


@proof(
    "loadbalancer-address",
    "loadbalancer-keeps-underneath",
    needs=("load-balancer",),
    control="Nobody would answer at the address, as nobody does at one of the same pool that no Service has, or one of"
    " the entrances below it would be closed.",
)
def test_it_answers_at_its_address_its_cluster_ip_and_its_node_port(world: World) -> None:
    """Waits for the address, asks from outside there and at a NodePort, from a Pod at the ClusterIP."""
    (pod,) = world.pods()
    service = world.service(type="LoadBalancer")
    address = address_of(world)
    assert FIRST <= IPv4Address(address) <= LAST
    node_port = service.spec.ports[0].node_port
    urls = [f"http://{address}/hostname", f"http://{world.nodes['control-plane']}:{node_port}/hostname"]
    wait_for(lambda: all(map(answers, urls)), "both answer outside")
    assert [outside(url) for url in urls] == [pod.name] * 2
    wait_for(lambda: world.ask(f"http://{service.spec.cluster_ip}/hostname") == [pod.name], "so does the ClusterIP")
    assert outside_failure(f"http://{LAST}/", 6) == NO_ROUTE


@proof(
    "loadbalancer-pending",
    "loadbalancer-pending-works",
    needs=("load-balancer",),
    control="The Service would get an address, as one without a class does, or not answer below it.",
)
def test_of_a_class_that_nobody_serves_it_waits(world: World) -> None:
    """Makes a Service of a class that nobody serves, then one without; waits for the latter, and asks the former."""
    (pod,) = world.pods()
    waiting = world.service(type="LoadBalancer", loadBalancerClass="example.com/nobody")
    world.service("other", type="LoadBalancer")
    address_of(world, "other")
    assert address_now(world) == ""
    assert events(world, "echo") == {}
    url = f"http://{world.nodes['worker1']}:{waiting.spec.ports[0].node_port}/hostname"
    wait_for(lambda: answers(url), "its NodePort answers")
    assert outside(url) == pod.name
    assert world.ask(f"http://{waiting.spec.cluster_ip}/hostname") == [pod.name]


@proof(
    "loadbalancer-class-immutable",
    "loadbalancer-class-goes",
    control="The class could be changed, taken away or added, or would be left when the type is another one.",
)
def test_the_class_cannot_be_changed(world: World) -> None:
    """Tries to change, remove and add a class, and gives the Service another type."""
    world.service(type="LoadBalancer", loadBalancerClass="example.com/one")
    world.service("without", type="LoadBalancer")
    for service, other in (("echo", "example.com/two"), ("echo", None), ("without", "example.com/two")):
        with pytest.raises(client.ApiException) as refused:
            world.patch(service, loadBalancerClass=other)
        assert refused.value.status == 422
        assert "may not change once set" in refused.value.body
    assert world.patch("echo", type="NodePort").spec.load_balancer_class is None
    assert world.patch("echo", type="LoadBalancer", loadBalancerClass="example.com/two").spec.load_balancer_class


@proof(
    "loadbalancer-without-node-ports",
    "loadbalancer-turned-off-later",
    "loadbalancer-port-by-hand",
    needs=("load-balancer",),
    control="The Service would have a NodePort, or not answer at its address; the other one's port would be gone as"
    " soon as it is told to have none, or stay when it is removed by hand.",
)
def test_without_node_ports_the_address_answers(world: World) -> None:
    """Makes a Service without NodePorts and asks it; tells another one to have none, then removes its port."""
    (pod,) = world.pods()
    made = world.service(type="LoadBalancer", allocateLoadBalancerNodePorts=False)
    assert made.spec.ports[0].node_port is None
    url = f"http://{address_of(world)}/hostname"
    wait_for(lambda: answers(url), "the address answers")
    assert outside(url) == pod.name
    later = world.service("later", type="LoadBalancer", selector={"app": "echo"})
    port = later.spec.ports[0].node_port
    assert world.patch("later", allocateLoadBalancerNodePorts=False).spec.ports[0].node_port == port
    at_node = f"http://{world.nodes['worker1']}:{port}/hostname"
    wait_for(lambda: answers(at_node), "the port is still open")
    removed = world.core.patch_namespaced_service(
        "later", world.namespace, [{"op": "remove", "path": "/spec/ports/0/nodePort"}]
    )
    assert removed.spec.ports[0].node_port is None
    wait_for(lambda: outside_failure(at_node, 2) == "refused", "the port is closed")


@proof(
    "loadbalancer-released",
    "loadbalancer-type-released",
    needs=("load-balancer",),
    control="The address would still be another Service's, and who asks for it would wait for ever.",
)
def test_an_address_is_free_again(world: World) -> None:
    """Has a Service wait for the address of another one, which is deleted; then the same by a change of type."""
    wanted = WISHES[1]
    world.service("first", metadata=annotated(wish=wanted), type="LoadBalancer")
    assert address_of(world, "first") == wanted
    world.service("second", metadata=annotated(wish=wanted), type="LoadBalancer")
    wait_for(lambda: "AllocationFailed" in events(world, "second"), "the second one has to wait")
    assert address_now(world, "second") == ""
    world.core.delete_namespaced_service("first", world.namespace)
    wait_for(lambda: address_now(world, "second") == wanted, "the second one has it")
    assert not world.patch("second", type="ClusterIP").status.load_balancer.ingress
    world.service("third", metadata=annotated(wish=wanted), type="LoadBalancer")
    wait_for(lambda: address_now(world, "third") == wanted, "the third one has it")


@proof(
    "loadbalancer-finalizer-none",
    "loadbalancer-finalizer-holds",
    "loadbalancer-finalizer-serves",
    needs=("load-balancer",),
    control="The Service would be gone at once, as one without the finalizer is, or no longer answer.",
)
def test_a_finalizer_keeps_a_deleted_service(world: World) -> None:
    """Deletes a Service with the finalizer of cloud providers, asks it, and takes the finalizer away."""
    (pod,) = world.pods()
    world.service("plain", type="LoadBalancer", selector={"app": "echo"})
    world.service(metadata={"finalizers": [CLEANUP]}, type="LoadBalancer")
    url = f"http://{address_of(world)}/hostname"
    try:
        address_of(world, "plain")
        assert world.core.read_namespaced_service("plain", world.namespace).metadata.finalizers is None
        wait_for(lambda: answers(url), "it answers")
        for service in ("plain", "echo"):
            world.core.delete_namespaced_service(service, world.namespace)
        left = world.core.list_namespaced_service(world.namespace).items
        assert [each.metadata.name for each in left] == ["echo"]
        assert left[0].metadata.deletion_timestamp
        assert outside(url) == pod.name
    finally:
        world.core.patch_namespaced_service("echo", world.namespace, {"metadata": {"finalizers": None}})
    assert world.core.list_namespaced_service(world.namespace).items == []
    wait_for(lambda: outside_failure(url, 4) != "", "it answers no more")


@proof(
    "loadbalancer-several-ports",
    needs=("load-balancer",),
    control="One of the protocols would get no answer, or an address of its own.",
)
def test_one_address_has_several_ports_and_protocols(world: World) -> None:
    """Makes a Service with port 80 for TCP and UDP and another port for TCP, and asks each at the one address."""
    (pod,) = world.pods()
    ports = [
        {"name": "http", "port": 80, "targetPort": POD_PORT},
        {"name": "other", "port": 8000, "targetPort": POD_PORT},
        {"name": "udp", "port": 80, "targetPort": 8081, "protocol": "UDP"},
    ]
    world.service(type="LoadBalancer", ports=ports)
    address = address_of(world)
    assert len(world.core.read_namespaced_service("echo", world.namespace).status.load_balancer.ingress) == 1
    for port in (80, 8000):
        wait_for(lambda port=port: answers(f"http://{address}:{port}/hostname"), f"port {port} answers")  # type: ignore[misc]

    def by_udp() -> str:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
            sending.settimeout(1)
            sending.connect((address, 80))
            try:
                sending.send(b"hostname")
                return sending.recv(100).decode()
            except OSError:
                return ""

    assert wait_for(by_udp, "UDP is answered") == pod.name


@proof(
    "loadbalancer-shared",
    "loadbalancer-not-shared",
    needs=("load-balancer",),
    control="The second Service would have to wait, as one without the key and one with the same port do.",
)
def test_services_of_one_key_share_an_address(world: World) -> None:
    """Asks for the same address by five Services: three with one key, one without, and one whose port is taken."""
    world.pods("one")
    world.pods("two")
    wish = WISHES[2]
    world.service("one", metadata=annotated(wish=wish, share="both"), type="LoadBalancer")
    assert address_of(world, "one") == wish
    other_port = [{"port": 81, "protocol": "TCP", "targetPort": POD_PORT}]
    world.service("two", metadata=annotated(wish=wish, share="both"), type="LoadBalancer", ports=other_port)
    assert address_of(world, "two") == wish
    by_udp = [{"port": 80, "protocol": "UDP"}]  # port 80 of "one" is of TCP
    world.service("udp", metadata=annotated(wish=wish, share="both"), type="LoadBalancer", ports=by_udp)
    assert address_of(world, "udp") == wish
    world.service("without", metadata=annotated(wish=wish), type="LoadBalancer", ports=[{"port": 82}])
    world.service("same-port", metadata=annotated(wish=wish, share="both"), type="LoadBalancer")
    for port, name in ((80, "one-0"), (81, "two-0")):
        url = f"http://{wish}:{port}/hostname"
        wait_for(lambda url=url, name=name: asked(url, 3) == [name] * 3, f"{name} answers")  # type: ignore[misc]
    for waiting in ("without", "same-port"):
        wait_for(lambda waiting=waiting: "AllocationFailed" in events(world, waiting), f"{waiting} waits")  # type: ignore[misc]
        assert address_now(world, waiting) == ""


@proof(
    "loadbalancer-wish",
    "loadbalancer-ip-field",
    "loadbalancer-ip-field-no-warning",
    needs=("load-balancer",),
    control="The Services would get the first address that is free, or the API server warn, as it does of externalIPs.",
)
def test_an_address_can_be_asked_for(world: World) -> None:
    """Asks for two addresses, by MetalLB's annotation and by loadBalancerIP, and reads the API server's warnings."""
    world.service("any", type="LoadBalancer")
    world.service("annotation", metadata=annotated(wish=WISHES[3]), type="LoadBalancer")

    def warnings(name: str, **spec: Any) -> str:
        made = {"metadata": {"name": name}, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}], **spec}}
        _, _, headers = world.core.create_namespaced_service_with_http_info(world.namespace, made)
        return str(headers.get("Warning") or "")

    assert warnings("field", loadBalancerIP=WISHES[4]) == ""
    assert "externalIPs is deprecated" in warnings("external", externalIPs=["192.0.2.1"])
    assert address_of(world, "annotation") == WISHES[3]
    assert address_of(world, "field") == WISHES[4]
    assert IPv4Address(address_of(world, "any")) < IPv4Address(WISHES[4])


@proof(
    "loadbalancer-hostname",
    control="The name would not be shown where the address is, or ipMode be taken beside it.",
)
def test_a_provider_may_say_a_name_instead(world: World) -> None:
    """Writes a name into the status instead of an address, and asks kubectl; then with ipMode beside it."""
    world.service(type="LoadBalancer", loadBalancerClass="example.com/ours")
    say_address(world, "echo", hostname="lb.example.org")
    shown = world.cluster.kubectl(["get", "service", "echo", "-n", world.namespace, "--no-headers"]).split()
    assert shown[3] == "lb.example.org"
    with pytest.raises(client.ApiException) as refused:
        say_address(world, "echo", hostname="lb.example.org", ipMode="VIP")
    assert "may not be specified when `ip` is not set" in refused.value.body


# Inside the cluster


@proof(
    "loadbalancer-mode-default",
    "loadbalancer-mode-vip",
    "loadbalancer-mode-proxy",
    "loadbalancer-status-catches",
    control="With VIP the balancer itself would answer, as it does before anyone writes its address into the status and"
    " with Proxy; with Proxy a Pod of the Service would.",
)
def test_what_ip_mode_changes_inside_the_cluster(world: World) -> None:
    """Runs a server beside the Nodes, writes its address into a Service's status, and asks it from a Pod."""
    (pod,) = world.pods()
    with balancer_of_our_own() as port:
        url = f"http://{HERE}:{port}/hostname"
        ports = [{"port": port, "targetPort": POD_PORT}]
        world.service(type="LoadBalancer", loadBalancerClass="example.com/ours", ports=ports)
        cluster_ip = f"http://echo:{port}/hostname"
        wait_for(lambda: world.ask(cluster_ip) == [pod.name], "the Service answers")
        assert world.ask(url) == ["the balancer itself"]
        ingress = say_address(world, "echo", ip=HERE).status.load_balancer.ingress
        assert (ingress[0].ip, ingress[0].ip_mode) == (HERE, "VIP")
        wait_for(lambda: world.ask(url, 5) == [pod.name] * 5, "the Pod answers")
        say_address(world, "echo", ip=HERE, ipMode="Proxy")
        wait_for(lambda: world.ask(url, 5) == ["the balancer itself"] * 5, "the balancer answers")
        assert outside(url) == "the balancer itself"
        say_address(world, "echo", ip=HERE, ipMode="VIP")
        wait_for(lambda: world.ask(url, 5) == [pod.name] * 5, "the Pod answers again")


@proof(
    "loadbalancer-status-roles",
    control="They would be allowed to, as they are to change the Service itself.",
)
def test_who_may_write_the_status(world: World) -> None:
    """Binds the roles `admin` and `edit` to somebody, and asks the API server what they may do."""
    authorization = client.AuthorizationV1Api()

    def may(role: str, verb: str, subresource: str = "") -> bool:
        asked_for = {"namespace": world.namespace, "verb": verb, "resource": "services", "subresource": subresource}
        review = {"spec": {"user": role, "resourceAttributes": asked_for}}
        return bool(authorization.create_subject_access_review(review).status.allowed)

    for role in ("admin", "edit"):
        binding = {
            "metadata": {"name": role},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": role}],
        }
        client.RbacAuthorizationV1Api().create_namespaced_role_binding(world.namespace, binding)
        wait_for(lambda role=role: may(role, "patch"), "they may change Services")  # type: ignore[misc]
        assert may(role, "get", "status")
        assert not may(role, "patch", "status")
        assert not may(role, "update", "status")


@proof(
    "loadbalancer-stays-inside",
    "loadbalancer-source-inside-cluster",
    "loadbalancer-source-inside-local",
    needs=("load-balancer",),
    control="Packets for the address would leave the Node, as they do when it asks an address of no Service, or the Pod"
    " would see the same client with both policies.",
)
def test_a_pod_reaches_the_address_without_leaving_its_node(world: World) -> None:
    """Asks the outside address from a Pod on the Node of the Service's Pod, and captures what leaves that Node."""
    world.pods(node="worker1")
    world.service(type="LoadBalancer")
    address = address_of(world)
    toolbox = world.toolbox("worker1")
    url = f"http://{address}/clientip"
    wait_for(lambda: "" not in world.ask(url, 5, toolbox.name), "it answers")
    own, node = set(world.cluster.exec("worker1", ["hostname", "-I"]).split()), world.nodes["worker1"]
    unknown = str(FIRST - 1)
    # The Node's own packets, and its questions by ARP: MetalLB tells all the world of an address by ARP, too.
    filters = (
        f"ip host {address} or (arp src host {node} and (arp dst host {address} or arp dst host {unknown}))".split()
    )
    command = [sys.executable, "-m", "throwaway", "capture", "worker1", "--interface", "eth0", "--count", "1"]
    with subprocess.Popen(
        [*command, "-o", "json", *filters], env=world.cluster.environment, stdout=-1, stderr=-1, text=True
    ) as process:
        assert process.stderr
        assert process.stderr.readline().startswith("Capturing on worker1")
        seen = world.ask(url, 5, toolbox.name)
        world.ask(f"http://{unknown}/", 1, toolbox.name)
        (first,) = map(json.loads, process.communicate(timeout=30)[0].splitlines())
    assert unknown in str(first)
    assert address not in str(first)
    assert {each.split(":")[0] for each in seen} <= own
    world.patch("echo", externalTrafficPolicy="Local")
    wait_for(lambda: world.ask(url, 1, toolbox.name)[0].split(":")[0] == toolbox.address, "the Pod sees the Pod")


@proof(
    "loadbalancer-local-inside",
    needs=("load-balancer",),
    control="The Pod on a Node without one of the Service's Pods would get no answer.",
)
def test_the_policy_local_does_not_count_for_pods(world: World) -> None:
    """Asks the outside address with the policy Local from a Pod on a Node that runs none of the Service's."""
    (pod,) = world.pods(node="worker1")
    world.service(type="LoadBalancer", externalTrafficPolicy="Local")
    address = address_of(world)
    far = world.toolbox("worker2").name
    wait_for(lambda: world.ask(f"http://{address}/hostname", 5, far) == [pod.name] * 5, "it answers")


# Who may, and whom the Pods see


@proof(
    "loadbalancer-source-ranges",
    "loadbalancer-source-ranges-node-port",
    "loadbalancer-source-ranges-inside",
    needs=("load-balancer",),
    control="We would get an answer at the address although our own is not in the list, as we do with a list that has"
    " it; none at the NodePort; and a Pod would get one whatever the list says.",
)
def test_source_ranges_close_the_address_and_nothing_else(world: World) -> None:
    """Asks the address from outside and from a Pod, and a NodePort, with a list of neither, then of each of them."""
    (pod,) = world.pods()
    service = world.service(type="LoadBalancer", loadBalancerSourceRanges=["192.0.2.0/24"])
    url = f"http://{address_of(world)}/hostname"
    at_node = f"http://{world.nodes['worker1']}:{service.spec.ports[0].node_port}/hostname"
    toolbox = world.toolbox()

    def who_is_answered() -> tuple[bool, bool]:
        return asked(url, 3) == [pod.name] * 3, world.ask(url, 3, toolbox.name, 1) == [pod.name] * 3

    wait_for(lambda: asked(at_node, 3) == [pod.name] * 3, "the NodePort answers")
    assert world.ask(f"http://{service.spec.cluster_ip}/hostname", 1, toolbox.name) == [pod.name]
    assert who_is_answered() == (False, False)
    assert outside_failure(url, 4) == "timeout"
    for ranges, expected in (
        ([f"{HERE}/32"], (True, False)),
        (["10.244.0.0/16"], (False, True)),
        (["10.244.0.0/16", f"{HERE}/32"], (True, True)),
    ):
        world.patch("echo", loadBalancerSourceRanges=ranges)
        wait_for(lambda expected=expected: who_is_answered() == expected, f"{ranges} let in {expected}")  # type: ignore[misc]
    assert outside(at_node) == pod.name


@proof(
    "loadbalancer-source-cluster",
    "loadbalancer-source-local",
    "loadbalancer-local-announcer",
    needs=("load-balancer",),
    control="The Pod would see the same address with both policies, or a Node without a Pod answer with Local.",
)
def test_whom_the_pod_sees(world: World) -> None:
    """Asks the Pod for its client's address with both policies, and sees which Node answers for the Service."""
    (pod,) = world.pods(node="worker2")
    wish = address_for("worker1", list(world.nodes))  # which runs no Pod
    world.service(metadata=annotated(wish=wish), type="LoadBalancer")
    assert address_of(world) == wish
    url = f"http://{wish}/clientip"
    wait_for(lambda: answers(url), "it answers")
    own = world.cluster.exec("worker1", ["hostname", "-I"]).split()
    assert outside(url).split(":")[0] in own
    owners = cards(world)
    wait_for(lambda: announcer(world) == "worker1", "MetalLB says that worker1 answers")
    assert owners[hardware_address(world, wish)] == "worker1"
    world.patch("echo", externalTrafficPolicy="Local")
    wait_for(lambda: answers(url) and outside(url).split(":")[0] == HERE, "the Pod sees us")
    assert owners[hardware_address(world, wish)] == pod.node
    wait_for(lambda: announcer(world) == pod.node, "MetalLB says so, too")


@proof(
    "loadbalancer-health-port",
    "loadbalancer-health-200",
    "loadbalancer-health-503",
    "loadbalancer-health-listens",
    "loadbalancer-health-immutable",
    control="There would be such a port with the policy Cluster, all Nodes would say the same, or the answer stay when"
    " the Pod goes.",
)
def test_each_node_says_whether_it_runs_a_pod(world: World) -> None:
    """Asks every Node at the health check port with a Pod on one of them, and then without."""
    (pod,) = world.pods(node="worker1")
    assert not world.service("cluster", type="LoadBalancer").spec.health_check_node_port
    port = world.service(type="LoadBalancer", externalTrafficPolicy="Local").spec.health_check_node_port
    assert 30000 <= port <= 32767

    def codes() -> dict[str, int]:
        return {node: status_of(f"http://{address}:{port}/") for node, address in world.nodes.items()}

    wait_for(lambda: codes() == {"control-plane": 503, "worker1": 200, "worker2": 503}, "one Node is healthy")
    with urllib.request.urlopen(f"http://{world.nodes['worker1']}:{port}/", timeout=5) as answer:
        assert answer.headers["X-Load-Balancing-Endpoint-Weight"] == "1"
        assert json.load(answer)["localEndpoints"] == 1
    assert "kube-proxy" in world.cluster.exec("worker1", ["ss", "-Hltnp", f"sport = {port}"])
    with pytest.raises(client.ApiException) as refused:
        world.patch("echo", healthCheckNodePort=port + 1)
    assert refused.value.status == 422
    assert "field is immutable" in refused.value.body
    world.delete_pod(pod)
    wait_for(lambda: set(codes().values()) == {503}, "no Node is healthy")


@proof(
    "loadbalancer-health-terminating",
    needs=("load-balancer",),
    control="The Node would say 200 as long as its Pod serves, or no longer pass connections on.",
)
def test_a_node_whose_pod_is_shut_down_says_503_and_serves(world: World) -> None:
    """Deletes the only Pod, which needs twenty seconds to end, and asks for its Node's health and for the Pod."""
    (pod,) = world.pods(args=["netexec", "--delay-shutdown=20"], terminationGracePeriodSeconds=30, node="worker1")
    port = world.service(type="LoadBalancer", externalTrafficPolicy="Local").spec.health_check_node_port
    health, url = f"http://{world.nodes['worker1']}:{port}/", f"http://{address_of(world)}/hostname"
    wait_for(lambda: status_of(health) == 200 and answers(url), "it is healthy")
    world.delete_pod(pod)
    wait_for(lambda: status_of(health) == 503, "it says 503", 15)
    assert outside(url) == pod.name
    world.core.delete_namespaced_pod(pod.name, world.namespace, grace_period_seconds=0)


# Layer 2: one Node answers


@proof(
    "loadbalancer-one-node",
    "loadbalancer-no-interface",
    "loadbalancer-l2-status",
    needs=("load-balancer",),
    control="ARP would be answered by several Nodes, or by another one than MetalLB names, or a Node would have the"
    " address, as it has its own.",
)
def test_one_node_answers_arp_for_an_address_that_nobody_has(world: World) -> None:
    """Asks all machines of the network three times by ARP who has the address, and looks for it on all Nodes."""
    world.pods()
    world.service(type="LoadBalancer")
    address = address_of(world)
    wait_for(lambda: answers(f"http://{address}/hostname"), "it answers")
    node = wait_for(lambda: announcer(world), "MetalLB names one Node")
    owners = cards(world)

    def replies(address: str) -> list[str]:
        arping = f"busybox arping -b -c 3 -I eth0 {address} || true"
        told = world.cluster.exec("client", ["sh", "-c", arping])
        return [owners[each] for each in re.findall(r"reply from \S+ \[([\w:]+)]", told)]

    assert wait_for(lambda: len(found := replies(address)) == 3 and found, "there are three replies") == [node] * 3
    assert replies(str(LAST)) == []
    for each, primary in world.nodes.items():
        told = world.cluster.exec(each, ["sh", "-c", "ip -brief address; ss -Hltn"])
        assert primary in told
        assert address not in told


@proof(
    "loadbalancer-spread",
    "loadbalancer-dnat",
    "loadbalancer-local-one-node",
    needs=("load-balancer",),
    control="Only the Pod of the Node that answers would get connections, or the rules lead by a NodePort.",
)
def test_the_node_that_answers_passes_connections_on_to_all(world: World) -> None:
    """Starts Pods on two Nodes, opens 40 connections, traces one through the Node's rules; then 40 with Local."""
    pods = world.pods("one", node="worker1", labels={"app": "echo"})
    pods += world.pods("two", node="worker2", labels={"app": "echo"})
    world.service(type="LoadBalancer")
    address = address_of(world)
    url = f"http://{address}/hostname"
    wait_for(lambda: set(asked(url, 40)) == {pod.name for pod in pods}, "both Pods answer")
    node = wait_for(lambda: announcer(world), "MetalLB names one Node")
    with start_trace(world, node, "--port", "80", "--to", address) as tracing:
        outside(url)
        traced = json.loads(tracing.communicate(timeout=30)[0])
    assert traced["destination"] == f"{address}:80"
    assert traced["final_destination"] in {f"{pod.address}:{POD_PORT}" for pod in pods}
    world.patch("echo", externalTrafficPolicy="Local")
    wait_for(lambda: len(set(asked(url, 40))) == 1, "one Pod answers")
    (only,) = set(asked(url, 40))
    assert only in {pod.name for pod in pods}
    assert {pod.name: pod.node for pod in pods}[only] == cards(world)[hardware_address(world, address)]


@proof(
    "loadbalancer-without-pods",
    "loadbalancer-without-pods-refused",
    needs=("load-balancer",),
    control="Connections from outside would be refused, as those to a NodePort are and those of a Pod; or nobody would"
    " answer ARP while the only Pod ends.",
)
def test_without_a_ready_pod_nobody_answers_arp(world: World) -> None:
    """Asks a Service without Pods from outside and from a Pod; then with a Pod, as it ends, and when it is gone."""
    service = world.service(type="LoadBalancer")
    address = address_of(world)
    url = f"http://{address}/hostname"
    at_node = f"http://{world.nodes['worker1']}:{service.spec.ports[0].node_port}/"
    wait_for(lambda: outside_failure(at_node, 3) == "refused", "the NodePort refuses")
    forget(world, address)  # another Service may have had it
    assert outside_failure(url, 6) == NO_ROUTE
    wait_for(lambda: world.failure(url) == "refused", "a Pod is refused")
    (pod,) = world.pods(args=["netexec", "--delay-shutdown=60"], terminationGracePeriodSeconds=70)
    wait_for(lambda: answers(url), "it answers")
    assert outside(url) == pod.name
    world.delete_pod(pod)
    wait_for(lambda: world.endpoints("echo")[pod.address].conditions.terminating, "it ends")
    forget(world, address)
    wait_for(lambda: answers(url), "ARP is answered while it ends, and it serves")
    assert outside(url) == pod.name
    remember(world, address)
    world.core.delete_namespaced_pod(pod.name, world.namespace, grace_period_seconds=0)
    wait_for(lambda: outside_failure(url, 6) == "refused", "who knows the Node is refused")
    wait_for(lambda: announcer(world) == "", "nobody answers ARP")
    forget(world, address)
    assert outside_failure(url, 6) == NO_ROUTE


@pytest.mark.disturbs
@proof(
    "loadbalancer-fail-over",
    "loadbalancer-fail-over-connections",
    "loadbalancer-fail-back",
    needs=("load-balancer", "change-nodes"),
    control="The address would be silent as long as the Node is, as its own is; the open connection would go on.",
)
def test_another_node_takes_the_address(world: World) -> None:
    """Cuts the power of the Node that answers for the address, asks again, also on an open connection."""
    (pod,) = world.pods(node="worker1")
    wish = address_for("worker2", list(world.nodes))
    service = world.service(metadata=annotated(wish=wish), type="LoadBalancer")
    assert address_of(world) == wish
    url = f"http://{wish}/hostname"
    at_node = f"http://{world.nodes['worker2']}:{service.spec.ports[0].node_port}/"
    wait_for(lambda: answers(url) and answers(at_node), "it answers")
    before = hardware_address(world, wish)
    assert cards(world)[before] == "worker2"
    connection = HTTPConnection(wish, timeout=5)
    connection.request("GET", "/hostname")
    assert connection.getresponse().read().decode() == pod.name
    world.cluster.stop_node("worker2")
    try:
        # What the dead Node's kernel still holds may answer for a moment.
        wait_for(lambda: answers(url) and hardware_address(world, wish) not in ("", before), "another Node answers")
        assert asked(url, 10) == [pod.name] * 10
        assert outside_failure(at_node, 2) not in ("", "refused")
        with pytest.raises((OSError, HTTPException)):
            connection.request("GET", "/hostname")
            connection.getresponse()
    finally:
        connection.close()
        world.cluster.start_node("worker2")
    wait_for(lambda: answers(url) and hardware_address(world, wish) == before, "the address is back", 120)


@pytest.mark.disturbs
@proof(
    "loadbalancer-excluded-node",
    needs=("load-balancer",),
    control="The Node would answer for the address on, as it does without the label.",
)
def test_a_node_can_be_excluded(world: World) -> None:
    """Puts the label that excludes a Node from load balancers on the one that answers, and takes it off again."""
    world.pods(node="worker1")
    wish = address_for("worker2", list(world.nodes))
    world.service(metadata=annotated(wish=wish), type="LoadBalancer")
    assert address_of(world) == wish
    url = f"http://{wish}/hostname"
    wait_for(lambda: answers(url) and announcer(world) == "worker2", "worker2 answers")
    before = hardware_address(world, wish)
    label = "node.kubernetes.io/exclude-from-external-load-balancers"
    world.core.patch_node("worker2", {"metadata": {"labels": {label: ""}}})
    try:
        wait_for(lambda: announcer(world) not in ("", "worker2"), "another Node answers")
        wait_for(lambda: answers(url) and hardware_address(world, wish) not in ("", before), "we go there")
    finally:
        world.core.patch_node("worker2", {"metadata": {"labels": {label: None}}})
    wait_for(lambda: announcer(world) == "worker2", "worker2 answers again")
