"""Proofs of docs/kubernetes/resources/kube-proxy.md."""

import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

import pytest

from proofs import proof
from proofs.world import AGNHOST, POD_PORT, World, answers, asked, outside, outside_failure, wait_for

HOLLOW = ("192.0.2.1", "192.0.2.2", "192.0.2.3")
"""Addresses at which there is no Pod, for documentation (RFC 5737): rules are written for them all the same."""
CONFIG = "/run/throwaway/kube-proxy.json"


def shell(world: World, node: str, command: str) -> str:
    """What a shell command prints on a Node, whether or not it fails."""
    return world.cluster.exec(node, ["sh", "-c", f"{command}; true"])


def chains(world: World, node: str) -> dict[str, list[str]]:
    """The rules that a Node's kube-proxy has made for the Services of this namespace alone, by chain."""
    found: dict[str, list[str]] = {}
    if world.mode == "nftables":
        table = shell(world, node, "nft list table ip kube-proxy")
        for chain in re.finditer(r"^\tchain (\S+) \{\n(.*?)^\t\}", table, re.MULTILINE | re.DOTALL):
            if f"-{world.namespace}/" in chain[1]:
                found[chain[1]] = [line.strip() for line in chain[2].splitlines()]
        return found
    for rule in re.finditer(r"^-A (KUBE-(?:SVC|SVL|EXT|SEP)-\S+) (.*)", shell(world, node, "iptables-save"), re.M):
        found.setdefault(rule[1], []).append(rule[2])
    return {chain: rules for chain, rules in found.items() if any(f"{world.namespace}/" in each for each in rules)}


def destinations(world: World, node: str) -> set[str]:
    """Where the rules for the Services of this namespace lead on a Node, as address:port."""
    rules = "\n".join(rule for rules in chains(world, node).values() for rule in rules)
    told = re.findall(r"(?:dnat to|--to-destination) ([\d.]+:\d+)", rules)
    return {*told, *(f"{address}:{port}" for address, port in re.findall(r": ([\d.]+) \. (\d+)", rules))}


def hollow_service(world: World, name: str = "echo", count: int = 1, **spec: Any) -> None:
    """A Service that leads to addresses without a Pod; returned when all its rules are there on worker1."""
    world.service(name, selector=None, **spec)
    world.endpoint_slice(name, 80, *HOLLOW[:count])
    label = f"{world.namespace}/{name}"
    wait_for(
        lambda: len(re.findall(r"192\.0\.2\.\d", _rules_of(world, label))) >= count, "its rules are there", seconds=30
    )


def _rules_of(world: World, label: str) -> str:
    """The rules on worker1 in which a Service is named, and those of its chains."""
    found = chains(world, "worker1").items()
    return "\n".join(
        "\n".join(rules) for chain, rules in found if label in chain or any(label in each for each in rules)
    )


@proof(
    "kube-proxy-writes-rules",
    "kube-proxy-same-on-every-node",
    control="The addresses would not be in the rules of each Node, or would stay in them.",
)
def test_rules_follow_endpoint_slices_on_every_node(world: World) -> None:
    """Makes a Service with an EndpointSlice of two addresses, reads the rules of all Nodes, and deletes the slice."""
    world.service(selector=None)
    assert all(not destinations(world, node) for node in world.nodes)
    world.endpoint_slice("echo", 80, *HOLLOW[:2])
    both = {f"{address}:80" for address in HOLLOW[:2]}
    wait_for(lambda: all(destinations(world, node) == both for node in world.nodes), "all Nodes have them", 30)
    world.discovery.delete_collection_namespaced_endpoint_slice(world.namespace)
    wait_for(lambda: all(not destinations(world, node) for node in world.nodes), "they are gone on all Nodes", 30)


