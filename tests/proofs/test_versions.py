"""Proofs of docs/versions.md: what a cluster of one version can show of it."""

import re

import pytest
from kubernetes import client

from proofs import proof
from proofs.world import World


@proof(
    "versions-strict-addresses", control="The API server would take it, as it takes the same address without the zero."
)
def test_an_address_with_a_leading_zero_is_refused(world: World) -> None:
    """Writes two EndpointSlices: one with an address that has a leading zero, one without it."""
    made, _ = world.endpoint_slice("good", 80, "10.0.0.1")
    assert made.endpoints[0].addresses == ["10.0.0.1"]
    with pytest.raises(client.ApiException) as refused:
        world.endpoint_slice("bad", 80, "010.0.0.1")
    assert refused.value.status == 422
    assert "010.0.0.1" in refused.value.body


@proof(
    "versions-which", control="One of the three would say something else than the API server and kube-proxy themselves."
)
def test_how_to_find_out_which_version_there_is(world: World) -> None:
    """Compares what kubectl prints with the API server's own version, and /proxyMode with kube-proxy's options."""
    version = client.VersionApi(world.core.api_client).get_code().git_version
    assert re.search(rf"^Server Version: {re.escape(version)}$", world.cluster.kubectl(["version"]), re.MULTILINE)
    rows = [line.split() for line in world.cluster.kubectl(["get", "nodes", "--no-headers"]).splitlines()]
    nodes = world.core.list_node().items
    assert {row[0]: row[4] for row in rows} == {n.metadata.name: n.status.node_info.kubelet_version for n in nodes}
    told = world.cluster.exec("worker1", ["curl", "-s", "http://127.0.0.1:10249/proxyMode"])
    rules = {"nftables": ["nft", "list", "table", "ip", "kube-proxy"], "iptables": ["iptables-save", "-t", "nat"]}
    assert re.search("KUBE-SVC|service-", world.cluster.exec("worker1", rules[told])), "it has rules of this mode"
