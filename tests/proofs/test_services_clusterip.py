"""Proofs of docs/kubernetes/resources/services-clusterip.md."""

import base64
import json
import time
from itertools import pairwise

import pytest
import urllib3
from kubernetes import client

from proofs import proof
from proofs.chance import ALPHA, p_of_even_spread
from proofs.world import POD_PORT, World, clients_outside, outside_failure, spread, wait_for

UNALLOCATED = "http://10.96.0.200/"
"""An address of the range that no Service has: it lies where those who ask for none are given one only in the end."""


@proof("clusterip-default-type", control="The API server would say another type.")
def test_without_a_type_a_service_is_a_cluster_ip(world: World) -> None:
    """Makes a Service without `type`, and one with another type, and reads what they are."""
    assert world.service().spec.type == "ClusterIP"
    assert world.service("other", type="NodePort").spec.type == "NodePort"


@proof(
    "clusterip-other-namespace",
    "myths-short-name",
    control="The short name would be found from the other namespace, too.",
)
def test_from_another_namespace_the_name_needs_its_namespace(world: World) -> None:
    """Asks DNS for the cluster's own Service `kube-dns`, which is in another namespace, by both names."""
    assert world.failure("http://kube-dns:9153/", seconds=5) == "name not found"
    assert world.failure("http://kube-dns.kube-system:9153/", seconds=5) != "name not found"
    assert world.run("dig +short +search kube-dns.kube-system").strip() == "10.96.0.10"


@proof("clusterip-second-range", control="The address would be refused, as it is before the range is there.")
def test_a_second_range_can_be_added(world: World) -> None:
    """Asks for an address outside the range, adds a ServiceCIDR, asks again, and connects to it."""
    (pod,) = world.pods()
    code, message = world.refusal(clusterIP="10.98.0.5")
    assert (code, "does not match the current range" in message) == (422, True)
    cidr = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": {"name": world.namespace},
        "spec": {"cidrs": ["10.98.0.0/24"]},
    }
    world.cluster.apply([cidr])
    try:
        wait_for(lambda: _made_with(world, "10.98.0.5"), "the address is given")
        wait_for(lambda: world.ask("http://10.98.0.5/hostname") == [pod.name], "it answers")
    finally:
        for service in world.core.list_namespaced_service(world.namespace).items:
            world.core.delete_namespaced_service(service.metadata.name, world.namespace)
        world.cluster.delete([cidr])


def _made_with(world: World, address: str) -> bool:
    try:
        world.refusal(clusterIP=address)
    except AssertionError:  # it was taken, as `refused`
        world.patch("refused", selector={"app": "echo"})
        return True
    return False


@proof(
    "clusterip-random",
    control="One Pod would get far more connections than the other, or they would take turns: chi-square tests say so"
    " with an error probability of one in a million.",
)
def test_connections_of_a_pod_go_to_a_pod_at_random(world: World) -> None:
    """Opens 400 connections from a Pod, counts which of two Pods answers, and how often it is the same as before."""
    pods = world.pods(count=2)
    world.service()
    url = "http://echo/hostname"
    wait_for(lambda: set(world.ask(url, 20)) == {pod.name for pod in pods}, "both Pods answer")
    seen = world.ask(url, 400)
    assert p_of_even_spread(list(spread(seen, pods).values())) > ALPHA
    again = sum(one == following for one, following in pairwise(seen))
    assert p_of_even_spread([again, len(seen) - 1 - again]) > ALPHA


@proof(
    "clusterip-not-least-loaded",
    "myths-least-connections",
    control="The Pod that is busy would get fewer connections, down to none; a chi-square test says so with an error"
    " probability of one in a million.",
)
def test_a_busy_pod_gets_as_many_connections_as_an_idle_one(world: World) -> None:
    """Opens 60 connections through the Service while it has one Pod, starts another one, and opens 300 more."""
    (busy,) = world.pods("busy", labels={"app": "echo"})
    world.service()
    url = "http://echo/hostname"
    wait_for(lambda: world.ask(url) == [busy.name], "the Pod answers")
    world.toolbox()  # what stays open ends with it
    world.run("for i in $(seq 60); do (sleep 300 | nc echo 80) >/dev/null 2>&1 </dev/null & done")
    count = "grep -c ' 01 ' /proc/net/tcp || true"  # established ones, see proc_net_tcp(5)
    wait_for(lambda: int(world.run(count)) >= 60, "the connections are open")
    (idle,) = world.pods("idle", labels={"app": "echo"})
    wait_for(lambda: set(world.ask(url, 20)) == {busy.name, idle.name}, "both Pods answer")
    seen = world.ask(url, 300)
    assert int(world.run(count)) >= 60, "they were open to the end"
    assert p_of_even_spread(list(spread(seen, (busy, idle)).values())) > ALPHA


