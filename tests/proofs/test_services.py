"""Proofs of docs/kubernetes/resources/services.md."""

from itertools import permutations
from typing import Any

from kubernetes import client

from proofs import proof
from proofs.world import AGNHOST, POD_PORT, World, wait_for

HTTP = "http://echo/hostname"


def kind(name: str) -> dict[str, Any]:
    """What a Service has to say to be of a type."""
    return {"type": name, **({"externalName": "example.org"} if name == "ExternalName" else {})}


@proof(
    "services-without-pods",
    "services-at-least-one-port",
    control="The Service would be refused, as one of the same type without a port is.",
)
def test_a_service_without_pods_is_valid(world: World) -> None:
    """Makes a Service whose selector no Pod has, and one without a port."""
    assert world.service("nobody").spec.cluster_ip
    code, message = world.refusal(ports=[])
    assert (code, "spec.ports: Required value" in message) == (422, True)


@proof(
    "services-headless-without-port",
    "myths-no-port",
    control="It would be refused, as the same Service with an address is.",
)
def test_a_headless_service_needs_no_port(world: World) -> None:
    """Makes a headless Service without a port, and reads which ports it has."""
    assert not world.service("headless", clusterIP="None", ports=None).spec.ports
    assert world.refusal(ports=None)[0] == 422


@proof("services-externalname-loses-address", control="The ClusterIP would still be there, as it was before.")
def test_an_external_name_has_no_address(world: World) -> None:
    """Makes a ClusterIP Service an ExternalName Service."""
    assert world.service().spec.cluster_ip
    changed = world.patch("echo", type="ExternalName", externalName="example.org", clusterIP=None, clusterIPs=None)
    assert (changed.spec.cluster_ip, changed.spec.cluster_ips) == (None, None)


@proof(
    "services-any-type-to-any",
    "services-type-to-type",
    control="A change would be refused, an address or port be another one, or be there where the type has none. What"
    " was given back would be refused to others, as what a Service has is.",
)
def test_each_type_can_become_each_other(world: World) -> None:
    """Makes a Service of each type, changes nothing but the type, to each of the others, and compares what it has.

    Then asks for its first address and port for another Service.
    """
    has_address, has_port = {"ClusterIP", "NodePort", "LoadBalancer"}, {"NodePort", "LoadBalancer"}
    for before, after in permutations(("ClusterIP", "NodePort", "LoadBalancer", "ExternalName"), 2):
        name = f"{before}-{after}".lower()
        made = world.service(name, **kind(before)).spec
        changed = world.patch(name, **kind(after)).spec
        for own, was, then in (
            (has_address, made.cluster_ip, changed.cluster_ip),
            (has_port, made.ports[0].node_port, changed.ports[0].node_port),
        ):
            assert (bool(was), bool(then)) == (before in own, after in own), f"{before} to {after}"
            assert was == then or not {before, after} <= own, f"{before} to {after} keeps what both have"
        assert changed.type == after
        port = {"port": 80, "nodePort": made.ports[0].node_port}
        for own, asked_for in (
            (has_address, {"clusterIP": made.cluster_ip}),
            (has_port, {"type": "NodePort", "ports": [port]}),
        ):
            if {before, after} <= own:
                assert not _is_free(world, asked_for), f"{before} to {after}"
            elif before in own:
                _wait_until_free(world, asked_for)
        world.core.delete_namespaced_service(name, world.namespace)


def _wait_until_free(world: World, wanted: dict[str, Any]) -> None:
    # Mostly it is so at once. Seldom a controller, which saw the Service as it was, takes the address for it once more.
    wait_for(lambda: _is_free(world, wanted), f"{wanted} is free", 150)


def _is_free(world: World, wanted: dict[str, Any]) -> bool:
    """Whether another Service is given what it asks for; it is deleted again."""
    try:
        world.service("another", **wanted)
    except client.ApiException as refused:
        assert "already allocated" in str(refused.body), refused.body
        return False
    world.core.delete_namespaced_service("another", world.namespace)
    return True


@proof("services-target-port-defaults", control="The Pod would not be reached, as by a Service with another `port`.")
def test_target_port_is_port_unless_said_otherwise(world: World) -> None:
    """Makes two Services without `targetPort`: one with the Pod's port, one with another; asks both."""
    (pod,) = world.pods()
    assert world.service(ports=[{"port": POD_PORT}]).spec.ports[0].target_port == POD_PORT
    wait_for(lambda: world.ask(f"http://echo:{POD_PORT}/hostname") == [pod.name], "the Pod is reached")
    world.service("other", selector={"app": "echo"}, ports=[{"port": 80}])
    wait_for(lambda: world.failure("http://other/") == "refused", "nobody listens on 80 there")


@proof(
    "services-named-target-port",
    control="One of the two Pods, which listen on different ports, would never answer.",
)
def test_a_named_target_port_is_another_number_in_each_pod(world: World) -> None:
    """Starts two Pods that listen on 8080 and 9090, both ports called `web`, and asks their Service."""
    for number in (8080, 9090):
        container = {
            "name": "main",
            "image": AGNHOST,
            "args": ["netexec", f"--http-port={number}"],
            "ports": [{"name": "web", "containerPort": number}],
        }
        world.pods(f"on-{number}", labels={"app": "echo"}, containers=[container])
    world.service(ports=[{"port": 80, "targetPort": "web"}])
    wait_for(lambda: set(world.ask(HTTP, 20)) == {"on-8080-0", "on-9090-0"}, "both answer")


