"""Proofs of docs/kubernetes/resources/myths.md, as far as those of other pages do not show the same."""

import re
import socket
import subprocess

import pytest
from kubernetes import client

from proofs import proof
from proofs.world import POD_PORT, TOOLBOX, World, asked, wait_for
from throwaway import CommandFailedError

HTTP = "http://echo/hostname"


def connection(address: str, port: int) -> socket.socket | None:
    """A connection from outside, if it can be opened."""
    try:
        return socket.create_connection((address, port), timeout=2)
    except OSError:
        return None


def answer(to: socket.socket) -> str:
    """What comes back for a line over an open connection; "" when it is cut."""
    to.sendall(b"who\n")
    return to.recv(100).decode().strip()


@proof(
    "myths-connections-move",
    control="The second answer over the open connection would come from the other Pod, as over new ones.",
)
def test_an_open_connection_stays_with_a_pod_that_is_no_longer_ready(world: World) -> None:
    """Opens a connection through the Service, makes its Pod unready while another is ready, and asks over it again."""
    serve = f"exec nc -ll -p {POD_PORT} -e sh -c 'while read line; do hostname; done'"
    probe = {"exec": {"command": ["test", "!", "-e", "/tmp/unready"]}, "periodSeconds": 1, "failureThreshold": 1}
    main = {"name": "main", "image": TOOLBOX, "command": ["sh", "-c", serve], "readinessProbe": probe}
    (pod,) = world.pods(containers=[main])
    port = world.service(type="NodePort").spec.ports[0].node_port

    def connected() -> socket.socket | None:
        return connection(world.nodes["worker1"], port)

    def answer_to_a_new_one() -> str:
        new = connected()
        if not new:
            return ""
        with new:
            return answer(new)

    with wait_for(connected, "the Service answers") as before:
        assert answer(before) == pod.name
        (other,) = world.pods("other", labels={"app": "echo"}, containers=[main])
        world.run("touch /tmp/unready", pod.name)
        new_ones = [other.name] * 20
        wait_for(lambda: [answer_to_a_new_one() for _ in range(20)] == new_ones, "new ones go to the other Pod")
        assert answer(before) == pod.name


@proof("myths-port-forward", control="Both Pods would answer some of 30 connections, as they do at the Service.")
def test_port_forward_picks_one_pod(world: World) -> None:
    """Forwards a port to a Service with two Pods, and asks by 30 connections."""
    pods = {pod.name for pod in world.pods(count=2)}
    world.service()
    wait_for(lambda: set(world.ask(HTTP, 30)) == pods, "both Pods answer")
    command = ["kubectl", "-n", world.namespace, "port-forward", "service/echo", ":80"]
    with subprocess.Popen(command, env=world.cluster.environment, stdout=subprocess.PIPE, text=True) as forwarding:
        try:
            assert forwarding.stdout
            said = re.match(r"Forwarding from (127\.0\.0\.1:\d+) -> ", forwarding.stdout.readline())
            assert said
            answered = asked(f"http://{said[1]}/hostname", 30)
        finally:
            forwarding.kill()
    assert len(set(answered)) == 1
    assert set(answered) < pods


@proof(
    "myths-cookie", control="The API server would take a Service with `sessionAffinity: Cookie`, as it takes ClientIP."
)
def test_session_affinity_knows_no_cookie(world: World) -> None:
    """Makes Services with three kinds of affinity."""
    for kind in ("ClientIP", "None"):
        assert world.service(kind.lower(), sessionAffinity=kind).spec.session_affinity == kind
    code, message = world.refusal(sessionAffinity="Cookie")
    assert (code, 'supported values: "ClientIP", "None"' in message) == (422, True)


@proof("myths-affinity-address", control="The clients would be led to both Pods, as they are before.")
def test_clients_of_one_address_share_a_pod(world: World) -> None:
    """Asks from six Pods that all have their Node's own address, without affinity and with it."""
    pods = {pod.name for pod in world.pods(count=2)}
    address = world.service().spec.cluster_ip
    container = {"name": "main", "image": TOOLBOX, "command": ["sleep", "infinity"]}
    clients = world.pods("client", 6, "worker1", containers=[container], hostNetwork=True)
    assert {each.address for each in clients} == {world.nodes["worker1"]}

    def answered() -> set[str]:
        url = f"http://{address}/hostname"
        return {name for each in clients for name in world.ask(url, 5, each.name)}

    wait_for(lambda: answered() == pods, "both Pods answer")
    world.patch("echo", sessionAffinity="ClientIP")
    wait_for(lambda: len(answered()) == 1, "one Pod answers all")
    assert len(answered()) == 1


@proof("myths-health", control="The Pod would not be in the EndpointSlice, as one whose readiness probe fails is not.")
def test_a_pod_without_a_probe_gets_connections_although_nothing_listens(world: World) -> None:
    """Starts a Pod in which nothing listens, without a probe and with one, and asks the Service."""
    (deaf,) = world.pods(args=["pause"])
    (unready,) = world.pods("unready", labels={"app": "echo"}, ready=False)
    world.service()
    wait_for(lambda: len(world.endpoints("echo")) == 2, "both are in the EndpointSlice")
    found = world.endpoints("echo")
    assert (found[deaf.address].conditions.ready, found[unready.address].conditions.ready) == (True, False)
    world.service("nobody")
    wait_for(lambda: world.failure("http://echo/") == "refused", "connections are refused")
    traced = world.run(f"curl -sv --max-time 1 http://{deaf.address}:{POD_PORT}/ 2>&1 || true")
    assert "refused" in traced, "by the Pod itself"


