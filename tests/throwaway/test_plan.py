"""The plan: what a cluster is called and which addresses it has."""

import pytest

from throwaway.errors import ThrowawayError
from throwaway.init import Boot
from throwaway.plan import make_plan


def test_three_nodes_have_addresses_and_pod_ranges_of_their_own() -> None:
    plan = make_plan()
    assert [(node.name, *node.pod_subnets) for node in plan.nodes] == [
        ("control-plane", "10.244.0.0/24"),
        ("worker1", "10.244.1.0/24"),
        ("worker2", "10.244.2.0/24"),
    ]
    assert len({node.address for node in plan.nodes} | {plan.gateway}) == 4


@pytest.mark.parametrize("name", ["", "-a", "A", "a b", "a/b", "x" * 33])
def test_a_name_that_is_no_dns_label_is_refused(name: str) -> None:
    with pytest.raises(ThrowawayError, match="cannot name a cluster"):
        make_plan(name)


@pytest.mark.parametrize("nodes", [0, -1, 21])
def test_an_impossible_number_of_nodes_is_refused(nodes: int) -> None:
    with pytest.raises(ThrowawayError, match="ask for 1 to 20"):
        make_plan(nodes=nodes)


def test_an_unknown_node_is_named_with_those_there_are() -> None:
    with pytest.raises(ThrowawayError, match="no node 'worker9'; its nodes are control-plane, worker1, worker2"):
        make_plan().node("worker9")


def test_what_the_sandbox_is_told_survives_the_way_as_json() -> None:
    plan = make_plan("json", nodes=2, proxy_mode="iptables")
    boot = Boot(plan, {"/a": "/b"}, {"": {"/c": "text"}}, {"worker1": []}, 3, [4], 5)
    assert Boot.from_json(boot.to_json()) == boot
