"""Proofs of docs/kubernetes/resources/traffic-policies.md."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from proofs import proof
from proofs.world import (
    Pod,
    World,
    answered,
    answers,
    asked,
    asking,
    clients_outside,
    outside,
    outside_failure,
    wait_for,
)

HTTP = "http://echo/hostname"
ZONE = "topology.kubernetes.io/zone"
SAME_NODE = "PreferSameNode"
SAME_ZONE = "PreferSameZone"


def is_at_rest(world: World) -> bool:
    """Whether Pods and EndpointSlices stay as they are for three seconds."""

    def versions() -> list[str]:
        slices = world.discovery.list_namespaced_endpoint_slice(world.namespace).items
        pods = world.core.list_namespaced_pod(world.namespace).items
        return [each.metadata.resource_version for each in (*slices, *pods)]

    before, end = versions(), time.monotonic() + 3
    while (is_same := versions() == before) and time.monotonic() < end:
        time.sleep(0.2)
    return is_same


def near_and_far(world: World, **options: Any) -> tuple[Pod, Pod]:
    """A Pod on worker1 and one on worker2, with the same labels; the control plane has none."""
    (near,) = world.pods("near", node="worker1", labels={"app": "echo"}, **options)
    (far,) = world.pods("far", node="worker2", labels={"app": "echo"}, **options)
    return near, far


def urls(world: World, service: Any, path: str = "/hostname") -> dict[str, str]:
    """Node → how a NodePort Service is asked there."""
    port = service.spec.ports[0].node_port
    return {node: f"http://{address}:{port}{path}" for node, address in world.nodes.items()}


def asked_on(world: World, node: str, url: str, times: int = 20) -> set[str]:
    """What an address answers to a process on a Node; "" where nothing comes."""
    return set(answered(world.cluster.exec(node, ["sh", "-c", asking(url, times)])))


def meets(world: World, node: str, url: str, pods: set[str], times: int = 20) -> bool:
    """Whether just these Pods answer a Pod on a Node."""
    return set(world.ask(url, times, world.toolbox(node).name)) == pods


def meets_on(world: World, node: str, url: str, pods: set[str]) -> bool:
    """Whether just these Pods answer a process on a Node."""
    return asked_on(world, node, url) == pods


@proof(
    "traffic-cluster-source-anywhere",
    control="The Pod would see us, as it does with the policy Local, or an address of another Node than the one asked.",
)
def test_with_cluster_a_pod_never_sees_the_client(world: World) -> None:
    """Asks a Pod at its own Node and at another one, with both policies, and compares whom it sees."""
    world.pods(node="worker1")
    at = urls(world, world.service(type="NodePort"), "/clientip")
    wait_for(lambda: all(map(answers, at.values())), "every Node answers")
    for node, url in at.items():
        seen = outside(url).rpartition(":")[0]
        assert seen in world.cluster.exec(node, ["hostname", "-I"]).split(), "it is one of the Node's own"
    world.patch("echo", externalTrafficPolicy="Local")
    wait_for(lambda: outside(at["worker1"]).startswith("172.30.0.1:"), "with Local it sees us")


@proof(
    "traffic-local-uneven",
    "traffic-local-uneven-pods",
    control="Both Nodes would lead to all three Pods, as they do with the policy Cluster.",
)
def test_with_local_each_node_shares_among_its_own(world: World) -> None:
    """Starts one Pod on worker1 and two on worker2, and asks both Nodes 30 times with both policies."""
    (single,) = world.pods("single", node="worker1", labels={"app": "echo"})
    pair = {pod.name for pod in world.pods("pair", 2, node="worker2", labels={"app": "echo"})}
    at = urls(world, world.service(type="NodePort"))
    nodes = ("worker1", "worker2")
    wait_for(lambda: all(set(asked(at[node], 30)) == {single.name} | pair for node in nodes), "all answer everywhere")
    world.patch("echo", externalTrafficPolicy="Local")
    wait_for(lambda: set(asked(at["worker1"], 30)) == {single.name}, "worker1 leads to its own")
    wait_for(lambda: set(asked(at["worker2"], 30)) == pair, "worker2 leads to its own")


@proof(
    "traffic-local-nobody",
    "traffic-internal-nobody",
    control="They would be silent, as Nodes without a Pod are while another Node has one that is ready or serves.",
)
def test_with_local_all_nodes_refuse_where_no_pod_is_ready(world: World) -> None:
    """Asks a Service with both policies Local, from outside and in a Pod, while one Node has a ready Pod, then none.

    Meanwhile that Pod ends, and still serves. Another Node has a Pod that is never ready.
    """
    slowly = ["netexec", "--delay-shutdown=60"]
    (pod,) = world.pods(node="worker1", args=slowly, terminationGracePeriodSeconds=70)
    world.pods("never", node="worker2", labels={"app": "echo"}, ready=False)
    service = world.service(type="NodePort", externalTrafficPolicy="Local", internalTrafficPolicy="Local")
    at, toolbox = urls(world, service), world.toolbox("control-plane").name
    without = ("control-plane", "worker2")
    wait_for(lambda: asked(at["worker1"], 1) == [pod.name], "the Node of the Pod answers")
    wait_for(lambda: {outside_failure(at[node]) for node in without} == {"timeout"}, "the others are silent outside")
    wait_for(lambda: world.failure(HTTP, toolbox) == "timeout", "and inside")
    world.delete_pod(pod)

    def conditions() -> tuple[bool, bool, bool]:
        found = world.endpoints("echo")[pod.address].conditions
        return found.ready, found.serving, found.terminating

    wait_for(lambda: conditions() == (False, True, True), "the Pod ends, and serves")
    assert [outside_failure(at[node]) for node in without * 2] == ["timeout"] * 4, "the others are still silent"
    assert world.failure(HTTP, toolbox) == "timeout"
    assert conditions() == (False, True, True), "it still serves"
    world.core.delete_namespaced_pod(pod.name, world.namespace, grace_period_seconds=0)
    wait_for(lambda: {outside_failure(url) for url in at.values()} == {"refused"}, "all refuse")
    wait_for(lambda: world.failure(HTTP, toolbox) == "refused", "and inside")
    world.patch("echo", externalTrafficPolicy="Cluster")
    wait_for(lambda: {outside_failure(url) for url in at.values()} == {"refused"}, "so they do with Cluster")


@proof(
    "traffic-local-from-inside",
    "traffic-external-not-cluster-ip",
    "traffic-local-other-node",
    control="A client that asks its own Node would meet that Node's Pod alone, or none, as one outside does; and one"
    " that asks another Node would meet both.",
)
def test_clients_inside_are_treated_as_with_cluster(world: World) -> None:
    """Asks a NodePort Service with externalTrafficPolicy Local from outside, from Nodes and from Pods."""
    near, far = near_and_far(world)
    both = {near.name, far.name}
    service = world.service(type="NodePort", externalTrafficPolicy="Local")
    at = urls(world, service)
    wait_for(lambda: set(asked(at["worker1"], 20)) == {near.name}, "from outside worker1 leads to its own")
    wait_for(lambda: outside_failure(at["control-plane"]) == "timeout", "from outside the control plane is silent")
    for node in ("control-plane", "worker1"):
        wait_for(partial(meets_on, world, node, at[node], both), f"a process on {node} meets both there")
    for url in (at["worker1"], f"http://{service.spec.cluster_ip}/hostname"):
        wait_for(partial(meets, world, "worker1", url, both), f"a Pod meets both at {url}")
    client = f"{at['worker2'].removesuffix('/hostname')}/clientip"
    assert world.ask(client, pod=world.toolbox("worker1").name)[0].startswith(world.nodes["worker1"])
    for node, pods in (("control-plane", {""}), ("worker2", {far.name})):
        assert asked_on(world, "worker1", at[node], 3) == pods, "a process that asks another Node"
        assert meets(world, "worker1", at[node], pods, 3), "a Pod that asks another Node"


@proof(
    "traffic-internal-not-outside",
    "traffic-internal-node-process",
    control="From outside, worker1 would lead to its own Pod alone and the control plane to nobody, as from inside.",
)
def test_internal_traffic_policy_is_not_for_clients_outside(world: World) -> None:
    """Asks a NodePort Service with internalTrafficPolicy Local at its ClusterIP on Nodes, and at NodePorts outside."""
    near, far = near_and_far(world)
    service = world.service(type="NodePort", internalTrafficPolicy="Local")
    inside = f"http://{service.spec.cluster_ip}/hostname"
    wait_for(lambda: asked_on(world, "worker1", inside) == {near.name}, "on worker1 its own alone answers")
    wait_for(lambda: asked_on(world, "control-plane", inside, 2) == {""}, "on the control plane nobody does")
    at = urls(world, service)
    wait_for(
        lambda: all(set(asked(url, 20)) == {near.name, far.name} for url in at.values()), "from outside both answer"
    )


@proof(
    "traffic-headless",
    control="DNS would answer the near Pod alone, as the Service with an address does.",
)
def test_a_headless_service_has_no_policy(world: World) -> None:
    """Asks a headless Service with internalTrafficPolicy Local for its addresses, and one with a ClusterIP."""
    near, far = near_and_far(world)
    own = {"app": "echo"}
    world.service("headless", selector=own, clusterIP="None", internalTrafficPolicy="Local")
    world.service(internalTrafficPolicy="Local")
    toolbox = world.toolbox("worker1").name
    wait_for(lambda: world.ask(HTTP, 20, toolbox) == [near.name] * 20, "the near one alone answers")
    wait_for(
        lambda: set(world.run("dig +short +search headless", toolbox).split()) == {near.address, far.address},
        "DNS answers both",
    )


def health(url: str) -> tuple[int, dict[str, Any]]:
    """What a Node says of its own Pods: status code and the JSON that comes with it; 0 where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except OSError:
        return 0, {}


