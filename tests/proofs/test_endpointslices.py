"""Proofs of docs/kubernetes/resources/endpointslices.md."""

import json
import re
from collections.abc import Sequence
from functools import partial

from kubernetes import client

from proofs import proof
from proofs.world import POD_PORT, SERVICE_NAME, Pod, World, wait_for

HTTP = "http://echo/hostname"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"


def sizes(world: World, service: str = "echo") -> list[int]:
    """How many endpoints each slice of a Service has, the smallest one first."""
    return sorted(len(each.endpoints or ()) for each in world.slices(service))


def hollow(world: World, name: str, count: int, port: int = POD_PORT, **labels: str) -> None:
    """Make Pods that no Node runs and that say all the same that they are ready, each with an address of its own.

    They cost next to nothing. Services list them if they publish addresses that are not ready.
    """
    for number in range(count):
        pod = {
            "metadata": {"name": f"{name}-{number}", "labels": {"app": "echo", **labels}},
            "spec": {
                "schedulerName": "nobody",
                "containers": [{"name": "main", "image": "none", "ports": [{"name": "web", "containerPort": port}]}],
            },
        }
        made = world.core.create_namespaced_pod(world.namespace, pod).metadata.name
        address = f"198.51.{port % 256}.{number + 1}"
        status = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        world.core.patch_namespaced_pod_status(made, world.namespace, {"status": status})


def refused(world: World, *addresses: str) -> str:
    """What the API server says when it refuses an EndpointSlice of these addresses; "" if it takes it."""
    try:
        world.endpoint_slice("nobody", POD_PORT, *addresses, name="refused")
    except client.ApiException as error:
        assert error.status == 422
        return str(json.loads(error.body)["message"])
    world.discovery.delete_namespaced_endpoint_slice("refused", world.namespace)
    return ""


def answer_is(world: World, service: str, pod: str) -> bool:
    """Whether a Pod answers a Service's clients."""
    return world.ask(f"http://{service}/hostname") == [pod]


def is_refused(world: World, service: str) -> bool:
    """Whether a Service's clients are refused."""
    return world.failure(f"http://{service}/") == "refused"


@proof(
    "endpointslices-hundred",
    "endpointslices-not-merged",
    control="The slice would grow to 101; and the two would become one when three endpoints are left in all.",
)
def test_the_101st_endpoint_begins_another_slice(world: World) -> None:
    """Makes 100 Pods, then one more, then deletes 98 of the first 100, and counts the endpoints of each slice."""
    world.service(publishNotReadyAddresses=True)
    hollow(world, "goes", 98, part="goes")
    hollow(world, "stays", 2, port=POD_PORT + 1, part="stays")
    world.core.list_namespaced_pod(world.namespace, label_selector="part=goes")
    wait_for(lambda: sizes(world) == [100], "one slice has all 100")
    hollow(world, "another", 1, port=POD_PORT + 2)
    wait_for(lambda: sizes(world) == [1, 100], "the next one is in another slice")
    world.core.delete_collection_namespaced_pod(
        world.namespace, label_selector="part=goes", grace_period_seconds=0, propagation_policy="Background"
    )
    wait_for(lambda: sum(sizes(world)) == 3, "three endpoints are left")
    assert sizes(world) == [1, 2]


@proof("endpointslices-by-hand-thousand", control="The slice of 1001 would be taken, as that of 1000 is.")
def test_a_slice_by_hand_may_have_a_thousand_endpoints(world: World) -> None:
    """Writes a slice of 1000 endpoints, and one of 1001."""
    addresses = [f"198.51.{number // 250}.{number % 250 + 1}" for number in range(1001)]
    assert refused(world, *addresses[:1000]) == ""
    assert "must have at most 1000 items" in refused(world, *addresses)


@proof(
    "endpointslices-port-sets",
    control="There would be one slice, as there is while all Pods have the same number under the name.",
)
def test_each_set_of_ports_has_its_slice(world: World) -> None:
    """Makes two Pods whose port `web` is 8080, then one whose port `web` is 8081, behind a Service for `web`."""
    world.service(publishNotReadyAddresses=True, ports=[{"port": 80, "targetPort": "web"}])

    def found() -> list[tuple[int, int]]:
        return sorted((each.ports[0].port, len(each.endpoints)) for each in world.slices("echo") if each.ports)

    hollow(world, "one", 2, port=8080)
    wait_for(lambda: found() == [(8080, 2)], "one slice has both")
    hollow(world, "two", 1, port=8081)
    wait_for(lambda: found() == [(8080, 2), (8081, 1)], "the third is in another slice")