@proof(
    "clusterip-grpc",
    control="Of 24 calls by one connection, some would meet the other Pod, as of those do that have a connection each;"
    " by chance alone all would meet one once in eight million times.",
)
def test_all_calls_of_a_grpc_connection_meet_one_pod(world: World) -> None:
    """Makes 24 gRPC calls for a service that one of two Pods knows: by a connection each, then all by one of HTTP/2."""
    for name in ("one", "two"):
        world.pods(name, args=["grpc-health-checking", f"--service={name}"], labels={"app": "echo"})
    world.service(ports=[{"port": 80, "targetPort": 5000}])
    world.run(f"echo {_as_text(GRPC_REQUEST)} | base64 -d >/tmp/request")
    curl = "curl -s --max-time 5 --http2-prior-knowledge -H 'Content-Type: application/grpc' -H 'TE: trailers'"
    ask = f"{curl} --data-binary @/tmp/request -o /dev/null -w '%{{http_code}} %{{size_download}}\\n' http://echo{GRPC_PATH}"
    each = f"for i in $(seq 24); do {ask}; done"
    wait_for(lambda: set(world.run(each).splitlines()) == {"200 0", "200 7"}, "both Pods answer")
    calls = _as_text(grpc_calls(24))
    told = world.run(f"(echo {calls} | base64 -d; sleep 2) | nc -w 5 echo 80 | base64")
    answers = grpc_answers(base64.b64decode(told))
    assert len(answers) == 24
    assert len(set(answers.values())) == 1


GRPC_PATH = "/grpc.health.v1.Health/Check"
GRPC_REQUEST = b"\0\0\0\0\5\n\3one"
"""A HealthCheckRequest with the service `one`: not compressed, 5 bytes, which are field 1 of three letters."""


def _as_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def grpc_calls(count: int) -> bytes:
    """What a client sends that makes so many calls at once by one connection of HTTP/2 (RFC 9113)."""

    def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
        return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload

    fields = {":method": "POST", ":scheme": "http", ":path": GRPC_PATH, ":authority": "echo"}
    fields |= {"content-type": "application/grpc", "te": "trailers"}
    # Each field is a literal that is not indexed, its strings without Huffman's code (RFC 7541).
    headers = b"".join(
        b"\0" + bytes((len(name),)) + name.encode() + bytes((len(value),)) + value.encode()
        for name, value in fields.items()
    )
    calls = [frame(1, 4, stream, headers) + frame(0, 1, stream, GRPC_REQUEST) for stream in range(1, 2 * count, 2)]
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0) + b"".join(calls)


def grpc_answers(data: bytes) -> dict[int, bool]:
    """Whether the service was known, for each call that was answered (with headers, and with data if it was)."""
    answers: dict[int, bool] = {}
    while data:
        size, kind, stream = int.from_bytes(data[:3], "big"), data[3], int.from_bytes(data[5:9], "big")
        if stream and kind in (0, 1):
            answers[stream] = answers.get(stream, False) or (kind == 0 and size > 0)
        data = data[9 + size :]
    return answers


@pytest.mark.disturbs  # takes the memory of an API server
@proof(
    "clusterip-dynamic-band",
    "clusterip-chosen-band",
    control="Of the first 14 addresses that are given, some would lie in the lower half of the range; that none does by"
    " chance has a probability of one in 40 million.",
)
def test_addresses_are_given_from_the_upper_band_first(world: World) -> None:
    """Starts a second API server with a range of 30 addresses, and has it give all that there are."""
    network, port = "10.99.0.0/27", 7443
    node, address = next(iter(world.nodes.items()))
    own = f"--etcd-prefix=/{world.namespace} --secure-port={port} --service-cluster-ip-range={network}"
    like = "$(tr '\\0' ' ' </proc/$(pgrep -xo kube-apiserver)/cmdline)"  # of flags given twice, the last one counts
    start = f"setsid {like} {own} >/dev/null 2>&1 </dev/null & echo $!"
    process = world.cluster.exec(node, ["sh", "-c", start]).strip()
    try:
        configuration = client.Configuration.get_default_copy()
        configuration.host = f"https://{address}:{port}"
        core = client.CoreV1Api(client.ApiClient(configuration))
        wait_for(lambda: _says_its_own_address(core), "the second API server is there", 120)
        chosen = {"metadata": {"name": "chosen"}, "spec": {"ports": [{"port": 80}], "clusterIP": "10.99.0.5"}}
        assert core.create_namespaced_service("default", chosen).spec.cluster_ip == "10.99.0.5"
        plain = {"metadata": {"generateName": "plain-"}, "spec": {"ports": [{"port": 80}]}}
        given = [
            int(core.create_namespaced_service("default", plain).spec.cluster_ip.rpartition(".")[2]) for _ in range(28)
        ]
    finally:
        world.cluster.exec(node, ["sh", "-c", f"kill {process}"])
        keys = {
            "key": _as_text(f"/{world.namespace}/".encode()),
            "range_end": _as_text(f"/{world.namespace}0".encode()),
        }
        forget = f"curl -s http://127.0.0.1:2379/v3/kv/deleterange -d '{json.dumps(keys)}'"
        world.cluster.exec(node, ["sh", "-c", forget])
    assert set(given[:14]) == set(range(17, 31))
    assert set(given[14:]) == set(range(2, 17)) - {5}  # .1 is its own, .5 was chosen