@proof(
    "traffic-health-check",
    "traffic-health-check-counts",
    "traffic-health-check-only-local",
    control="The Nodes would answer alike, or the port stay when the policy is Cluster.",
)
def test_nodes_say_whether_they_have_a_pod(world: World) -> None:
    """Makes a LoadBalancer Service with externalTrafficPolicy Local, and asks each Node for its health."""
    world.pods("pair", 2, node="worker1", labels={"app": "echo"})
    service = world.service(type="LoadBalancer", externalTrafficPolicy="Local")
    port = service.spec.health_check_node_port
    assert 30000 <= port <= 32767
    at = {node: f"http://{address}:{port}/" for node, address in world.nodes.items()}

    def found() -> dict[str, tuple[int, int]]:
        told = {node: health(url) for node, url in at.items()}
        return {node: (code, said.get("localEndpoints", -1)) for node, (code, said) in told.items()}

    expected = {"control-plane": (503, 0), "worker1": (200, 2), "worker2": (503, 0)}
    wait_for(lambda: found() == expected, "each Node says what it has")
    assert world.service("port", type="NodePort", externalTrafficPolicy="Local").spec.health_check_node_port is None
    assert world.patch("echo", externalTrafficPolicy="Cluster").spec.health_check_node_port is None
    wait_for(lambda: set(found().values()) == {(0, -1)}, "nobody answers there any more")