@proof(
    "kube-proxy-headless",
    "kube-proxy-other-proxy",
    control="The Services would be in the rules, as the one is that is made last, with the same endpoints.",
)
def test_headless_services_and_those_of_other_proxies_are_left_alone(world: World) -> None:
    """Makes a headless Service, one with the label `service.kubernetes.io/service-proxy-name`, and an ordinary one."""
    label = {"labels": {"service.kubernetes.io/service-proxy-name": "another"}}
    world.service("headless", selector=None, clusterIP="None")
    world.service("other", metadata=label, selector=None)
    for name in ("headless", "other"):
        world.endpoint_slice(name, 80, HOLLOW[1])
    hollow_service(world)
    assert destinations(world, "worker1") == {f"{HOLLOW[0]}:80"}


@proof(
    "kube-proxy-one-endpoint",
    "kube-proxy-three-endpoints",
    control="There would be a rule of chance for one endpoint, or the chances of three would not be a third each.",
)
def test_how_rules_choose_among_one_or_three(world: World) -> None:
    """Makes a Service with one endpoint and one with three, and reads the rules that choose."""
    hollow_service(world, "one")
    hollow_service(world, "three", count=3)
    one, three = (_rules_of(world, f"{world.namespace}/{name}") for name in ("one", "three"))
    chance = r"numgen random mod (\d+)|--probability ([\d.]+)"
    assert not re.search(chance, one)
    found = re.findall(chance, three)
    chances = [("3", "") if mod else ("", f"{float(probability):.6f}") for mod, probability in found]
    assert chances == {"nftables": [("3", "")], "iptables": [("", "0.333333"), ("", "0.500000")]}[world.mode]


@proof(
    "kube-proxy-affinity-nftables", mode="nftables", control="There would be no set of clients, as without affinity."
)
def test_clients_are_remembered_in_sets(world: World) -> None:
    """Makes a Service with session affinity and two endpoints, and one without, and reads their rules and sets."""
    hollow_service(world, "none")
    hollow_service(world, "sticky", count=2, sessionAffinity="ClientIP")
    names = set(re.findall(r"@(affinity-\S+)", _rules_of(world, f"{world.namespace}/sticky")))
    assert len(names) == 2
    for name in names:
        assert "timeout 3h" in shell(world, "worker1", f"nft list set ip kube-proxy {name}")
    assert "affinity" not in _rules_of(world, f"{world.namespace}/none")


@proof(
    "kube-proxy-affinity-iptables", mode="iptables", control="There would be no list of clients, as without affinity."
)
def test_clients_are_remembered_in_lists(world: World) -> None:
    """Makes a Service with session affinity and two endpoints, and one without, and reads their rules."""
    hollow_service(world, "none")
    hollow_service(world, "sticky", count=2, sessionAffinity="ClientIP")
    rules = _rules_of(world, f"{world.namespace}/sticky")
    assert len(re.findall(r"-m recent --rcheck --seconds 10800", rules)) == 2
    assert "recent" not in _rules_of(world, f"{world.namespace}/none")


@proof("kube-proxy-own-rules", control="The rule would still be there after the Service has got another endpoint.")
def test_a_rule_in_a_chain_of_kube_proxys_does_not_last(world: World) -> None:
    """Adds a rule to the chain of a Service by hand, and gives the Service a second endpoint."""
    hollow_service(world)
    (chain,) = [each for each in chains(world, "worker1") if each.startswith(("service-", "KUBE-SVC-"))]
    by_hand = "192.0.2.99"
    nft, iptables = f"nft add rule ip kube-proxy {chain} ip saddr {by_hand}", f"iptables -t nat -A {chain} -s {by_hand}"
    world.cluster.exec("worker1", ["sh", "-c", f"{nft} counter" if world.mode == "nftables" else iptables])
    assert any(by_hand in rule for rule in chains(world, "worker1")[chain])
    world.endpoint_slice("echo", 80, HOLLOW[1])
    wait_for(lambda: f"{HOLLOW[1]}:80" in destinations(world, "worker1"), "the second endpoint is there", 30)
    assert not any(by_hand in rule for rule in chains(world, "worker1")[chain])


