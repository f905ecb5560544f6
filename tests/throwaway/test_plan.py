"""The plan: what a cluster is called and which addresses it has."""

from dataclasses import asdict
from ipaddress import ip_address, ip_network

import pytest

from throwaway.boot import Boot
from throwaway.errors import ThrowawayError
from throwaway.plan import MAX_NODES, IpFamily, differing_settings, make_plan, plan_from_dict, unusual_settings


def test_three_nodes_have_addresses_and_pod_ranges_of_their_own() -> None:
    plan = make_plan()
    assert [(node.name, node.pod_subnets) for node in plan.nodes] == [
        ("control-plane", ("10.244.0.0/24",)),
        ("worker1", ("10.244.1.0/24",)),
        ("worker2", ("10.244.2.0/24",)),
    ]


@pytest.mark.parametrize("ip_family, versions", [("ipv4", [4]), ("ipv6", [6]), ("dual", [4, 6])])
def test_all_addresses_are_of_the_family_asked_for_and_no_two_are_the_same(
    ip_family: IpFamily, versions: list[int]
) -> None:
    plan = make_plan(nodes=MAX_NODES, ip_family=ip_family)
    owners = [host.addresses for host in plan.hosts] + [plan.gateways]
    assert all([ip_address(address).version for address in addresses] == versions for addresses in owners)
    pods = [subnet for node in plan.nodes for subnet in node.pod_subnets]
    assert len(set(pods)) == len(versions) * MAX_NODES
    for_services = [ip_address(end) for each in plan.load_balancer_range.split(",") for end in each.split("-")]
    for number, subnet in enumerate(map(ip_network, plan.node_subnets)):
        taken = [ip_address(addresses[number]) for addresses in owners]
        assert len(set(taken)) == len(taken)
        assert all(address in subnet for address in taken)
        first, last = for_services[2 * number : 2 * number + 2]
        assert first in subnet and last in subnet
        assert not any(int(first) <= int(address) <= int(last) for address in taken)
    assert [ip_network(subnet).version for subnet in plan.service_subnets] == versions


def test_an_ipv6_address_can_be_read_like_the_ipv4_one() -> None:
    assert make_plan(ip_family="dual").node("worker1").addresses == ("172.30.0.12", "fd00:172:30::12")
    assert make_plan(ip_family="ipv6").api_server == "https://[fd00:172:30::11]:6443"


@pytest.mark.parametrize(
    "nodes, zones, expected",
    [
        (3, 0, ["", "", ""]),
        (3, 2, ["zone2", "zone1", "zone2"]),
        (3, 3, ["zone3", "zone1", "zone2"]),
        (1, 1, ["zone1"]),
        (5, 2, ["zone2", "zone1", "zone2", "zone1", "zone2"]),
    ],
)
def test_zones_are_given_to_the_workers_in_turn(nodes: int, zones: int, expected: list[str]) -> None:
    assert [node.zone for node in make_plan(nodes=nodes, zones=zones).nodes] == expected


def test_services_have_the_ranges_asked_for() -> None:
    plan = make_plan(ip_family="dual", service_cidr="10.97.0.0/24, fd00:10:97::/112")
    assert plan.service_subnets == ("10.97.0.0/24", "fd00:10:97::/112")
    assert plan.api_service == "10.97.0.1"
    assert plan.dns_services == ("10.97.0.10", "fd00:10:97::a")


@pytest.mark.parametrize(
    "ip_family, service_cidr, complaint",
    [
        ("ipv4", "10.96.0.1/16", "10.96.0.1/16 has host bits set"),
        ("ipv4", "services", "does not appear to be an IPv4 or IPv6 network"),
        ("ipv4", "10.96.0.0/33", "does not appear to be an IPv4 or IPv6 network"),
        ("ipv4", "10.96.0.0/29", "10.96.0.0/29 is too small; Services need 16 addresses"),
        ("ipv4", "172.30.0.0/25", "172.30.0.0/25 overlaps the nodes' range 172.30.0.0/24"),
        ("ipv4", "10.0.0.0/8", "10.0.0.0/8 overlaps the Pods' range 10.244.0.0/16"),
        ("ipv4", "127.0.0.0/16", "addresses of 127.0.0.0/16 reach no other machine"),
        ("ipv4", "fd00:10:97::/112", "needs an IPv4 range, as in 10.96.0.0/16"),
        ("ipv4", "10.97.0.0/16,fd00:10:97::/112", "needs an IPv4 range, as in 10.96.0.0/16"),
        ("ipv6", "fd00:10:244::/64", "fd00:10:244::/64 overlaps the Pods' range fd00:10:244::/56"),
        ("dual", "10.97.0.0/16", "needs an IPv4 range and then an IPv6 range, as in 10.96.0.0/16,fd00:10:96::/112"),
        ("dual", "fd00:10:97::/112,10.97.0.0/16", "needs an IPv4 range and then an IPv6 range"),
    ],
)
def test_a_range_for_services_that_cannot_be_is_refused_in_one_line(
    ip_family: IpFamily, service_cidr: str, complaint: str
) -> None:
    with pytest.raises(ThrowawayError) as refused:
        make_plan(ip_family=ip_family, service_cidr=service_cidr)
    text = str(refused.value)
    assert text.startswith(f"--service-cidr {service_cidr}: ")
    assert complaint in text
    assert "\n" not in text