@proof(
    "traffic-local-drains",
    "traffic-local-drains-check",
    control="The Node would be silent as soon as its Pod is being deleted, as one without a Pod is; or go on to say"
    " that it has a Pod, as it does before.",
)
def test_a_node_serves_by_its_last_pod_while_that_ends(world: World) -> None:
    """Deletes the only Pod of worker1, which takes half a minute to end, and asks worker1 and its health check."""
    near, _ = near_and_far(world, args=["netexec", "--delay-shutdown=30"], terminationGracePeriodSeconds=40)
    service = world.service(type="LoadBalancer", externalTrafficPolicy="Local")
    at = urls(world, service)
    check = f"http://{world.nodes['worker1']}:{service.spec.health_check_node_port}/"
    wait_for(lambda: asked(at["worker1"], 5) == [near.name] * 5, "worker1 answers")
    wait_for(lambda: health(check)[0] == 200, "it says that it has a Pod")
    try:
        world.delete_pod(near)
        wait_for(lambda: health(check)[0] == 503, "it says that it has none")
        wait_for(lambda: world.endpoints("echo")[near.address].conditions.terminating, "the Pod ends")
        assert asked(at["worker1"], 5) == [near.name] * 5
        assert outside_failure(at["control-plane"]) == "timeout"
    finally:
        world.core.delete_namespaced_pod(near.name, world.namespace, grace_period_seconds=0)