def _says_its_own_address(core: client.CoreV1Api) -> bool:
    try:
        return bool(core.read_namespaced_service("kubernetes", "default").spec.cluster_ip == "10.99.0.1")
    except (client.ApiException, OSError, urllib3.exceptions.HTTPError):
        return False


@proof(
    "clusterip-affinity-nat",
    control="The clients behind NAT would meet both Pods, as 24 clients do without it; by chance alone all would meet"
    " one once in eight million times.",
)
def test_clients_behind_one_nat_are_one_client(world: World) -> None:
    """Connects from 24 addresses of a machine outside to a Service with session affinity, then again through NAT."""
    pods = world.pods(count=2)
    port = world.service(type="NodePort", sessionAffinity="ClientIP").spec.ports[0].node_port
    url = f"http://{world.nodes['worker1']}:{port}/hostname"
    names = {pod.name for pod in pods}
    table = f"nat-{world.namespace}"
    nat = (
        f"add table ip {table}; add chain ip {table} out {{ type nat hook postrouting priority srcnat; }};"
        f" add rule ip {table} out ip daddr {world.nodes['worker1']} snat to 172.30.0.3"
    )
    with clients_outside(world, 100) as met:
        wait_for(lambda: set(met(url)) == names, "both Pods answer")
        world.cluster.exec("client", ["nft", nat])
        try:
            seen = met(url)
        finally:
            world.cluster.exec("client", ["nft", f"delete table ip {table}"])
    assert len(seen) == 24
    assert len(set(seen)) == 1


@proof(
    "clusterip-affinity-each-port",
    control="All twenty ports would lead to the same Pod; by chance alone they would once in half a million times.",
)
def test_affinity_counts_for_each_port_by_itself(world: World) -> None:
    """Connects twice to each of the twenty ports of a Service with session affinity and two Pods."""
    pods = world.pods(count=2)
    ports = [{"name": f"p{port}", "port": port, "targetPort": POD_PORT} for port in range(8001, 8021)]
    world.service(ports=ports, sessionAffinity="ClientIP")
    one = "curl -s --max-time 2 http://echo:$port/hostname"
    command = f"for port in $(seq 8001 8020); do echo $({one}) $({one}); done"

    def met() -> list[set[str]]:
        return [set(line.split()) for line in world.run(command).splitlines()]

    names = {pod.name for pod in pods}
    wait_for(lambda: all(each and each <= names for each in met()), "all ports answer")
    seen = met()
    assert len(seen) == 20
    assert all(len(each) == 1 for each in seen), "each port keeps to one Pod"
    assert set().union(*seen) == names


@proof(
    "clusterip-affinity-times-out",
    "clusterip-affinity-begins-anew",
    control="The same Pods would answer for ever, as they do without a pause; or some ports would change theirs after"
    " three seconds, and again after six. By chance alone none does once in a million times.",
)
def test_affinity_ends_after_its_timeout(world: World) -> None:
    """Sets a timeout of three seconds, and connects to ten ports again and again for seven, then after a pause."""
    names = {pod.name for pod in world.pods(count=2)}
    ports = [{"name": f"p{port}", "port": port, "targetPort": POD_PORT} for port in range(8001, 8011)]
    config = {"clientIP": {"timeoutSeconds": 3}}
    world.service(ports=ports, sessionAffinity="ClientIP", sessionAffinityConfig=config)
    curl = r"curl -s --max-time 2 -w '\n' 'http://echo:[8001-8010]/hostname' || true"

    def met() -> list[str]:
        return world.run(curl).splitlines()

    def kept() -> list[str]:
        """What all ports answered for seven seconds; nothing if a pause was too long, since the machine is busy."""
        first = met()
        begin = before = time.monotonic()
        while time.monotonic() < begin + 7:
            time.sleep(0.4)
            start = time.monotonic()
            now = met()
            if time.monotonic() > before + 2.5:
                return []
            assert now == first, "each connection begins the time anew"
            before = start
        return first

    wait_for(lambda: len(found := met()) == 10 and set(found) == names, "all ports answer")
    first = wait_for(kept, "the client connects often enough")

    def others_answer() -> bool:
        time.sleep(3.3)  # what is tried: a client that is silent for this long
        now = met()
        return set(now) <= names and now != first

    wait_for(others_answer, "other Pods answer after a pause")