def many_services(world: World, count: int) -> None:
    """NodePort Services with one hollow endpoint each."""
    for number in range(count):
        name = f"many-{number}"
        world.service(name, selector=None, type="NodePort")
        world.endpoint_slice(name, 80, HOLLOW[0])

    def all_there() -> bool:
        told = "\n".join(rule for rules in chains(world, "worker1").values() for rule in rules)
        return len(re.findall(rf"(?:dnat to|--to-destination) {HOLLOW[0]}:80", told)) == count

    wait_for(all_there, "all rules are there")


@proof(
    "kube-proxy-lookup-nftables",
    "kube-proxy-six-a-service",
    mode="nftables",
    control="The chain that each packet passes would grow with each Service, as the map does.",
)
def test_the_first_chain_does_not_grow_with_services(world: World) -> None:
    """Counts the rules of the chain `services` before and after 20 Services are made, and what was added in all."""
    first = "nft list chain ip kube-proxy services"
    before = shell(world, "worker1", first)
    many_services(world, 20)
    assert shell(world, "worker1", first) == before
    assert "@service-ips" in before
    rules = sum(len([each for each in rules if each]) for rules in chains(world, "worker1").values())
    table = json.loads(shell(world, "worker1", "nft -j list table ip kube-proxy"))["nftables"]
    own = {json.dumps(service.spec.cluster_ip) for service in world.core.list_namespaced_service(world.namespace).items}
    elements = 0
    for container in (each[kind] for each in table for kind in ("map", "set") if kind in each):
        told = [json.dumps(element) for element in container.get("elem", ())]
        elements += sum(f"-{world.namespace}/" in each or each in own for each in told)
    assert (rules, elements) == (20 * 3, 20 * 3)


@proof(
    "kube-proxy-lookup-iptables",
    "kube-proxy-nine-a-service",
    mode="iptables",
    control="The chain that each first packet passes would not grow with Services.",
)
def test_the_first_chain_grows_with_each_service(world: World) -> None:
    """Counts the rules for this namespace in the chain `KUBE-SERVICES` after 20 Services are made, and all of them."""
    assert f"{world.namespace}/" not in shell(world, "worker1", "iptables -t nat -S KUBE-SERVICES")
    many_services(world, 20)
    first = shell(world, "worker1", "iptables -t nat -S KUBE-SERVICES").splitlines()
    assert sum(f"{world.namespace}/" in rule for rule in first) == 20
    ports = shell(world, "worker1", "iptables -t nat -S KUBE-NODEPORTS").splitlines()
    own = [rule for rules in chains(world, "worker1").values() for rule in rules]
    assert len(own) + 20 + sum(f"{world.namespace}/" in rule for rule in ports) == 20 * 9


def counted(world: World, node: str, rules: dict[str, tuple[str, str]], act: Callable[[], object]) -> dict[str, int]:
    """How many packets meet rules on a Node while something is done: name → count.

    `rules` are of nft's: name → type and hook of its chain, and what it matches.
    """
    table = f"counters-{world.namespace}"
    nft = f"add table ip {table};"
    for name, (hook, rule) in rules.items():
        nft += f"add chain ip {table} {name} {{ type {hook}; }}; add rule ip {table} {name} {rule} counter;"
    world.cluster.exec(node, ["nft", nft])
    try:
        act()
        told = json.loads(world.cluster.exec(node, ["nft", "-j", "list", "table", "ip", table]))["nftables"]
    finally:
        world.cluster.exec(node, ["nft", f"delete table ip {table}"])
    return {each["rule"]["chain"]: each["rule"]["expr"][-1]["counter"]["packets"] for each in told if "rule" in each}