@proof(
    "traffic-same-node",
    "traffic-same-node-falls-back",
    "traffic-hints",
    control="The far Pod would answer, too, as it does before; or nobody, when the near one is gone.",
)
def test_a_pod_of_the_same_node_is_preferred(world: World) -> None:
    """Asks on worker1, which has a Pod, and on the control plane, which has none; then deletes worker1's Pod."""
    near, far = near_and_far(world)
    both = {near.name, far.name}
    service = world.service()
    url = f"http://{service.spec.cluster_ip}/hostname"
    toolbox = world.toolbox("worker1").name
    wait_for(lambda: set(world.ask(url, 20, toolbox)) == both, "both answer")
    assert [endpoint.hints for endpoint in world.endpoints("echo").values()] == [None, None]
    world.patch("echo", trafficDistribution=SAME_NODE)
    wait_for(lambda: world.ask(url, 20, toolbox) == [near.name] * 20, "the near one alone answers")
    hinted = {address: endpoint.hints.for_nodes for address, endpoint in world.endpoints("echo").items()}
    assert {address: [each.name for each in nodes] for address, nodes in hinted.items()} == {
        near.address: ["worker1"],
        far.address: ["worker2"],
    }
    wait_for(partial(meets, world, "control-plane", url, both), "where there is none, all answer")
    world.delete_pod(near)
    wait_for(lambda: world.ask(url, 20, toolbox) == [far.name] * 20, "the far one answers instead")


@proof(
    "traffic-same-node-from-outside",
    control="worker1 would lead to both Pods, as before, or its Pod see us, or the control plane be silent.",
)
def test_the_preference_counts_for_node_ports(world: World) -> None:
    """Asks NodePorts from outside with PreferSameNode, and looks whom the Pod sees."""
    near, far = near_and_far(world)
    service = world.service(type="NodePort")
    at = urls(world, service)
    wait_for(lambda: set(asked(at["worker1"], 20)) == {near.name, far.name}, "both answer")
    world.patch("echo", trafficDistribution=SAME_NODE)
    wait_for(lambda: asked(at["worker1"], 20) == [near.name] * 20, "worker1's own Pod answers")
    wait_for(lambda: set(asked(at["control-plane"], 20)) == {near.name, far.name}, "both answer where none is")
    seen = outside(urls(world, service, "/clientip")["worker1"]).rpartition(":")[0]
    assert seen in world.cluster.exec("worker1", ["hostname", "-I"]).split()


@proof(
    "traffic-local-is-stricter",
    control="The control plane would lead to the Pods elsewhere, as it does when the policy is Cluster.",
)
def test_a_preference_does_not_soften_local(world: World) -> None:
    """Asks on the control plane, which has no Pod, with PreferSameNode and both values of internalTrafficPolicy."""
    pods = {pod.name for pod in near_and_far(world)}
    service = world.service(internalTrafficPolicy="Local", trafficDistribution=SAME_NODE)
    url = f"http://{service.spec.cluster_ip}/hostname"
    wait_for(partial(meets, world, "worker1", url, {"near-0"}), "worker1 has its own")
    wait_for(partial(meets, world, "control-plane", url, {""}, 2), "the control plane has none")
    world.patch("echo", internalTrafficPolicy="Cluster")
    wait_for(partial(meets, world, "control-plane", url, pods), "with Cluster both answer")


@proof(
    "traffic-prefer-close-deprecated",
    control="There would be no warning, as there is none for PreferSameZone.",
)
def test_prefer_close_is_deprecated(world: World) -> None:
    """Makes Services with three kinds of trafficDistribution, and reads the API server's warnings."""
    warned = {}
    for kind in ("PreferClose", SAME_ZONE, SAME_NODE):
        spec = {"ports": [{"port": 80}], "trafficDistribution": kind}
        service = {"metadata": {"name": kind.lower()}, "spec": spec}
        _, _, headers = world.core.create_namespaced_service_with_http_info(world.namespace, service)
        warned[kind] = headers.get("Warning", "")
    assert 'deprecated; use \\"PreferSameZone\\"' in warned.pop("PreferClose")
    assert set(warned.values()) == {""}


@contextmanager
def zones(world: World, of: Mapping[str, str]) -> Iterator[None]:
    """Give Nodes zones for a while."""
    before = {node: world.core.read_node(node).metadata.labels.get(ZONE) for node in of}
    for node, zone in of.items():
        world.core.patch_node(node, {"metadata": {"labels": {ZONE: zone}}})
    try:
        yield
    finally:
        for node, old in before.items():
            world.core.patch_node(node, {"metadata": {"labels": {ZONE: old}}})