@pytest.mark.parametrize("ports", ["", "30000", "32767-30000", "0-100", "30000-65536", "a-b", "30000-32767-32768"])
def test_a_range_of_ports_that_cannot_be_is_refused(ports: str) -> None:
    with pytest.raises(ThrowawayError, match="write FIRST-LAST, ports from 1 to 65535, as in 30000-32767"):
        make_plan(service_node_port_range=ports)


@pytest.mark.parametrize("ip_family", ["ipv6", "dual"])
def test_network_policy_is_refused_where_it_would_have_no_effect(ip_family: IpFamily) -> None:
    with pytest.raises(ThrowawayError, match="use --ip-family ipv4"):
        make_plan(ip_family=ip_family, network_policy=True)


@pytest.mark.parametrize("zones", [-1, 4])
def test_an_impossible_number_of_zones_is_refused(zones: int) -> None:
    with pytest.raises(ThrowawayError, match="ask for 0 to 3"):
        make_plan(zones=zones)


def test_settings_that_differ_are_named_as_they_would_be_typed() -> None:
    running = make_plan(nodes=2, ip_family="dual", feature_gates={"B": False, "A": True})
    asked = make_plan(ip_family="dual", load_balancer=False)
    assert differing_settings(running, asked) == (
        ["--nodes 2", "--feature-gate A=true", "--feature-gate B=false", "--load-balancer"],
        ["--nodes 3", "no --feature-gate", "--no-load-balancer"],
    )
    assert differing_settings(running, asked, {"load_balancer"}) == (["--load-balancer"], ["--no-load-balancer"])


def test_only_settings_that_are_not_the_usual_ones_are_unusual() -> None:
    assert unusual_settings(make_plan(nodes=2, proxy_mode="iptables")) == []
    assert unusual_settings(make_plan(ip_family="ipv6", zones=2)) == ["--ip-family ipv6", "--zones 2"]
    assert unusual_settings(make_plan(service_cidr="10.97.0.0/16")) == ["--service-cidr 10.97.0.0/16"]


def test_a_plan_of_another_version_is_said_to_be_one() -> None:
    fields = asdict(make_plan("old"))
    del fields["clients"]
    with pytest.raises(ThrowawayError, match="started by another version of throwaway; 'throwaway down --name old'"):
        plan_from_dict(fields)


@pytest.mark.parametrize("name", ["", "-a", "A", "a b", "a/b", "x" * 33])
def test_a_name_that_is_no_dns_label_is_refused(name: str) -> None:
    with pytest.raises(ThrowawayError, match="cannot name a cluster"):
        make_plan(name)


@pytest.mark.parametrize("nodes", [0, -1, 21])
def test_an_impossible_number_of_nodes_is_refused(nodes: int) -> None:
    with pytest.raises(ThrowawayError, match="ask for 1 to 20"):
        make_plan(nodes=nodes)


def test_an_unknown_node_is_named_with_those_there_are() -> None:
    with pytest.raises(ThrowawayError, match=r"no node 'worker9'; its nodes are control-plane, worker1, worker2$"):
        make_plan().node("worker9")
    with pytest.raises(ThrowawayError, match=r"control-plane, worker1, worker2; beside them there is client$"):
        make_plan().host("worker9")
    assert make_plan().host("worker1") == make_plan().node("worker1")


def test_what_the_sandbox_is_told_survives_the_way_as_json() -> None:
    plan = make_plan("json", nodes=2, proxy_mode="iptables", ip_family="dual", feature_gates={"A": True}, zones=1)
    boot = Boot(plan, {"/a": "/b"}, {"": {"/c": "text"}}, {"worker1": []}, 3, [4], 5)
    assert Boot.from_json(boot.to_json()) == boot