@proof(
    "kube-proxy-first-packet",
    control="The counter among the rules that translate addresses would see every packet, as the other one does.",
)
def test_only_the_first_packet_meets_the_rules(world: World) -> None:
    """Counts the packets of one connection on the client's Node: those that meet NAT rules, and all."""
    (pod,) = world.pods(node="worker2")
    address = world.service().spec.cluster_ip
    toolbox = world.toolbox("worker1").name
    url = f"http://{address}/hostname"
    wait_for(lambda: world.ask(url, 10, toolbox) == [pod.name] * 10, "it answers each time")
    rule = f"ip daddr {address}"
    seen = counted(
        world,
        "worker1",
        {"first": ("nat hook prerouting priority -110", rule), "every": ("filter hook prerouting priority -310", rule)},
        lambda: world.ask(url, 1, toolbox),
    )
    assert seen["first"] == 1
    assert seen["every"] >= 5  # the handshake's two, the request, and the end


@proof(
    "kube-proxy-conntrack",
    control="The kernel would have noted nothing that fits, or that the connection went to another address, which is"
    " counted, too.",
)
def test_the_kernel_notes_where_a_connection_went(world: World) -> None:
    """Connects from a Pod to a Service, while `nft` counts its packets by what the Node's kernel has noted of it."""
    (pod,) = world.pods(node="worker2")
    address = world.service().spec.cluster_ip
    toolbox = world.toolbox("worker1")
    url = f"http://{address}/hostname"
    wait_for(lambda: world.ask(url, 5, toolbox.name) == [pod.name] * 5, "it answers each time")
    sent = f"ct original ip saddr {toolbox.address} ct original ip daddr {address}"
    sent += " ct protocol tcp ct original proto-dst 80"
    went = f"ct reply ip saddr {pod.address} ct reply proto-src {POD_PORT} ct reply ip daddr {toolbox.address}"
    hook = "filter hook forward priority 0"
    seen = counted(
        world,
        "worker1",
        {"noted": (hook, f"{sent} {went}"), "elsewhere": (hook, f"{sent} ct reply ip saddr != {pod.address}")},
        lambda: world.ask(url, 1, toolbox.name),
    )
    assert seen["noted"] >= 5  # the handshake's, the request, the answer, and the end
    assert seen["elsewhere"] == 0


@proof(
    "kube-proxy-open-connection",
    "kube-proxy-no-health-checks",
    control="The open connection would end or go to the other Pod, as new ones do; the Pod that does not listen would"
    " get none of 40 new ones.",
)
def test_open_connections_stay_and_new_ones_go_to_what_is_ready(world: World) -> None:
    """Takes a Pod out of a Service while a connection to it is open; then puts in one that is Ready but deaf."""
    one, two = world.pods(count=2)
    port = world.service(type="NodePort").spec.ports[0].node_port
    host = f"{world.nodes['control-plane']}:{port}"
    url = f"http://{host}/hostname"
    wait_for(lambda: set(asked(url, 20)) == {one.name, two.name}, "both answer")
    connection = HTTPConnection(host, timeout=5)
    connection.request("GET", "/hostname")
    met = connection.getresponse().read().decode()
    world.core.patch_namespaced_pod(met, world.namespace, {"metadata": {"labels": {"app": "out"}}})
    (other,) = {one.name, two.name} - {met}
    wait_for(lambda: asked(url, 20) == [other] * 20, "new connections go to the other one")
    connection.request("GET", "/hostname")
    assert connection.getresponse().read().decode() == met
    connection.close()
    (deaf,) = world.pods("deaf", args=["pause"], labels={"app": "echo"})
    wait_for(lambda: world.endpoints("echo")[deaf.address].conditions.ready, "it counts as ready")
    wait_for(lambda: set(asked(url, 40)) == {other, ""}, "some connections go to the one that does not listen")