@pytest.mark.disturbs
@proof(
    "traffic-same-zone",
    "traffic-same-zone-falls-back",
    "traffic-prefer-close-same",
    "traffic-same-node-then-zone",
    "traffic-without-zones",
    "endpointslices-zone",
    control="The Pod of the other zone would answer, too, as it does without the preference; or nobody, in a zone"
    " without a Pod.",
)
def test_pods_of_the_same_zone_are_preferred(world: World) -> None:
    """Puts two Nodes into one zone and the third into another, and asks on them with each kind of preference."""
    near, far = near_and_far(world)
    both = {near.name, far.name}
    service = world.service("bare", selector={"app": "echo"}, trafficDistribution=SAME_ZONE)
    url = f"http://{service.spec.cluster_ip}/hostname"
    wait_for(partial(meets, world, "control-plane", url, both), "without zones, both answer")
    assert {each.zone for each in world.endpoints("bare").values()} == {None}

    with zones(world, {"control-plane": "east", "worker1": "east", "worker2": "west"}):
        service = world.service()
        url = f"http://{service.spec.cluster_ip}/hostname"
        wait_for(partial(meets, world, "control-plane", url, both), "without the preference, both answer")

        def zones_of() -> dict[str, str | None]:
            return {address: each.zone for address, each in world.endpoints("echo").items()}

        there = {near.address: "east", far.address: "west"}
        wait_for(lambda: zones_of() == there, "the controller knows the Nodes' labels by now")
        for kind in (SAME_ZONE, "PreferClose", SAME_NODE):
            world.patch("echo", trafficDistribution=kind)
            for node, pod in (("control-plane", near), ("worker2", far)):
                what = f"{kind}: {pod.name} answers on {node}"
                wait_for(partial(meets, world, node, url, {pod.name}, 30), what)
            world.patch("echo", trafficDistribution=None)
            wait_for(partial(meets, world, "control-plane", url, both), "without it both answer again")
        world.patch("echo", trafficDistribution=SAME_ZONE)
        wait_for(partial(meets, world, "control-plane", url, {near.name}), "the zone's own answers")
        world.delete_pod(near)
        wait_for(partial(meets, world, "control-plane", url, {far.name}), "that of the other zone answers")


@pytest.mark.disturbs
@proof(
    "traffic-zone-missing",
    "endpointslices-zone-later",
    control="The zone's own Pod would go on to answer alone, or do so again as soon as the Node has a zone; or the"
    " entry would have the zone by then, as that of another Service does, which has changed.",
)
def test_a_pod_on_a_node_without_a_zone_switches_the_preference_off(world: World) -> None:
    """Gives two of three Nodes a zone, starts a ready Pod on the third, labels that Node, and changes the Service."""
    near, far = near_and_far(world)

    def zone_after_change(service: str) -> str | None:
        """The zone of the third Pod's entry, after a change of its Service that concerns nothing else."""
        change = {"metadata": {"annotations": {"changed": str(time.monotonic_ns())}}}
        world.core.patch_namespaced_service(service, world.namespace, change)
        return zone(service)

    def zone(service: str) -> str | None:
        found: str | None = world.endpoints(service)[third.address].zone
        return found

    with zones(world, {"worker1": "east", "worker2": "west"}):
        url = f"http://{world.service(trafficDistribution=SAME_ZONE).spec.cluster_ip}/hostname"
        world.service("other", selector={"app": "echo"})
        for pod in (near, far):
            wait_for(partial(meets, world, pod.node, url, {pod.name}), f"{pod.name} answers on {pod.node}")
        (third,) = world.pods("third", node="control-plane", labels={"app": "echo"})
        everybody = {near.name, far.name, third.name}
        for pod in (near, far):
            wait_for(partial(meets, world, pod.node, url, everybody, 40), f"all answer on {pod.node}")
        wait_for(lambda: is_at_rest(world), "nothing more is to be written to the entries")
        with zones(world, {"control-plane": "north"}):
            wait_for(lambda: zone_after_change("other") == "north", "the entry of the other Service has the zone")
            assert zone("echo") is None
            assert meets(world, near.node, url, everybody, 60), "all answer still"
            wait_for(lambda: zone_after_change("echo") == "north", "so has this one's")
            wait_for(partial(meets, world, near.node, url, {near.name}, 40), "the zone's own answers")


@proof(
    "traffic-affinity-each-node",
    control="Each of the 24 clients would meet one Pod, at whichever Node it asks; by chance alone all do once in 16"
    " million times.",
)
def test_each_node_remembers_clients_by_itself(world: World) -> None:
    """Asks two Nodes, which lead to the same two Pods, from 24 addresses of a machine outside, each Node twice."""
    names = {pod.name for pod in near_and_far(world)}
    at = urls(world, world.service(type="NodePort"))
    asked_at = ("control-plane", "worker2")
    with clients_outside(world, 130) as met:
        for node in asked_at:
            wait_for(partial(_all_meet, met, at[node], names), f"both Pods answer at {node}")
        world.patch("echo", sessionAffinity="ClientIP")
        one, other = (
            wait_for(partial(_met_twice, met, at[node]), f"each client meets a Pod again at {node}")
            for node in asked_at
        )
    assert set(one) == set(other) == names
    assert one != other


