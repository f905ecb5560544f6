"""Proofs of docs/kubernetes/resources/services-headless.md."""

from ipaddress import ip_address
from typing import Any

from kubernetes import client

from proofs import proof
from proofs.world import POD_PORT, Pod, World, wait_for

# DNS remembers for 30 seconds what it has said, also that a name is not there. So these proofs ask for a name when the
# answer is due, and find that out by questions of another type (SRV), or by another name.


def full(world: World, name: str) -> str:
    """The whole DNS name of a Service, or of something beneath it."""
    return f"{name}.{world.namespace}.svc.cluster.local"


def looked_up(world: World, name: str, kind: str = "A") -> list[str]:
    """What DNS answers for a name, sorted: addresses, or SRV records."""
    return sorted(line for line in world.run(f"dig +short {kind} {full(world, name)}").split("\n") if line)


def known(world: World, name: str, count: int) -> None:
    """Wait until DNS knows so many endpoints of a Service, by its SRV records."""
    wait_for(lambda: len(ready(world, name)) == count, f"{count} endpoints")
    wait_for(lambda: len(looked_up(world, name, "SRV")) == count, f"DNS knows {count}")


def ready(world: World, name: str) -> list[str]:
    """The addresses that the EndpointSlices of a Service call ready, or say nothing of."""
    return [address for address, each in world.endpoints(name).items() if each.conditions.ready is not False]


def headless(world: World, name: str = "echo", **spec: Any) -> Any:
    """Make a headless Service."""
    return world.service(name, clusterIP="None", **spec)


def named_pod(world: World, name: str, subdomain: str, hostname: str = "") -> Pod:
    """A Pod with the label `app: echo`, with a host name and a subdomain."""
    (pod,) = world.pods(name, labels={"app": "echo"}, hostname=hostname or name, subdomain=subdomain)
    return pod


@proof(
    "headless-no-rules",
    control="The Nodes' rules would speak of it, as they do of a Service with an address for the same Pod.",
)
def test_a_headless_service_has_no_rules(world: World) -> None:
    """Makes a headless Service and one with an address for the same Pod, and reads the rules of all Nodes."""
    world.pods()
    headless(world)
    world.service("other", selector={"app": "echo"})

    command = ["nft", "list", "table", "ip", "kube-proxy"] if world.mode == "nftables" else ["iptables-save"]

    def rules(node: str) -> str:
        told = world.cluster.exec(node, command)
        return told if f"{world.namespace}/other" in told else ""

    for node in world.nodes:
        told = wait_for(lambda node=node: rules(node), f"{node} knows the other one")  # type: ignore[misc]
        assert f"{world.namespace}/echo" not in told
    assert len(world.endpoints("echo")) == 1


@proof("headless-only-ready", control="DNS would answer with both addresses.")
def test_dns_answers_with_ready_pods_only(world: World) -> None:
    """Starts a ready Pod and one that never gets ready, with one label, and asks DNS."""
    (pod,) = world.pods()
    (other,) = world.pods("never", labels={"app": "echo"}, ready=False)
    headless(world)
    wait_for(lambda: set(world.endpoints("echo")) == {pod.address, other.address}, "the slice has both")
    known(world, "echo", 1)
    assert looked_up(world, "echo") == [pod.address]


@proof(
    "headless-publish-not-ready",
    "headless-publish-not-ready-says-ready",
    control="DNS would not find the name, as it does not find that of a Service without the field.",
)
def test_publish_not_ready_addresses(world: World) -> None:
    """Makes two headless Services for a Pod that is never ready, one of which publishes it; asks DNS for both."""
    (pod,) = world.pods(ready=False)
    headless(world)
    headless(world, "all", selector={"app": "echo"}, publishNotReadyAddresses=True)
    wait_for(lambda: world.endpoints("echo") and world.endpoints("all"), "both have their slices")
    assert world.endpoints("echo")[pod.address].conditions.ready is False
    assert world.endpoints("all")[pod.address].conditions.ready is True
    known(world, "all", 1)
    assert looked_up(world, "all") == [pod.address]
    assert looked_up(world, "echo") == []