@proof(
    "kube-proxy-hairpin",
    control="The Pod would see itself as the client, as it sees another Pod with that one's own address.",
)
def test_a_pod_that_meets_itself_sees_its_node(world: World) -> None:
    """Has a Pod ask its own Service, and another Pod's, who the client is."""
    (self,) = world.pods("self", node="worker1")
    (other,) = world.pods("other", node="worker1")

    def client_seen(service: str) -> str:
        address = world.core.read_namespaced_service(service, world.namespace).spec.cluster_ip
        query = f"host={address}&port=80&protocol=http&request=clientip&tries=1"
        told = shell(world, "worker1", f"curl -s --max-time 5 'http://{self.address}:{POD_PORT}/dial?{query}'")
        (answer,) = json.loads(told or "{}").get("responses") or [""]
        return str(answer.rpartition(":")[0])

    for name in ("self", "other"):
        world.service(name)
    own = shell(world, "worker1", "ip -4 -brief address")
    wait_for(lambda: client_seen("other") == self.address, "the other Pod sees the one that asks")
    wait_for(lambda: client_seen("self") in re.findall(r"[\d.]+(?=/)", own), "the Pod sees an address of its Node")
    assert other.address != self.address


@proof(
    "kube-proxy-metrics-local",
    "kube-proxy-healthz",
    control="The metrics would be served at the Node's address, as the health is.",
)
def test_health_is_for_everybody_and_metrics_are_for_the_node(world: World) -> None:
    """Asks each Node's kube-proxy for its health and its metrics, from outside and on the Node."""
    for node, address in world.nodes.items():
        health = json.loads(outside(f"http://{address}:10256/healthz"))
        assert health["nodeEligible"] is True
        for path, told in (("/metrics", "kubeproxy_"), ("/proxyMode", world.mode)):
            assert outside_failure(f"http://{address}:10249{path}") == "refused"
            assert told in shell(world, node, f"curl -s http://127.0.0.1:10249{path}")


def metric(world: World, node: str, name: str) -> float:
    """The sum of a metric of kube-proxy's over its labels."""
    told = shell(world, node, "curl -s http://127.0.0.1:10249/metrics")
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", told, re.MULTILINE))


@proof("kube-proxy-metrics-syncs", control="The counters would stand still when a Service is made.")
def test_each_change_is_counted(world: World) -> None:
    """Reads how often worker1's kube-proxy has written rules, makes a Service, and reads again."""
    names = ("kubeproxy_sync_proxy_rules_duration_seconds_count", "kubeproxy_sync_proxy_rules_service_changes_total")
    before = {name: metric(world, "worker1", name) for name in names}
    assert all(before.values())
    hollow_service(world)
    wait_for(lambda: all(metric(world, "worker1", name) > before[name] for name in names), "both have grown", 30)


@pytest.mark.disturbs
@proof("kube-proxy-healthz-leaving", control="/healthz would still say 200, as /livez does.")
def test_the_health_of_a_node_that_is_about_to_go(world: World) -> None:
    """Gives worker2 the taint by which the cluster autoscaler says that it will be deleted, and asks for its health."""
    address = world.nodes["worker2"]
    before = world.core.read_node("worker2").spec.taints or []
    taint = {"key": "ToBeDeletedByClusterAutoscaler", "value": "1", "effect": "PreferNoSchedule"}

    def status(path: str) -> str:
        return shell(
            world, "control-plane", f"curl -s -o /dev/null -w '%{{http_code}}' http://{address}:10256{path}"
        ).strip()

    assert (status("/healthz"), status("/livez")) == ("200", "200")
    world.core.patch_node("worker2", {"spec": {"taints": [*map(_as_json, before), taint]}})
    try:
        wait_for(lambda: status("/healthz") == "503", "it is not healthy any more", 30)
        assert status("/livez") == "200"
    finally:
        world.core.patch_node("worker2", {"spec": {"taints": list(map(_as_json, before))}})
    wait_for(lambda: status("/healthz") == "200", "it is healthy again", 30)


def _as_json(taint: object) -> dict[str, str]:
    return {key: value for key in ("key", "value", "effect") if (value := getattr(taint, key))}


@contextmanager
def stopped(world: World, node: str) -> Iterator[None]:
    """A Node's kube-proxy stands still (SIGSTOP) for as long as the block lasts."""
    world.cluster.exec(node, ["pkill", "-STOP", "-x", "kube-proxy"])
    try:
        yield
    finally:
        world.cluster.exec(node, ["pkill", "-CONT", "-x", "kube-proxy"])