@proof("clusterip-nowhere", control="A link of a Node would have the address, or a socket be bound to it.")
def test_nobody_has_the_address(world: World) -> None:
    """Looks for a Service's address among the addresses and listening sockets of all Nodes."""
    world.pods()
    address = world.service().spec.cluster_ip
    wait_for(lambda: world.ask(f"http://{address}/hostname") != [""], "it answers")
    for node, own in world.nodes.items():
        told = world.cluster.exec(node, ["sh", "-c", "ip -brief address; ss -Hltn"])
        assert own in told
        assert address not in told


@proof("clusterip-hairpin", "myths-hairpin", control="The connection would get no answer.")
def test_a_pod_reaches_itself_by_its_service(world: World) -> None:
    """Has a Pod ask a Service of which it is the only endpoint."""
    (toolbox,) = [world.toolbox()]
    labels = {"metadata": {"labels": {"app": "self"}}}
    world.core.patch_namespaced_pod(toolbox.name, world.namespace, labels)
    world.service("self")
    world.run(f"(nc -ll -p {POD_PORT} -e hostname >/dev/null 2>&1 &)")
    wait_for(lambda: world.run("nc -w 2 self 80 </dev/null || true").strip() == toolbox.name, "it reaches itself")


@proof(
    "clusterip-internal-local",
    "clusterip-internal-local-none",
    control="The client would meet the other Node's Pod, as it does with the policy Cluster, or be refused.",
)
def test_internal_traffic_policy_local(world: World) -> None:
    """Starts a Pod on each of two Nodes and asks from the first one, then without a Pod there, with both policies."""
    near, far = (world.pods(name, node=node, labels={"app": "echo"})[0] for name, node in NEAR_AND_FAR)
    world.service()
    toolbox = world.toolbox("worker1").name
    url = "http://echo/hostname"
    wait_for(lambda: set(world.ask(url, 30, toolbox)) == {near.name, far.name}, "both answer")
    world.patch("echo", internalTrafficPolicy="Local")
    wait_for(lambda: world.ask(url, 30, toolbox) == [near.name] * 30, "the near one alone answers")
    world.delete_pod(near)
    wait_for(lambda: world.failure(url, toolbox) == "timeout", "nobody answers, and nobody refuses")
    world.patch("echo", internalTrafficPolicy="Cluster")
    wait_for(lambda: world.ask(url, 5, toolbox) == [far.name] * 5, "the far one answers")


NEAR_AND_FAR = (("near", "worker1"), ("far", "worker2"))


@proof("clusterip-wrong-port-nftables", mode="nftables", control="The connection would wait until its time is up.")
def test_another_port_is_refused(world: World) -> None:
    """Asks a Service at a port that it does not have."""
    assert _failure_at_another_port(world) == "refused"


@proof("clusterip-wrong-port-iptables", mode="iptables", control="The connection would be refused at once.")
def test_at_another_port_nobody_answers(world: World) -> None:
    """Asks a Service at a port that it does not have, for a second."""
    assert _failure_at_another_port(world) == "timeout"


def _failure_at_another_port(world: World) -> str:
    (pod,) = world.pods()
    address = world.service().spec.cluster_ip
    wait_for(lambda: world.ask(f"http://{address}/hostname") == [pod.name], "the Service's own port answers")
    return world.failure(f"http://{address}:81/")


@proof("clusterip-unallocated", control="The connection would be refused at once, as one to a Service without Pods is.")
def test_at_an_address_of_no_service_nobody_answers(world: World) -> None:
    """Asks an address of the range that no Service has for a second, and a Service without Pods."""
    assert world.failure(UNALLOCATED) == "timeout"
    world.service("nobody")
    wait_for(lambda: world.failure("http://nobody/") == "refused", "that of a Service is refused")
    assert outside_failure(UNALLOCATED) != ""