@proof("endpointslices-no-node", control="One would be listed by both Services, as the Pod that runs on a Node is.")
def test_a_pod_without_a_node_is_left_out(world: World) -> None:
    """Makes two Pods that no Node runs, of which one is not ready, and one that a Node runs, behind two Services."""
    hollow(world, "nowhere", 2)
    unready = {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
    world.core.patch_namespaced_pod_status("nowhere-1", world.namespace, unready)
    (real,) = world.pods()
    world.service()
    world.service("all", selector={"app": "echo"}, publishNotReadyAddresses=True)
    wait_for(lambda: len(world.endpoints("all")) == 3, "the one that publishes all has all three")
    wait_for(lambda: set(world.endpoints("echo")) == {real.address}, "the other one has the real Pod")


@proof("endpointslices-repaired", control="The endpoints would stay away, or the slice stay deleted.")
def test_the_controller_mends_its_slices(world: World) -> None:
    """Takes all endpoints out of a Service's slice by hand, then deletes the slice."""
    hollow(world, "pod", 1)
    world.service(publishNotReadyAddresses=True)
    wait_for(lambda: sizes(world) == [1], "the Pod is listed")
    (own,) = world.slices("echo")
    patched = world.discovery.patch_namespaced_endpoint_slice(own.metadata.name, world.namespace, {"endpoints": []})
    assert not patched.endpoints
    wait_for(lambda: sizes(world) == [1], "it is listed again")
    world.discovery.delete_namespaced_endpoint_slice(own.metadata.name, world.namespace)
    wait_for(lambda: sizes(world) == [1], "there is a slice again")
    assert world.slices("echo")[0].metadata.uid != own.metadata.uid


@proof(
    "endpointslices-owned",
    "endpointslices-by-hand-stays",
    control="The controller's slice would stay, or the one by hand go; one by hand that names the Service as its owner"
    " does go.",
)
def test_slices_of_the_controller_go_with_the_service(world: World) -> None:
    """Writes two slices by hand beside the controller's, one with an owner, and deletes the Service."""
    service = world.service()
    owner = {"apiVersion": "v1", "kind": "Service", "name": "echo", "uid": service.metadata.uid}
    wait_for(lambda: sizes(world) == [0], "the controller's is there")
    world.endpoint_slice("echo", POD_PORT, "198.51.100.1", name="own")
    world.endpoint_slice("echo", POD_PORT, "198.51.100.1", name="owned", ownerReferences=[owner])
    assert len(world.slices("echo")) == 3
    world.core.delete_namespaced_service("echo", world.namespace)
    wait_for(
        lambda: [each.metadata.name for each in world.slices("echo")] == ["own"], "the one without an owner is left"
    )


@proof(
    "endpointslices-label",
    "endpointslices-port-name",
    "endpointslices-port-counts",
    control="Each of the first three Services would answer from the beginning; each does when what is wrong is mended.",
)
def test_what_makes_a_slice_one_of_a_services(world: World) -> None:
    """Writes slices without the label, with a port of another name, and with another number than targetPort."""
    (pod,) = world.pods(labels={"app": "somebody"})
    world.service("unlabelled", selector=None)
    world.service("named", selector=None, ports=[{"name": "http", "port": 80}])
    world.service("other-number", selector=None, ports=[{"port": 80, "targetPort": 9}])
    world.endpoint_slice("unlabelled", POD_PORT, pod.address, name="unlabelled", labels={})
    world.endpoint_slice("named", POD_PORT, pod.address, name="named")
    world.endpoint_slice("other-number", POD_PORT, pod.address)
    wait_for(lambda: world.ask("http://other-number/hostname") == [pod.name], "the slice's number counts")
    for name, mended in (
        ("unlabelled", {"metadata": {"labels": {SERVICE_NAME: "unlabelled"}}}),
        ("named", {"ports": [{"name": "http", "port": POD_PORT}]}),
    ):
        wait_for(partial(is_refused, world, name), "nobody is behind the Service")
        world.discovery.patch_namespaced_endpoint_slice(name, world.namespace, mended)
        wait_for(partial(answer_is, world, name, pod.name), "now the Pod is")


@proof("endpointslices-side-by-side", control="One of the Pods would not answer, or the slice by hand be gone.")
def test_a_slice_by_hand_beside_the_controllers(world: World) -> None:
    """Writes a slice for a second Pod beside that of a Service with a selector, and asks until both answer."""
    (pod,) = world.pods()
    (other,) = world.pods("other")
    world.service()
    made, _ = world.endpoint_slice("echo", POD_PORT, other.address, name="own")
    wait_for(lambda: set(world.ask(HTTP, 20)) == {pod.name, other.name}, "both answer")
    world.core.patch_namespaced_pod(pod.name, world.namespace, {"metadata": {"labels": {"app": "not-any-more"}}})
    wait_for(lambda: set(world.ask(HTTP, 20)) == {other.name}, "the controller has written, and one is left")
    (still,) = [each for each in world.slices("echo") if each.metadata.name == "own"]
    assert still.metadata.resource_version == made.metadata.resource_version


@proof(
    "endpointslices-addresses",
    "endpointslices-address-type",
    "endpointslices-one-kind",
    control="Loopback, link-local and link-local multicast addresses would be taken, or other multicast addresses be"
    " refused; and the type of addresses could be changed.",
)
def test_some_addresses_are_refused(world: World) -> None:
    """Writes slices with addresses of several kinds, and changes the type of addresses of one."""
    for address, why in (
        ("127.0.0.1", "loopback"),
        ("169.254.1.1", "link-local"),
        ("224.0.0.1", "link-local multicast"),
        ("2001:db8::1", "must be an IPv4 address"),
    ):
        assert why in refused(world, address)
    for address in ("198.51.100.1", "224.0.1.1", "239.1.1.1"):
        assert refused(world, address) == ""
    own, _ = world.endpoint_slice("echo", POD_PORT, name="own")
    try:
        world.discovery.patch_namespaced_endpoint_slice("own", world.namespace, {"addressType": "IPv6"})
    except client.ApiException as error:
        assert "field is immutable" in json.loads(error.body)["message"]
    assert world.slices("echo")[0].address_type == own.address_type == "IPv4"


@proof(
    "endpointslices-host-names",
    control="The Service would answer, as it does by an address; and there would be no warning, as there is none then.",
)
def test_host_names_are_deprecated_and_of_no_use(world: World) -> None:
    """Writes a slice with a host's name for one Service and one with an address for another, and asks both."""
    (pod,) = world.pods()
    world.service("by-name", selector=None)
    world.service("by-address", selector=None)
    name = f"{pod.address.replace('.', '-')}.{world.namespace}.pod.cluster.local"
    _, warning = world.endpoint_slice("by-name", POD_PORT, name, kind="FQDN")
    assert "FQDN endpoints are deprecated" in warning
    _, warning = world.endpoint_slice("by-address", POD_PORT, pod.address)
    assert warning == ""
    wait_for(lambda: world.ask("http://by-address/hostname") == [pod.name], "the address answers")
    wait_for(lambda: world.failure("http://by-name/") == "refused", "nobody is behind the name")


@proof(
    "endpointslices-terminating-last",
    "endpointslices-terminating-not-used",
    control="Both Pods would answer while one ends, or nobody when both end.",
)
def test_pods_that_end_serve_when_no_other_is_left(world: World) -> None:
    """Deletes one of two Pods, which go on for half a minute, asks 20 times, deletes the other one, and asks again."""
    pods = world.pods(count=2, args=["netexec", "--delay-shutdown=30"], terminationGracePeriodSeconds=40)
    one, two = pods
    world.service()
    wait_for(lambda: set(world.ask(HTTP, 20)) == {one.name, two.name}, "both answer")

    def conditions(address: str) -> tuple[bool, bool, bool]:
        found = world.endpoints("echo")[address].conditions
        return found.ready, found.serving, found.terminating

    try:
        world.delete_pod(one)
        wait_for(lambda: conditions(one.address) == (False, True, True), "one is ending, and serves")
        wait_for(lambda: world.ask(HTTP, 20) == [two.name] * 20, "the other one alone is asked")
        assert world.ask(HTTP, 20) == [two.name] * 20
        assert conditions(one.address) == (False, True, True), "it still serves"
        world.delete_pod(two)
        wait_for(lambda: set(world.ask(HTTP, 20)) == {one.name, two.name}, "both are asked")
    finally:
        for pod in pods:
            world.core.delete_namespaced_pod(pod.name, world.namespace, grace_period_seconds=0)


@proof(
    "endpointslices-terminating-unready",
    control="The Service would answer, as the Pod itself does.",
)
def test_a_pod_that_ends_and_is_not_ready_gets_nothing(world: World) -> None:
    """Deletes a Pod whose readiness probe fails from then on, though it serves on, and asks it and the Service."""
    probe = {"httpGet": {"path": "/readyz", "port": POD_PORT}, "periodSeconds": 1, "failureThreshold": 1}
    args = ["netexec", "--delay-shutdown=30"]
    main = {"name": "main", "image": "registry.k8s.io/e2e-test-images/agnhost:2.66.1", "args": args}
    (pod,) = world.pods(containers=[main | {"readinessProbe": probe}], terminationGracePeriodSeconds=40)
    world.service()
    wait_for(lambda: world.ask(HTTP) == [pod.name], "it answers")
    try:
        world.delete_pod(pod)

        def conditions() -> tuple[bool, bool, bool]:
            found = world.endpoints("echo")[pod.address].conditions
            return found.ready, found.serving, found.terminating

        wait_for(lambda: conditions() == (False, False, True), "it ends, and does not serve by its probe")
        wait_for(lambda: world.failure(HTTP) == "refused", "the Service refuses")
        assert world.ask(f"http://{pod.address}:{POD_PORT}/hostname") == [pod.name]
    finally:
        world.core.delete_namespaced_pod(pod.name, world.namespace, grace_period_seconds=0)


@proof(
    "endpointslices-rules",
    "endpointslices-rules-ready",
    control="A Node's rules would lack the ready Pod's address, or have that of the one that is not ready.",
)
def test_addresses_of_ready_endpoints_are_in_every_nodes_rules(world: World) -> None:
    """Starts a ready Pod and one that is not, and looks for their addresses among the rules of each Node."""
    (ready,) = world.pods()
    (unready,) = world.pods("unready", labels={"app": "echo"}, ready=False)
    world.service()
    wait_for(lambda: set(world.endpoints("echo")) == {ready.address, unready.address}, "both are listed")
    listing = ["nft", "list", "ruleset"] if world.mode == "nftables" else ["iptables-save"]

    def has_rule(node: str, pod: Pod) -> bool:
        return re.search(rf"\b{re.escape(pod.address)}:{POD_PORT}\b", world.cluster.exec(node, listing)) is not None

    for node in world.nodes:
        wait_for(partial(has_rule, node, ready), f"{node} has a rule for the ready one")
        assert not has_rule(node, unready)


@proof(
    "endpointslices-hints-followed",
    "endpointslices-hints-all",
    control="The Pod of the client's own Node would answer, too, as it does when the hints are gone; and it would not"
    " when its hint alone is gone.",
)
def test_kube_proxy_follows_hints_whoever_wrote_them(world: World) -> None:
    """Writes a slice whose hints keep each Pod for the other Pod's Node, and asks on one of the Nodes.

    Then takes the hint of that Node's own Pod away, brings it back, and takes both away.
    """
    (here,) = world.pods("here", node="worker1")
    (there,) = world.pods("there", node="worker2")
    world.service(selector=None)
    plain = [{"addresses": [pod.address], "nodeName": pod.node} for pod in (here, there)]
    hinted = [
        endpoint | {"hints": {"forNodes": [{"name": other.node}]}}
        for endpoint, other in zip(plain, (there, here), strict=True)
    ]
    toolbox = world.toolbox("worker1").name

    def change(endpoints: Sequence[object]) -> None:
        world.discovery.patch_namespaced_endpoint_slice("own", world.namespace, {"endpoints": endpoints})

    def answered() -> set[str]:
        return set(world.ask(HTTP, 20, toolbox))

    world.endpoint_slice("echo", POD_PORT, *hinted, name="own")
    wait_for(lambda: answered() == {there.name}, "the other Node's Pod answers alone")
    assert answered() == {there.name}
    change([plain[0], hinted[1]])
    wait_for(lambda: answered() == {here.name, there.name}, "with one hint both answer")
    change(hinted)
    wait_for(lambda: answered() == {there.name}, "with both it answers alone again")
    change(plain)
    wait_for(lambda: answered() == {here.name, there.name}, "without hints both answer")


@proof(
    "endpointslices-mirrored",
    "endpointslices-mirrored-not-always",
    "endpointslices-mirrored-one-slice",
    control="There would be no slice for the Endpoints, or one for those with the label; or 150 addresses would be"
    " spread over two slices, as Pods would be; or those of two sets of ports or two families share one.",
)
def test_endpoints_by_hand_are_copied_into_a_slice(world: World) -> None:
    """Writes Endpoints for Services without a selector, one with a label that says not to, and looks at slices."""
    (pod,) = world.pods()
    world.service(selector=None)
    world.service("not", selector=None)
    world.service("selects", selector={"app": "echo"})
    port = {"port": POD_PORT}
    subsets = [{"addresses": [{"ip": pod.address}], "ports": [port]}]
    skip = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    for name, labels in (("not", skip), ("echo", {})):
        endpoints = {"metadata": {"name": name, "labels": labels}, "subsets": subsets}
        world.core.create_namespaced_endpoints(world.namespace, endpoints)
    (mirrored,) = wait_for(lambda: world.slices("echo"), "there is a slice")
    assert mirrored.metadata.labels[MANAGED_BY] == "endpointslicemirroring-controller.k8s.io"
    wait_for(lambda: world.ask(HTTP) == [pod.name], "the Service answers")
    many = [{"ip": f"198.51.100.{number}"} for number in range(1, 151)]
    world.core.patch_namespaced_endpoints("echo", world.namespace, {"subsets": [{"addresses": many, "ports": [port]}]})
    wait_for(lambda: sum(sizes(world)) == 150, "all are copied")
    assert sizes(world) == [150]
    other = {"addresses": [{"ip": "198.51.100.1"}, {"ip": "2001:db8::1"}], "ports": [{"port": 9}]}
    both = [{"addresses": many, "ports": [port]}, other]
    world.core.patch_namespaced_endpoints("echo", world.namespace, {"subsets": both})
    wait_for(lambda: sizes(world) == [1, 1, 150], "one for each set of ports and each family")
    kinds = sorted((each.address_type, each.ports[0].port) for each in world.slices("echo"))
    assert kinds == [("IPv4", 9), ("IPv4", POD_PORT), ("IPv6", 9)]
    assert world.slices("not") == []
    wait_for(lambda: world.core.read_namespaced_endpoints("selects", world.namespace).subsets, "it has Endpoints")
    by = {each.metadata.labels[MANAGED_BY] for each in world.slices("selects")}
    assert by == {"endpointslice-controller.k8s.io"}
    world.core.delete_namespaced_endpoints("echo", world.namespace)
    wait_for(lambda: world.slices("echo") == [], "the copy goes with the Endpoints")


@proof(
    "endpointslices-mirrored-thousand",
    control="All 1001 addresses of the first of the subsets would be copied, as the one of the second is.",
)
def test_a_thousand_addresses_of_each_subset_are_copied(world: World) -> None:
    """Writes Endpoints of two subsets, one with 1001 addresses, for a Service that no kube-proxy has to do with."""
    elsewhere = {"labels": {"service.kubernetes.io/service-proxy-name": "another"}}
    world.service(metadata=elsewhere, selector=None)
    many = [{"ip": f"198.51.{number // 250}.{number % 250 + 1}"} for number in range(1001)]
    subsets = [
        {"addresses": many, "ports": [{"port": POD_PORT}]},
        {"addresses": [{"ip": "198.51.100.1"}], "ports": [{"port": 9}]},
    ]
    endpoints = {"metadata": {"name": "echo", **elsewhere}, "subsets": subsets}
    world.core.create_namespaced_endpoints(world.namespace, endpoints)
    wait_for(lambda: sizes(world) == [1, 1000], "there is a slice for each")