@pytest.mark.disturbs
@proof(
    "kube-proxy-no-data",
    "kube-proxy-stopped",
    "kube-proxy-stopped-goes-stale",
    "kube-proxy-stopped-health",
    control="Connections would fail as soon as kube-proxy stands still; those to a Pod that is replaced meanwhile would"
    " succeed, as they do by another Node; and the Node's health would be told, as it is before and after.",
)
def test_connections_pass_while_kube_proxy_stands_still(world: World) -> None:
    """Stops worker1's kube-proxy (SIGSTOP), connects from a Pod there, replaces the only Pod, and connects again.

    Asks for the Node's health meanwhile, at `/healthz` and at a Service's `healthCheckNodePort`.
    """
    (one,) = world.pods("one", node="worker2", labels={"app": "echo"})
    port = world.service(type="NodePort").spec.ports[0].node_port
    toolbox = world.toolbox("worker1").name
    inside, elsewhere = "http://echo/hostname", f"http://{world.nodes['worker2']}:{port}/hostname"
    wait_for(lambda: world.ask(inside, 10, toolbox) == [one.name] * 10, "it answers each time")
    balanced = world.service("balanced", type="LoadBalancer", externalTrafficPolicy="Local").spec
    worker1 = world.nodes["worker1"]
    health = [f"http://{worker1}:10256/healthz", f"http://{worker1}:{balanced.health_check_node_port}/"]

    def tells_health() -> bool:
        return [outside_failure(url) for url in health] == ["", ""]

    wait_for(tells_health, "it tells its health at both ports")
    with stopped(world, "worker1"):
        assert [outside_failure(url) for url in health] == ["timeout", "timeout"]
        assert world.ask(inside, 20, toolbox) == [one.name] * 20
        (two,) = world.pods("two", node="worker2", labels={"app": "echo"})
        world.delete_pod(one)
        wait_for(lambda: asked(elsewhere, 10) == [two.name] * 10, "by another Node, the new Pod answers")
        assert world.failure(inside, toolbox) != ""
    wait_for(lambda: world.ask(inside, 10, toolbox) == [two.name] * 10, "the new Pod answers")
    wait_for(tells_health, "it tells its health again")


@pytest.mark.disturbs
@proof(
    "kube-proxy-restart",
    control="Some of the connections would fail while kube-proxy is not there, or is the same one.",
)
def test_no_connection_fails_while_kube_proxy_is_started_anew(world: World) -> None:
    """Opens connections through worker1 all the time, ends its kube-proxy, and waits for the next one to be healthy."""
    (pod,) = world.pods(node="worker2")
    address = world.nodes["worker1"]
    port = world.service(type="NodePort").spec.ports[0].node_port
    url = f"http://{address}:{port}/hostname"
    wait_for(lambda: asked(url, 10) == [pod.name] * 10, "it answers each time")
    before = shell(world, "worker1", "pgrep -x kube-proxy")
    world.cluster.exec("worker1", ["pkill", "-x", "kube-proxy"])
    seen: list[str] = []

    def another_one() -> bool:
        seen.extend(asked(url, 10))
        now = shell(world, "worker1", "pgrep -x kube-proxy")
        return bool(now) and now != before and answers(f"http://{address}:10256/healthz")

    wait_for(another_one, "another kube-proxy is there and healthy")
    seen.extend(asked(url, 50))
    assert set(seen) == {pod.name}