@proof(
    "services-container-port-is-a-note",
    "myths-container-port",
    control="The Pod would not be reached without `containerPort`.",
)
def test_container_port_changes_nothing(world: World) -> None:
    """Asks for a Pod that declares no port, and for one that declares another port than the one it listens on."""
    (without,) = world.pods("without", labels={"app": "echo"})
    wrong = {"name": "main", "image": AGNHOST, "args": ["netexec"], "ports": [{"containerPort": 1}]}
    (other,) = world.pods("other", labels={"app": "echo"}, containers=[wrong])
    assert not world.core.read_namespaced_pod(without.name, world.namespace).spec.containers[0].ports
    world.service(ports=[{"port": 80, "targetPort": POD_PORT}])
    wait_for(lambda: set(world.ask(HTTP, 20)) == {without.name, other.name}, "both answer")


@proof(
    "services-same-number-tcp-udp", "myths-tcp-udp", control="It would be refused, as the same number twice for TCP is."
)
def test_one_number_for_two_protocols(world: World) -> None:
    """Makes a Service with port 53 for TCP and for UDP, and one with port 53 twice for TCP."""
    ports = [{"name": name, "port": 53, "protocol": name.upper()} for name in ("tcp", "udp")]
    assert {(each.protocol, each.port) for each in world.service(ports=ports).spec.ports} == {("TCP", 53), ("UDP", 53)}
    twice = [{"name": name, "port": 53} for name in ("one", "two")]
    assert world.refusal(ports=twice)[0] == 422


@proof("services-labels-decide", control="The EndpointSlice would stay as it is, or the Pod would be ended.")
def test_labels_move_a_pod_in_and_out(world: World) -> None:
    """Gives a running Pod the label of a Service, and takes it away again."""
    (pod,) = world.pods(labels={"app": "other"})
    world.service()
    for label, expected in (("echo", {pod.address}), ("other", set()), ("echo", {pod.address})):
        world.core.patch_namespaced_pod(pod.name, world.namespace, {"metadata": {"labels": {"app": label}}})
        wait_for(lambda expected=expected: set(world.endpoints("echo")) == expected, f"it is {expected}")  # type: ignore[misc]
    wait_for(lambda: world.ask(HTTP) == [pod.name], "it runs, and answers")


@proof("services-readiness-decides", control="The Pod that is not ready would answer some of 30 connections.")
def test_only_ready_pods_get_connections(world: World) -> None:
    """Starts a ready Pod and one that never gets ready, both with the label, and asks 30 times."""
    (ready,) = world.pods()
    world.pods("never", labels={"app": "echo"}, ready=False)
    world.service()
    wait_for(lambda: world.ask(HTTP) == [ready.name], "the ready Pod answers")
    assert world.ask(HTTP, 30) == [ready.name] * 30


@proof("services-own-namespace-only", control="CoreDNS' Pods in kube-system would stand in the EndpointSlice.")
def test_pods_of_other_namespaces_do_not_count(world: World) -> None:
    """Makes a Service with the labels of CoreDNS' Pods in a namespace that has none, then a Pod with them there."""
    labels = {"k8s-app": "kube-dns"}
    found = world.core.list_namespaced_pod("kube-system", label_selector="k8s-app=kube-dns").items
    assert found, "there are such Pods elsewhere"
    world.service("dns", selector=labels)
    (own,) = world.pods("own", labels=labels)
    wait_for(lambda: set(world.endpoints("dns")) == {own.address}, "its own Pod alone is there")


@proof(
    "services-without-selector", control="There would be an EndpointSlice, as there is for a Service with a selector."
)
def test_without_a_selector_no_endpoint_slice_is_written(world: World) -> None:
    """Makes a Service without a selector, then one with a selector, and waits for the latter's EndpointSlice."""
    world.service("without", selector=None)
    world.service("with")

    def owners() -> set[str]:
        slices = world.discovery.list_namespaced_endpoint_slice(world.namespace).items
        return {each.metadata.labels["kubernetes.io/service-name"] for each in slices}

    wait_for(lambda: "with" in owners(), "the other one has its EndpointSlice")
    assert owners() == {"with"}


@proof("services-dns-names", control="One of the names would not be found, as that of no Service is.")
def test_dns_knows_a_service_by_its_names(world: World) -> None:
    """Asks from a Pod by the short name, the name with the namespace, and the full one."""
    (pod,) = world.pods()
    world.service()
    namespace = world.namespace
    for name in ("echo", f"echo.{namespace}", f"echo.{namespace}.svc", f"echo.{namespace}.svc.cluster.local"):
        wait_for(lambda name=name: world.ask(f"http://{name}/hostname") == [pod.name], f"{name} is found")  # type: ignore[misc]
    assert world.failure("http://nobody/", seconds=5) == "name not found"


@proof(
    "services-environment-variables",
    "myths-environment",
    control="The Pod would have variables of the later Service, of the headless one or of the ExternalName, as it has"
    " of the earlier one.",
)
def test_a_pod_has_the_services_of_its_start_in_its_environment(world: World) -> None:
    """Makes Services of three kinds, starts a Pod, makes another Service, and reads the Pod's environment."""
    early = world.service("early").spec.cluster_ip
    world.service("headless", clusterIP="None")
    world.service("alias", type="ExternalName", externalName="example.com", selector=None)
    toolbox = world.toolbox()
    world.service("late")
    told = world.run("env", toolbox.name)
    assert f"EARLY_SERVICE_HOST={early}" in told
    for without in ("LATE", "HEADLESS", "ALIAS"):
        assert f"{without}_SERVICE_HOST" not in told