@proof(
    "headless-srv-target-port",
    "headless-srv-cluster-ip",
    control="Both would say the same port.",
)
def test_srv_records_say_the_port_to_connect_to(world: World) -> None:
    """Asks DNS for the SRV records of a headless Service and of one with an address, both with port 80 for 8080."""
    (pod,) = world.pods()
    ports = [{"name": "http", "port": 80, "targetPort": POD_PORT}]
    headless(world, ports=ports)
    world.service("other", selector={"app": "echo"}, ports=ports)
    known(world, "echo", 1)
    name = full(world, pod.address.replace(".", "-") + ".echo")
    assert looked_up(world, "_http._tcp.echo", "SRV") == [f"0 100 {POD_PORT} {name}."]
    wait_for(lambda: looked_up(world, "other", "SRV"), "DNS knows the other one")
    assert looked_up(world, "_http._tcp.other", "SRV") == [f"0 100 80 {full(world, 'other')}."]
    assert looked_up(world, pod.address.replace(".", "-") + ".echo") == [pod.address]


@proof("headless-srv-needs-port-name", control="DNS would find the record, as it finds that of a named port.")
def test_srv_records_of_a_port_need_its_name(world: World) -> None:
    """Asks for the SRV records of the port `http` of two Services, one of which gives its port that name."""
    world.pods()
    headless(world, "named", selector={"app": "echo"}, ports=[{"name": "http", "port": POD_PORT}])
    headless(world, "plain", selector={"app": "echo"}, ports=[{"port": POD_PORT}])
    for name in ("named", "plain"):
        known(world, name, 1)
    assert len(looked_up(world, "_http._tcp.named", "SRV")) == 1
    assert looked_up(world, "_http._tcp.plain", "SRV") == []


@proof(
    "headless-subdomain",
    "headless-service-name-must-fit",
    control="The name would be missing, or be there for the Pod with another subdomain, too.",
)
def test_a_pod_has_a_name_where_its_subdomain_is_the_service(world: World) -> None:
    """Starts two Pods with host names, one with the Service's name for a subdomain, and asks DNS for both."""
    one = named_pod(world, "one", "echo")
    other = named_pod(world, "other", "another-service")
    headless(world)
    known(world, "echo", 2)
    assert looked_up(world, "one.echo") == [one.address]
    assert looked_up(world, "other.echo") == []
    assert looked_up(world, "other.another-service") == []
    assert looked_up(world, other.address.replace(".", "-") + ".echo") == [other.address]


@proof(
    "headless-deployment-pods",
    control="The Pod's own name would be found in DNS, as that of a StatefulSet's Pod is; or the one of its address"
    " would not.",
)
def test_other_pods_are_named_by_their_address(world: World) -> None:
    """Asks DNS for a Pod that is not of a StatefulSet by its own name, and by its address with dashes."""
    (pod,) = world.pods()
    headless(world)
    known(world, "echo", 1)
    assert looked_up(world, f"{pod.name}.echo") == []
    assert looked_up(world, pod.address.replace(".", "-") + ".echo") == [pod.address]


@proof("headless-reverse", control="DNS would have no name for the address, or another one.")
def test_an_address_leads_back_to_the_name(world: World) -> None:
    """Asks DNS for the name of a Pod that has one, by its address."""
    pod = named_pod(world, "one", "echo")
    headless(world)
    known(world, "echo", 1)
    told = world.run(f"dig +short -x {pod.address}").split()
    assert told == [f"{full(world, 'one.echo')}."]


@proof(
    "headless-order-changes",
    control="The same address would come first in all of 40 answers; by chance that happens once in 2**39 times.",
)
def test_the_order_of_the_addresses_changes(world: World) -> None:
    """Asks DNS 40 times for a headless Service of two Pods, and sees which address comes first."""
    one, other = world.pods(count=2)
    headless(world)
    known(world, "echo", 2)
    name = full(world, "echo")
    told = world.run(f"for i in $(seq 40); do dig +short {name} | head -n 1; done").split()
    assert set(told) == {one.address, other.address}