@pytest.mark.disturbs
@proof(
    "kube-proxy-node-port-addresses",
    control="The Node's primary address would answer, or the one that was chosen would not, as it does not in nftables"
    " mode before.",
)
def test_node_port_addresses_are_chosen(world: World) -> None:
    """Gives worker2's kube-proxy `nodePortAddresses` with the Node's address among its Pods, and starts it anew."""
    (pod,) = world.pods(node="worker2")
    port = world.service(type="NodePort").spec.ports[0].node_port
    primary, chosen = f"http://{world.nodes['worker2']}:{port}/hostname", f"http://10.244.2.1:{port}/hostname"
    ask = f"curl -s --max-time 1 {chosen}"
    wait_for(lambda: asked(primary, 10) == [pod.name] * 10, "the primary address answers")
    assert (shell(world, "worker2", ask) == pod.name) == (world.mode == "iptables")
    config = json.loads(shell(world, "worker2", f"cat {CONFIG}"))
    try:
        _start_anew(world, config | {"nodePortAddresses": ["10.244.2.1/32"]})
        wait_for(lambda: shell(world, "worker2", ask) == pod.name, "the chosen address answers")
        wait_for(lambda: outside_failure(primary) != "", "the primary address does not")
    finally:
        _start_anew(world, config)
    wait_for(lambda: asked(primary, 10) == [pod.name] * 10, "the primary address answers again")


def _start_anew(world: World, config: object) -> None:
    """End worker2's kube-proxy, so that the Node starts it with another configuration."""
    text = json.dumps(config)
    world.cluster.exec("worker2", ["sh", "-c", f"cat >{CONFIG} <<'END'\n{text}\nEND\n"])
    before = wait_for(lambda: shell(world, "worker2", "pgrep -x kube-proxy"), "it runs")
    world.cluster.exec("worker2", ["pkill", "-x", "kube-proxy"])
    healthy = f"http://{world.nodes['worker2']}:10256/healthz"
    wait_for(lambda: shell(world, "worker2", "pgrep -x kube-proxy") not in ("", before), "another one is there")
    wait_for(lambda: answers(healthy), "it is healthy")


@proof(
    "kube-proxy-default-warning",
    control="It would say another mode, or nothing of a default that is to change.",
)
def test_without_a_mode_it_is_iptables_and_says_so(world: World) -> None:
    """Starts a second kube-proxy without a mode, in the network of a Pod, and reads its mode and what it logs."""
    toolbox = world.toolbox("worker1")
    has_its_address = f"ip -n $name -4 -o address | grep -q 'inet {toolbox.address}/'"
    names = f"for name in $(ls /run/netns); do {has_its_address} && echo $name; done"
    inside = f"ip netns exec {shell(world, 'worker1', names).strip()}"
    own = f"/tmp/{world.namespace}.json"
    config = json.loads(shell(world, "worker1", f"cat {CONFIG}")) | {
        "mode": "",
        "healthzBindAddress": "127.0.0.1:10256",
    }
    text = json.dumps(config)
    script = (
        f"cat >{own} <<'END'\n{text}\nEND\n"
        f"{inside} timeout 20 kube-proxy --config={own} >{own}.log 2>&1 &\n"
        f"for i in $(seq 100); do mode=$({inside} curl -s http://127.0.0.1:10249/proxyMode) && break; sleep 0.1; done\n"
        f"echo $mode; kill $!; wait; cat {own}.log; rm {own} {own}.log"
    )
    mode, *log = shell(world, "worker1", script).splitlines()
    assert mode == "iptables", log
    assert any("No kube-proxy mode specified: defaulting to 'iptables'" in line for line in log), log
    assert any("in Kubernetes 1.40 the default mode will switch to 'nftables'" in line for line in log)


@proof("kube-proxy-ipvs-warning", control="The words would not be in the program, as others of this kind are not.")
def test_the_program_has_a_warning_for_ipvs(world: World) -> None:
    """Looks for the warning in the program that runs on worker1."""
    program = "$(readlink -f $(which kube-proxy))"
    words = "The ipvs proxier has been deprecated and will be disabled by default in Kubernetes 1.40"
    assert shell(world, "worker1", f"grep -aFc '{words}' {program}").strip() != "0"
    assert shell(world, "worker1", f"grep -aFc 'The nftables proxier has been deprecated' {program}").strip() == "0"