def _all_meet(met: Callable[[str], list[str]], url: str, names: set[str]) -> bool:
    return set(met(url)) == names


def _met_twice(met: Callable[[str], list[str]], url: str) -> list[str] | None:
    first = met(url)
    return first if first == met(url) else None


@proof(
    "traffic-affinity-within",
    control="The far Pod would answer, or both near ones.",
)
def test_affinity_keeps_to_one_of_the_pods_that_the_policy_allows(world: World) -> None:
    """Starts two Pods on worker1 and one on worker2, and asks on worker1 with affinity and the policy Local."""
    pair = {pod.name for pod in world.pods("pair", 2, node="worker1", labels={"app": "echo"})}
    world.pods("far", node="worker2", labels={"app": "echo"})
    service = world.service(internalTrafficPolicy="Local")
    url = f"http://{service.spec.cluster_ip}/hostname"
    toolbox = world.toolbox("worker1").name
    wait_for(partial(meets, world, "worker1", url, pair), "both near ones answer without affinity")
    world.patch("echo", sessionAffinity="ClientIP")
    wait_for(lambda: len(set(world.ask(url, 20, toolbox))) == 1, "one answers with it")
    answered = set(world.ask(url, 20, toolbox))
    assert (len(answered), answered < pair) == (1, True)


@proof(
    "traffic-affinity-yields",
    control="The far Pod would go on to answer, as it does while nothing is preferred.",
)
def test_affinity_yields_to_a_preference(world: World) -> None:
    """Ties a client to a far Pod by affinity, starts a near one, and asks before and after PreferSameNode."""
    (far,) = world.pods("far", node="worker2", labels={"app": "echo"})
    service = world.service(sessionAffinity="ClientIP")
    url = f"http://{service.spec.cluster_ip}/hostname"
    toolbox = world.toolbox("worker1").name
    wait_for(lambda: world.ask(url, 5, toolbox) == [far.name] * 5, "the far one answers")
    (near,) = world.pods("near", node="worker1", labels={"app": "echo"})
    address = world.service("plain", selector={"app": "echo"}).spec.cluster_ip
    both = {near.name, far.name}
    wait_for(partial(meets, world, "worker1", f"http://{address}/hostname", both), "both answer without affinity")
    assert world.ask(url, 20, toolbox) == [far.name] * 20
    world.patch("echo", trafficDistribution=SAME_NODE)
    wait_for(lambda: world.ask(url, 20, toolbox) == [near.name] * 20, "the near one answers")


@proof(
    "traffic-rules-nftables",
    mode="nftables",
    control="There would be no verdict for the port on the Node without a Pod, or one on the Node with a Pod, too.",
)
def test_a_verdict_drops_what_comes_for_a_port_without_a_pod(world: World) -> None:
    """Looks for the port among the verdicts of two Nodes with externalTrafficPolicy Local."""
    _rules_of_a_node_without_a_pod(world, ["nft", "list", "map", "ip", "kube-proxy", "no-endpoint-nodeports"], "drop")


@proof(
    "traffic-rules-iptables",
    mode="iptables",
    control="There would be no rule for the port on the Node without a Pod, or one on the Node with a Pod, too.",
)
def test_a_rule_drops_what_comes_for_a_port_without_a_pod(world: World) -> None:
    """Looks for the port among the filter rules of two Nodes with externalTrafficPolicy Local."""
    _rules_of_a_node_without_a_pod(world, ["iptables-save", "-t", "filter"], "-j DROP")


def _rules_of_a_node_without_a_pod(world: World, listing: list[str], verdict: str) -> None:
    world.pods(node="worker1")
    service = world.service(type="NodePort", externalTrafficPolicy="Local")
    port = str(service.spec.ports[0].node_port)

    def dropping(node: str) -> bool:
        lines = world.cluster.exec(node, listing).splitlines()
        return any(verdict in line and port in line for line in lines)

    wait_for(lambda: answers(urls(world, service)["worker1"]), "worker1 answers")
    wait_for(lambda: dropping("worker2"), "worker2 drops")
    assert not dropping("worker1")