@proof(
    "headless-own-network",
    control="A client would meet both Pods, and the nearer address would not always come first; by chance each of them"
    " does so all of 20 times once in 2**20 cases.",
)
def test_a_client_of_glibc_prefers_a_pod_of_its_own_node(world: World) -> None:
    """Starts a Pod and a client on each of two Nodes; 20 times each client looks up a headless Service, and asks it.

    Then writes a slice of two addresses of a client's network, which share 31 and 25 bits with its own, and one of
    another network; reads 20 times which of them curl tries first.
    """
    nodes = ("worker1", "worker2")
    pods = {node: world.pods(f"echo-{node}", node=node, labels={"app": "echo"})[0] for node in nodes}
    headless(world)
    known(world, "echo", 2)
    for node, pod in pods.items():
        asking = world.toolbox(node)
        url = f"http://echo:{POD_PORT}/hostname"
        assert [world.ask(url, 1, asking.name)[0] for _ in range(20)] == [pod.name] * 20
    headless(world, "db", selector=None)
    own = ip_address(world.toolbox("worker1").address)
    near, far = str(ip_address(int(own) ^ 1)), str(ip_address(int(own) ^ 64))
    world.endpoint_slice("db", 5432, near, far, "192.0.2.1")
    known(world, "db", 3)
    first = "curl -sv --max-time 1 http://db:5432/ 2>&1 | grep -m 1 -o 'Trying [0-9.]*'"
    told = world.run(f"for i in $(seq 20); do {first} & done; wait", world.toolbox("worker1").name)
    assert told.splitlines() == [f"Trying {near}"] * 20


@proof(
    "headless-client-tries-the-next",
    control="Some connections by the headless Service would fail, as they do by the one with an address.",
)
def test_a_client_can_try_the_next_address(world: World) -> None:
    """Makes two Services for one address that answers and one that refuses, one headless; asks both by curl.

    Reads what curl says of each connection: some were refused first. The client is on another Node than the Pod.
    """
    (pod,) = world.pods(node="worker1")
    asking = world.toolbox("worker2").name  # so neither address is of its own network, which it would try first
    dead = world.nodes["worker1"]  # where nobody listens at this port
    headless(world, selector=None, ports=[{"port": POD_PORT}])
    world.service("other", selector=None, ports=[{"port": POD_PORT}])
    for name in ("echo", "other"):
        world.endpoint_slice(name, POD_PORT, pod.address, dead)
    known(world, "echo", 2)
    wait_for(lambda: set(world.ask(f"http://other:{POD_PORT}/hostname", 20, asking)) == {pod.name, ""}, "some fail")
    curl = f"curl -sv --stderr /tmp/said --max-time 2 -w ' ' http://echo:{POD_PORT}/hostname"
    told = world.run(f"for i in $(seq 30); do {curl}; grep -c refused /tmp/said; done", asking).splitlines()
    assert [line.split()[0] for line in told] == [pod.name] * 30, "each looks up the addresses, in another order"
    assert any(line.split()[1] != "0" for line in told), "some were refused first"  # none by a chance of 1 in 2**30


@proof(
    "headless-without-selector",
    "headless-slice-hostname",
    control="DNS would not find the name, or answer with other addresses than the slice has.",
)
def test_without_a_selector_dns_answers_what_the_slice_says(world: World) -> None:
    """Writes an EndpointSlice with a named and an unnamed address for a headless Service, and asks DNS."""
    headless(world, "db", selector=None)
    world.endpoint_slice("db", 5432, {"addresses": ["192.0.2.1"], "hostname": "first"}, "192.0.2.2")
    known(world, "db", 2)
    assert looked_up(world, "db") == ["192.0.2.1", "192.0.2.2"]
    assert looked_up(world, "first.db") == ["192.0.2.1"]


@proof(
    "headless-for-good",
    control="The API server would take the change, as it does from one type of Service with an address to another.",
)
def test_a_service_stays_headless(world: World) -> None:
    """Tries to give a headless Service an address, and to take it from another Service."""
    headless(world)
    world.service("other")
    for name, wanted in (("echo", "10.96.0.201"), ("other", "None")):
        try:
            world.patch(name, clusterIP=wanted, clusterIPs=[wanted])
        except client.ApiException as refused:
            assert (refused.status, "may not change once set" in str(refused.body)) == (422, True), refused.body
        else:
            raise AssertionError(f"{name} was changed")