class Flow:
    """A client outside the cluster that sends datagrams by UDP, all from one port: one flow."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(0.5)
        self._to = (host, port)

    def ask(self) -> str:
        """Who answers to a datagram; "" if nobody does."""
        try:
            self._socket.sendto(b"hostname", self._to)
            return self._socket.recv(1024).decode()
        except OSError:  # no answer, or a message that there is nobody
            return ""

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()


@proof(
    "kube-proxy-udp-flow",
    "kube-proxy-udp-replaced",
    control="Datagrams of one port would meet both Pods; or after their Pod has gone they would get no more answers,"
    " for as long as the client goes on sending.",
)
def test_a_udp_flow_stays_with_its_pod_and_moves_on_when_that_goes(world: World) -> None:
    """Sends datagrams to two Pods from one port and from many, and deletes the Pod of the first while it sends on."""
    pods = world.pods(count=2)
    ports = [{"port": 80, "targetPort": 8081, "protocol": "UDP"}]
    port = world.service(type="NodePort", ports=ports).spec.ports[0].node_port
    host = world.nodes["control-plane"]

    def fresh() -> str:
        flow = Flow(host, port)
        try:
            return flow.ask()
        finally:
            flow.close()

    wait_for(lambda: {fresh() for _ in range(25)} == {pod.name for pod in pods}, "both answer to new flows")
    flow = Flow(host, port)
    try:
        (met,) = {flow.ask() for _ in range(25)}
        (pod,) = [pod for pod in pods if pod.name == met]
        world.delete_pod(pod)
        (other,) = {each.name for each in pods} - {met}
        wait_for(lambda: flow.ask() == other, "the same flow meets the other Pod", 30)
        assert {flow.ask() for _ in range(10)} == {other}
    finally:
        flow.close()


@proof(
    "kube-proxy-udp-unready",
    control="The flow would go on to meet its Pod, as the open connection does; or the connection end.",
)
def test_a_udp_flow_leaves_a_pod_that_is_not_ready_and_a_connection_stays(world: World) -> None:
    """Opens a connection and a flow to one of two Pods, which then says, by a readiness gate, that it is not ready."""
    gate = "example.com/serves"
    container = {"name": "main", "image": AGNHOST, "args": ["netexec"]}
    pods = world.pods(count=2, ready=False, containers=[container], readinessGates=[{"conditionType": gate}])
    names = {pod.name for pod in pods}

    def say(pod: str, status: str) -> None:
        said = {"status": {"conditions": [{"type": gate, "status": status}]}}
        world.core.patch_namespaced_pod_status(pod, world.namespace, said)

    for name in names:
        say(name, "True")
    ports = [
        {"name": "http", "port": 80, "targetPort": POD_PORT},
        {"name": "udp", "port": 80, "targetPort": 8081, "protocol": "UDP"},
    ]
    http, udp = (port.node_port for port in world.service(type="NodePort", ports=ports).spec.ports)
    host = world.nodes["control-plane"]
    url = f"http://{host}:{http}/hostname"
    wait_for(lambda: set(asked(url, 20)) == names, "both answer")
    connection = HTTPConnection(host, http, timeout=5)
    connection.request("GET", "/hostname")
    met = connection.getresponse().read().decode()
    flows: list[Flow] = []

    def flow_to_the_same() -> Flow | None:
        flows.append(Flow(host, udp))
        return flows[-1] if flows[-1].ask() == met else None

    try:
        flow = wait_for(flow_to_the_same, "a flow meets the Pod that has the connection")
        assert {flow.ask() for _ in range(10)} == {met}
        (other,) = names - {met}
        say(met, "False")
        wait_for(lambda: asked(url, 20) == [other] * 20, "new connections go to the other one")
        wait_for(lambda: flow.ask() == other, "the flow meets the other one")
        connection.request("GET", "/hostname")
        assert connection.getresponse().read().decode() == met, "the connection stays"
        assert world.core.read_namespaced_pod(met, world.namespace).status.phase == "Running"
    finally:
        connection.close()
        for each in flows:
            each.close()