@proof("myths-spec-name", control="kubectl would make the Service, as it does without the field.")
def test_a_service_has_no_spec_name(world: World) -> None:
    """Applies a Service with `spec.name` by kubectl, and one without."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"name": "shop", "selector": {"app": "web"}, "ports": [{"port": 80}]},
    }
    with pytest.raises(CommandFailedError, match=r'Service\.spec.*unknown field "name"'):
        world.cluster.apply(service, world.namespace)
    del service["spec"]["name"]  # type: ignore[attr-defined]
    assert "service/web created" in world.cluster.apply(service, world.namespace)


@proof(
    "myths-endpoints", control="There would be no such object, or no warning, as there is none for an EndpointSlice."
)
def test_endpoints_are_written_and_deprecated(world: World) -> None:
    """Starts a Pod behind a Service, reads the Endpoints and the EndpointSlices, and the warnings that come along."""
    (pod,) = world.pods()
    world.service()

    def addresses() -> list[str]:
        found = world.core.list_namespaced_endpoints(world.namespace).items
        subsets = [subset for each in found if each.metadata.name == "echo" for subset in each.subsets or ()]
        return [address.ip for subset in subsets for address in subset.addresses or ()]

    wait_for(lambda: addresses() == [pod.address], "the Pod is in the Endpoints")
    _, _, headers = world.core.read_namespaced_endpoints_with_http_info("echo", world.namespace)
    assert "v1 Endpoints is deprecated in v1.33+" in headers["Warning"]
    _, _, headers = world.discovery.list_namespaced_endpoint_slice_with_http_info(world.namespace)
    assert "Warning" not in headers


@proof("myths-selector", control="The Service would refuse connections, as it does before the EndpointSlice is there.")
def test_a_service_without_a_selector_leads_where_a_slice_says(world: World) -> None:
    """Makes a Service without a selector, asks, writes an EndpointSlice with a Pod's address, and asks again."""
    (pod,) = world.pods()
    world.service(selector=None)
    wait_for(lambda: world.failure(HTTP) == "refused", "nobody is behind it")
    world.endpoint_slice("echo", POD_PORT, pod.address)
    wait_for(lambda: world.ask(HTTP) == [pod.name], "the Pod is behind it")


@proof(
    "myths-external-name-proxies",
    control="DNS would answer with an address of the Service's own, as it does for a ClusterIP Service.",
)
def test_an_external_name_is_an_alias(world: World) -> None:
    """Makes an ExternalName Service with a port for a ClusterIP Service's name, and asks DNS for both."""
    address = world.service().spec.cluster_ip
    domain = f"{world.namespace}.svc.cluster.local"
    ports = [{"port": 8888}]
    world.service("alias", type="ExternalName", externalName=f"echo.{domain}", selector=None, ports=ports)
    world.pods()
    wait_for(lambda: world.failure("http://alias/") == "", "it leads to where the other leads")
    assert world.run(f"dig +short CNAME alias.{domain}").split() == [f"echo.{domain}."]
    assert world.run(f"dig +short CNAME echo.{domain}").split() == []
    assert world.run(f"dig +short alias.{domain}").split()[-1] == address
    assert world.failure("http://alias:8888/") in ("refused", "timeout"), "its own port is nowhere"


@proof("myths-external-name-address", control="The name would be found, as that with a host's name is.")
def test_an_external_name_with_an_address_is_not_found(world: World) -> None:
    """Makes ExternalName Services for a Pod's address and for a host's name, and asks by the first."""
    (pod,) = world.pods()
    domain = f"{world.namespace}.svc.cluster.local"
    for name, other in (("address", pod.address), ("host", "example.org")):
        world.service(name, type="ExternalName", externalName=other, selector=None, ports=None)
    wait_for(lambda: world.run(f"dig +short CNAME host.{domain}").split() == ["example.org."], "DNS knows the other")
    wait_for(lambda: world.failure(f"http://{pod.address}:{POD_PORT}/") == "", "the Pod itself answers")
    assert world.failure(f"http://address:{POD_PORT}/", seconds=5) == "name not found"
    assert "status: NXDOMAIN" in world.run(f"dig address.{domain}")


@proof("myths-default-mode", control="kube-proxy would call another mode its default.")
def test_iptables_is_the_default_mode(world: World) -> None:
    """Asks the kube-proxy of a Node for its options, and the API server for its version."""
    told = world.cluster.exec("worker1", ["kube-proxy", "--help"])
    (line,) = [line for line in told.splitlines() if "--proxy-mode " in line]
    assert "on Linux this can be 'iptables' (default), 'ipvs', or 'nftables'" in line
    version = client.VersionApi(world.core.api_client).get_code()
    assert (version.major, int(version.minor) >= 31) == ("1", True)