@proof(
    "headless-no-environment",
    control="The Pod would have its variables, as it has those of the Service with an address.",
)
def test_a_headless_service_is_not_in_the_environment(world: World) -> None:
    """Makes a headless Service and one with an address, starts a Pod, and reads its environment."""
    headless(world)
    address = world.service("other").spec.cluster_ip
    told = world.run("env", world.toolbox().name)
    assert f"OTHER_SERVICE_HOST={address}" in told
    assert "ECHO_SERVICE_HOST" not in told


@proof("headless-affinity-ignored", control="The API server would say nothing.")
def test_session_affinity_is_ignored(world: World) -> None:
    """Makes Services with session affinity, one headless, and reads the API server's warnings."""
    warnings = []
    for name, address in (("echo", "None"), ("other", "")):
        spec = {"ports": [{"port": 80}], "sessionAffinity": "ClientIP"} | ({"clusterIP": address} if address else {})
        own = {"metadata": {"name": name}, "spec": spec}
        _, _, headers = world.core.create_namespaced_service_with_http_info(world.namespace, own)
        warnings.append(headers.get("Warning", ""))
    assert "spec.SessionAffinity is ignored for headless services" in warnings[0]
    assert warnings[1] == ""


@proof(
    "headless-many-pods",
    control="The answer by UDP would hold all addresses.",
)
def test_a_long_answer_needs_tcp(world: World) -> None:
    """Writes a slice of 60 addresses for a headless Service, and asks DNS for it by UDP alone, and as clients do."""
    headless(world, "many", selector=None)
    world.endpoint_slice("many", 80, *(f"192.0.2.{number}" for number in range(1, 61)))
    name = full(world, "many")
    wait_for(lambda: len(looked_up(world, "many", "SRV")) == 60, "DNS knows all")
    by_udp = world.run(f"dig +ignore +noedns {name}")
    assert "flags: qr aa tc" in by_udp or " tc " in by_udp.partition("flags:")[2].partition(";")[0], by_udp
    assert by_udp.count("192.0.2.") < 60
    assert len(world.run(f"dig +short +tcp +noedns {name}").split()) == 60


@proof(
    "headless-old-answers",
    "headless-ttl",
    control="DNS would no longer answer with the address at once, or with a longer time to live.",
)
def test_dns_says_for_a_while_what_was_true(world: World) -> None:
    """Asks DNS for a headless Service, takes its only Pod out by its label, and asks again, ten times if need be."""
    (pod,) = world.pods()
    for attempt in range(10):
        name = f"echo-{attempt}"
        headless(world, name, selector={"app": "echo"})
        known(world, name, 1)
        first = world.run(f"dig +noall +answer {full(world, name)}").split()
        assert first[4] == pod.address
        assert 0 <= int(first[1]) <= 30
        world.patch(name, selector={"app": "nobody"})
        wait_for(lambda name=name: not world.endpoints(name), "it has no endpoints any more")  # type: ignore[misc]
        if looked_up(world, name) == [pod.address]:
            return  # else this took longer than DNS remembers
    raise AssertionError("DNS forgets at once")


@proof(
    "headless-pod-is-asked-itself",
    control="The client's connection would have the Service's address at its other end, as it has with a ClusterIP.",
)
def test_the_connection_goes_to_the_pods_address(world: World) -> None:
    """Asks a headless Service and one with an address, and reads with whom curl was connected."""
    (pod,) = world.pods()
    headless(world, ports=[{"port": POD_PORT}])
    address = world.service("other", selector={"app": "echo"}, ports=[{"port": POD_PORT}]).spec.cluster_ip
    known(world, "echo", 1)
    wait_for(lambda: world.ask(f"http://other:{POD_PORT}/hostname", 3) == [pod.name] * 3, "the other answers")
    peer = "curl -s -o /dev/null -w '%{remote_ip}'"
    assert world.run(f"{peer} http://echo:{POD_PORT}/") == pod.address
    assert world.run(f"{peer} http://other:{POD_PORT}/") == address
