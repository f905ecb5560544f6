"""Proofs of docs/kubernetes/resources/external-services.md."""

import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from cryptography import x509
from kubernetes import client

from proofs import proof
from proofs.certificates import certificate
from proofs.world import POD_PORT, SERVICE_NAME, World, answers, outside, wait_for
from throwaway import CommandFailedError

MANAGED_BY = "endpointslice.kubernetes.io/managed-by"


class Outside(ThreadingHTTPServer):
    """A web server that is no Pod. It serves one site, and answers 404 to whoever asks for another host's."""

    daemon_threads = True

    def __init__(self, site: str = "") -> None:
        super().__init__((own_address(), 0), _Handler)
        self.site = site
        """The host name that it serves; with "", any."""
        self.asked_for: list[str] = []
        """The hosts that it was asked for by HTTP, in order."""
        self.shaken_hands_for: list[str | None] = []
        """The hosts that it was asked for by TLS, in order."""

    @property
    def address(self) -> str:
        """Its IP address."""
        return str(self.server_address[0])

    def be_certified(self, folder: Path) -> str:
        """Speak TLS from now on, with a certificate for the site alone; returns the certificate."""
        own, key = certificate(x509.DNSName(self.site))
        file = folder / "server.pem"
        file.write_text(key + own)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        context.sni_callback = lambda _socket, name, _context: self.shaken_hands_for.append(name)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        return own


class _Handler(BaseHTTPRequestHandler):
    server: Outside

    def do_GET(self) -> None:
        host = self.headers["Host"].partition(":")[0]
        self.server.asked_for.append(host)
        is_known = self.server.site in ("", host)
        self.send_response(200 if is_known else 404)
        self.end_headers()
        self.wfile.write(b"from outside" if is_known else b"no such site")

    def log_message(self, *args: Any) -> None:
        """Print nothing."""


def own_address() -> str:
    """This machine's address on the network of the Nodes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("172.30.0.11", 9))  # sends nothing
        return str(probe.getsockname()[0])


@contextmanager
def server_outside(site: str = "") -> Iterator[Outside]:
    """A web server beside the Nodes."""
    with Outside(site) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def change_slice(world: World, name: str, **fields: Any) -> None:
    """Change fields of an EndpointSlice."""
    world.discovery.patch_namespaced_endpoint_slice(name, world.namespace, fields)


def write_endpoints(world: World, service: str, port: int, address: str) -> str:
    """Write v1 Endpoints by hand; returns the API server's warning."""
    own = {
        "metadata": {"name": service},
        "subsets": [{"addresses": [{"ip": address}], "ports": [{"port": port}]}],
    }
    _, _, headers = world.core.create_namespaced_endpoints_with_http_info(world.namespace, own)
    return str(headers.get("Warning", ""))


def alias(world: World, name: str, other: str, **spec: Any) -> Any:
    """Make an ExternalName Service."""
    return world.service(name, **({"selector": None, "ports": None} | spec), type="ExternalName", externalName=other)


def stand_in(world: World, name: str, address: str) -> str:
    """Have the cluster's DNS lead a name to an address outside, as the internet's would; returns the whole name."""
    world.service(name, selector=None, ports=None, clusterIP="None")
    world.endpoint_slice(name, 80, address)
    full = f"{name}.{world.namespace}.svc.cluster.local"
    # By a question for another type, since DNS would remember for 30 seconds that there was no address.
    wait_for(lambda: world.run(f"dig +short SRV {full}"), "DNS knows the stand-in")
    wait_for(lambda: world.run(f"dig +short {full}").split() == [address], "DNS knows its address")
    return full


def is_cname(world: World, name: str, other: str) -> bool:
    """Whether DNS calls a Service another name for a host."""
    full = f"{name}.{world.namespace}.svc.cluster.local"
    return world.run(f"dig +short CNAME {full}").split() == [f"{other}."]


@proof(
    "external-slice-leads-outside",
    "external-node-port",
    "external-no-slices-by-itself",
    control="Connections would still be refused, as they are before there is an EndpointSlice.",
)
def test_a_service_without_a_selector_leads_outside(world: World) -> None:
    """Starts a web server beside the Nodes, makes a NodePort Service without a selector, asks, writes a slice, asks."""
    with server_outside() as server:
        service = world.service("shop", selector=None, type="NodePort", ports=[{"port": 80}])
        entrance = f"http://{world.nodes['worker1']}:{service.spec.ports[0].node_port}/"
        wait_for(lambda: world.failure("http://shop/") == "refused", "nobody is there yet")
        assert world.endpoints("shop") == {}
        world.endpoint_slice("shop", server.server_port, server.address)
        wait_for(lambda: world.ask("http://shop/", 5) == ["from outside"] * 5, "Pods reach it")
        wait_for(lambda: answers(entrance), "and so do those who ask a Node")
        assert outside(entrance) == "from outside"
        assert set(server.asked_for) == {"shop", world.nodes["worker1"]}


@proof("external-slice-label", control="The slice without the label would be used, too.")
def test_a_slice_belongs_to_a_service_by_its_label(world: World) -> None:
    """Writes an EndpointSlice with the Service's name but without the label, asks, adds the label, asks again."""
    (pod,) = world.pods()
    world.service("shop", selector=None)
    world.endpoint_slice("shop", POD_PORT, pod.address, name="shop", labels={})
    world.service("other", selector=None)
    world.endpoint_slice("other", POD_PORT, pod.address)
    wait_for(lambda: world.ask("http://other/hostname") == [pod.name], "one with the label is used")
    wait_for(lambda: world.failure("http://shop/hostname") == "refused", "one without is not")
    change_slice(world, "shop", metadata={"labels": {SERVICE_NAME: "shop"}})
    wait_for(lambda: world.ask("http://shop/hostname") == [pod.name], "then it is")


@proof("external-port-names", control="The Service with a named port would be answered from the first.")
def test_port_names_of_service_and_slice_must_agree(world: World) -> None:
    """Gives the Service's port a name and the slice's none, asks, gives the slice's the same name, asks again."""
    (pod,) = world.pods()
    world.service("shop", selector=None, ports=[{"name": "web", "port": 80}, {"name": "spare", "port": 81}])
    world.endpoint_slice("shop", POD_PORT, pod.address, name="shop")
    world.endpoint_slice("shop", {"name": "spare", "port": POD_PORT}, pod.address)
    wait_for(lambda: world.ask("http://shop:81/hostname") == [pod.name], "the port of one name answers")
    assert world.failure("http://shop/hostname") == "refused"
    change_slice(world, "shop", ports=[{"name": "web", "port": POD_PORT}])
    wait_for(lambda: world.ask("http://shop/hostname") == [pod.name], "so does the other one")


@proof(
    "external-ready-unless-said",
    control="The address without a condition would get no connections, or the one that is not ready would.",
)
def test_an_endpoint_is_ready_unless_the_slice_says_otherwise(world: World) -> None:
    """Writes a slice without conditions, asks, says `ready: false` in it, and asks again."""
    near, far = world.pods(count=2)
    world.service("shop", selector=None)
    world.endpoint_slice("shop", POD_PORT, near.address, far.address, name="shop")
    wait_for(lambda: set(world.ask("http://shop/hostname", 20)) == {near.name, far.name}, "both answer")
    unready = {"addresses": [far.address], "conditions": {"ready": False}}
    change_slice(world, "shop", endpoints=[{"addresses": [near.address]}, unready])
    wait_for(lambda: world.ask("http://shop/hostname", 20) == [near.name] * 20, "one alone answers")


@proof("external-nobody-checks", control="Connections would not fail once Kubernetes had noticed.")
def test_nobody_checks_whether_an_address_of_a_slice_answers(world: World) -> None:
    """Writes a slice with the addresses of a Pod and of a Node, where nobody listens at that port; asks 40 times."""
    (pod,) = world.pods()
    world.service("shop", selector=None)
    dead = world.nodes["worker1"]
    world.endpoint_slice("shop", POD_PORT, pod.address, dead)
    url = "http://shop/hostname"
    wait_for(lambda: set(world.ask(url, 20)) == {pod.name, ""}, "some connections fail")
    wait_for(lambda: set(world.endpoints("shop")) == {pod.address, dead}, "both are still there")
    assert set(world.ask(url, 40)) == {pod.name, ""}  # one answers all by a chance of 2 in 2**40
    assert all(each.conditions.ready is None for each in world.endpoints("shop").values())


@proof("external-slice-addresses", control="The API server would take them, as it takes another address.")
def test_some_addresses_are_refused_in_a_slice(world: World) -> None:
    """Writes slices with a loopback address, a link-local one, a host's name, and one of a network for examples."""
    refused = {
        "127.0.0.1": "may not be in the loopback range",
        "169.254.169.254": "may not be in the link-local range",
        "shop.example.com": "must be a valid IP address",
    }
    for address, reason in refused.items():
        with pytest.raises(client.ApiException) as refusal:
            world.endpoint_slice("shop", 80, address)
        assert (refusal.value.status, reason in str(refusal.value.body)) == (422, True), refusal.value.body
    world.endpoint_slice("shop", 80, "192.0.2.1")


@proof(
    "external-slice-fqdn",
    control="The Service would lead to the host, as one does whose slice has the host's address.",
)
def test_a_slice_of_names_is_taken_and_not_used(world: World) -> None:
    """Writes a slice of type FQDN with a name that DNS knows, reads the API server's warning, and asks the Service."""
    (pod,) = world.pods()
    domain = f"{world.namespace}.svc.cluster.local"
    world.service("by-address", selector=None)
    world.endpoint_slice("by-address", POD_PORT, pod.address)
    world.service("by-name", selector=None)
    _, warning = world.endpoint_slice("by-name", 80, f"by-address.{domain}", kind="FQDN")
    assert "FQDN endpoints are deprecated" in warning
    wait_for(lambda: world.ask(f"http://by-address.{domain}/hostname") == [pod.name], "the name leads to the Pod")
    wait_for(lambda: world.failure("http://by-name/hostname") == "refused", "the Service does not")


@proof("external-slice-cluster-ip", control="The Pod behind the other Service would answer, as it does to its clients.")
def test_a_cluster_ip_in_a_slice_does_not_work(world: World) -> None:
    """Writes a slice with the ClusterIP of another Service, and asks both."""
    (pod,) = world.pods()
    address = world.service().spec.cluster_ip
    world.service("twice", selector=None)
    world.endpoint_slice("twice", 80, address)
    world.service("once", selector=None)
    world.endpoint_slice("once", POD_PORT, pod.address)
    for name in ("echo", "once"):
        wait_for(lambda name=name: world.ask(f"http://{name}/hostname", 3) == [pod.name] * 3, f"{name} answers")  # type: ignore[misc]
    wait_for(lambda: world.failure("http://twice/hostname") == "timeout", "no answer")
    assert world.ask("http://twice/hostname", 3, seconds=1) == [""] * 3


@proof(
    "external-slice-outlives-service",
    "external-slice-left-is-used",
    "external-slice-owner",
    control="The slice without an owner would be gone, as the one is that has the Service for its owner.",
)
def test_a_slice_outlives_its_service_unless_it_is_owned(world: World) -> None:
    """Deletes two Services, one of which owns its EndpointSlice, sees which slice goes, makes both Services anew."""
    (pod,) = world.pods()
    world.service("free", selector=None)
    service = world.service("owner", selector=None)
    owner = {"apiVersion": "v1", "kind": "Service", "name": "owner", "uid": service.metadata.uid}
    world.endpoint_slice("owner", POD_PORT, pod.address, name="owned", ownerReferences=[owner])
    world.endpoint_slice("free", POD_PORT, pod.address, name="free")
    for name in ("free", "owner"):
        world.core.delete_namespaced_service(name, world.namespace)

    def left() -> set[str]:
        return {each.metadata.name for each in world.discovery.list_namespaced_endpoint_slice(world.namespace).items}

    wait_for(lambda: "owned" not in left(), "the one with an owner goes")
    assert left() == {"free"}
    for name in ("free", "owner"):
        world.service(name, selector=None)
    wait_for(lambda: world.ask("http://free/hostname") == [pod.name], "the slice that was left is used")
    wait_for(lambda: world.failure("http://owner/hostname") == "refused", "the other Service has none")


@proof(
    "external-selector-added-later",
    control="The outside server would get no more connections, or the Pod none.",
)
def test_a_selector_that_is_added_later_adds_its_pods(world: World) -> None:
    """Adds a selector to a Service that has a slice by hand, asks, and deletes that slice."""
    (pod,) = world.pods()
    with server_outside() as server:
        world.service("shop", selector=None)
        world.endpoint_slice("shop", server.server_port, server.address, name="own")
        url = "http://shop/hostname"
        wait_for(lambda: world.ask(url, 5) == ["from outside"] * 5, "the server answers")
        world.patch("shop", selector={"app": "echo"})
        wait_for(lambda: set(world.ask(url, 30)) == {"from outside", pod.name}, "both answer")
        world.discovery.delete_namespaced_endpoint_slice("own", world.namespace)
        wait_for(lambda: world.ask(url, 20) == [pod.name] * 20, "the Pod alone answers")


@proof(
    "external-no-port-forward",
    "external-no-api-proxy",
    control="Both ways would lead to the server, as they lead to Pods behind a Service with a selector.",
)
def test_kubectl_does_not_lead_outside(world: World) -> None:
    """Asks a Service that leads outside, and one for a Pod, through the API server, and by `kubectl port-forward`."""
    (pod,) = world.pods()
    world.service()
    with server_outside() as server:
        world.service("shop", selector=None)
        world.endpoint_slice("shop", server.server_port, server.address)
        wait_for(lambda: world.ask("http://shop/") == ["from outside"], "the Service works")

        def by_proxy(name: str) -> str:
            path = f"/api/v1/namespaces/{world.namespace}/services/{name}:80/proxy/hostname"
            try:
                return str(world.cluster.kubectl(["get", "--raw", path]))
            except CommandFailedError as failed:
                return failed.stderr

        wait_for(lambda: by_proxy("echo") == pod.name, "a Service for a Pod is reached")
        told = by_proxy("shop")
        assert "from outside" not in told
        assert "no endpoints available" in told or "ServiceUnavailable" in told, told
        with pytest.raises(CommandFailedError) as failed:
            world.cluster.kubectl(["-n", world.namespace, "port-forward", "service/shop", "0:80"], timeout=30)
        assert "selector" in failed.value.stderr, failed.value.stderr
        assert not server.asked_for.count("127.0.0.1")
    command = ["kubectl", "-n", world.namespace, "port-forward", "service/echo", ":80"]
    environment = world.cluster.environment
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as forwarding:
        assert forwarding.stdout
        try:
            assert "Forwarding from" in forwarding.stdout.readline()
        finally:
            forwarding.terminate()


@proof(
    "external-endpoints-deprecated",
    "external-endpoints-copied",
    control="There would be no warning, or no EndpointSlice; kube-proxy would have no way to the server.",
)
def test_endpoints_by_hand_are_copied(world: World) -> None:
    """Writes v1 Endpoints for a Service without a selector, reads the warning and the slice made of it, asks."""
    with server_outside() as server:
        world.service("shop", selector=None)
        warning = write_endpoints(world, "shop", server.server_port, server.address)
        assert "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice" in warning
        wait_for(lambda: set(world.endpoints("shop")) == {server.address}, "a slice is made of it")
        (copy,) = world.discovery.list_namespaced_endpoint_slice(world.namespace).items
        assert copy.metadata.labels[MANAGED_BY] == "endpointslicemirroring-controller.k8s.io"
        wait_for(lambda: world.ask("http://shop/", 3) == ["from outside"] * 3, "the Service leads there")
        world.core.delete_namespaced_endpoints("shop", world.namespace)
        wait_for(lambda: not world.endpoints("shop"), "the copy goes with the original")


@proof("external-endpoints-and-slice", control="One of the two would never answer.")
def test_endpoints_and_a_slice_by_hand_add_up(world: World) -> None:
    """Writes v1 Endpoints for one Pod and an EndpointSlice for another, both for one Service, and asks 30 times."""
    old, new = world.pods(count=2)
    world.service("shop", selector=None)
    write_endpoints(world, "shop", POD_PORT, old.address)
    world.endpoint_slice("shop", POD_PORT, new.address)
    wait_for(lambda: set(world.endpoints("shop")) == {old.address, new.address}, "both are there")
    wait_for(lambda: set(world.ask("http://shop/hostname", 30)) == {old.name, new.name}, "both answer")


@proof(
    "external-name-cname",
    "external-name-need-not-exist",
    "external-name-alias",
    control="DNS would answer with an address, or the API server refuse a name that nobody has.",
)
def test_an_external_name_is_a_cname(world: World) -> None:
    """Makes ExternalName Services for the names of no host, of a Service and of CoreDNS, asks DNS, and asks CoreDNS."""
    address = world.service().spec.cluster_ip
    full = f"echo.{world.namespace}.svc.cluster.local"
    alias(world, "near", full)
    alias(world, "far", "db.example.com")
    wait_for(lambda: is_cname(world, "far", "db.example.com"), "it is another name")
    told = world.run(f"dig +noall +answer near.{world.namespace}.svc.cluster.local").split("\n")
    assert [line.split()[-2:] for line in told if line] == [["CNAME", f"{full}."], ["A", address]]
    assert world.run(f"dig +short far.{world.namespace}.svc.cluster.local").split() == ["db.example.com."]
    alias(world, "names", "kube-dns.kube-system.svc.cluster.local")
    wait_for(lambda: is_cname(world, "names", "kube-dns.kube-system.svc.cluster.local"), "it is another name")
    assert "coredns_build_info" in world.run("curl -s --max-time 5 http://names:9153/metrics")


@proof(
    "external-name-nothing-else",
    "external-name-selector-ignored",
    control="It would have a ClusterIP or an EndpointSlice, or a Node's rules would speak of it,"
    " as they do of a Service with an address.",
)
def test_an_external_name_has_no_rules_and_no_slices(world: World) -> None:
    """Makes an ExternalName Service with a selector, and one with an address, for the same Pod; reads all rules."""
    world.pods()
    selector = {"app": "echo"}
    made = alias(world, "alias", "example.org", selector=selector, ports=[{"port": 80}])
    world.service()
    assert made.spec.cluster_ip is None
    for node in world.nodes:
        assert f"{world.namespace}/alias" not in rules_with(world, node, f"{world.namespace}/echo")
    assert world.endpoints("echo") != {}
    assert world.endpoints("alias") == {}


def rules_with(world: World, node: str, known: str) -> str:
    """What kube-proxy has written on a Node, as soon as something stands in it."""
    command = ["nft", "list", "table", "ip", "kube-proxy"] if world.mode == "nftables" else ["iptables-save"]

    def rules() -> str:
        told = world.cluster.exec(node, command)
        return told if known in told else ""

    return wait_for(rules, f"{node} knows {known}")


@proof("external-name-port-ignored", control="The alias' port would answer, as that of a Service with an address does.")
def test_the_ports_of_an_external_name_are_not_used(world: World) -> None:
    """Makes an ExternalName Service whose port 80 has the server's for its `targetPort`, and asks at both."""
    with server_outside() as server:
        host = stand_in(world, "site", server.address)
        alias(world, "shop", host, ports=[{"port": 9999, "targetPort": server.server_port}])
        wait_for(lambda: is_cname(world, "shop", host), "DNS knows the alias")
        assert world.ask(f"http://shop:{server.server_port}/") == ["from outside"]
        assert world.failure("http://shop:9999/") == "refused"
        world.service("real", selector=None, ports=[{"port": 9999}])
        world.endpoint_slice("real", server.server_port, server.address)
        wait_for(lambda: world.ask("http://real:9999/") == ["from outside"], "another type's port is used")


@proof(
    "external-name-host-header",
    control="The server would be asked for its own name, and answer as it does to those who use it.",
)
def test_the_server_is_asked_for_the_alias_by_http(world: World) -> None:
    """Has a Pod ask a server that serves one site by that name and by an ExternalName; reads the Host headers."""
    host = f"site.{world.namespace}.svc.cluster.local"
    with server_outside(host) as server:
        assert stand_in(world, "site", server.address) == host
        alias(world, "shop", host)
        wait_for(lambda: is_cname(world, "shop", host), "DNS knows the alias")
        port = server.server_port
        assert world.ask(f"http://{host}:{port}/") == ["from outside"]
        assert world.ask(f"http://shop:{port}/") == ["no such site"]
        assert server.asked_for == [host, "shop"]
        assert world.run(f"curl -s -H 'Host: {host}' http://shop:{port}/") == "from outside"


@proof(
    "external-name-tls",
    "external-name-sni",
    control="The client would accept the certificate under the alias, as it does under the server's own name.",
)
def test_the_certificate_is_not_for_the_alias(world: World, tmp_path: Path) -> None:
    """Has a Pod ask a TLS server by its name and by an ExternalName for it, and reads which name TLS asked for."""
    host = f"site.{world.namespace}.svc.cluster.local"
    with server_outside(host) as server:
        certificate = server.be_certified(tmp_path)
        assert stand_in(world, "site", server.address) == host
        alias(world, "shop", host)
        wait_for(lambda: is_cname(world, "shop", host), "DNS knows the alias")
        world.run(f"echo '{certificate}' >/tmp/site.pem")

        def ask(name: str) -> str:
            url = f"https://{name}:{server.server_port}/"
            return world.run(f'curl -sS --max-time 5 --cacert /tmp/site.pem {url} 2>&1; echo " $?"')

        assert ask(host).split() == ["from", "outside", "0"]
        refused = ask("shop")
        assert refused.split()[-1] == "60", refused  # a certificate that is not right, see curl(1)
        assert "does not match target host name 'shop'" in refused or "no alternative certificate" in refused, refused
        assert server.shaken_hands_for == [host, "shop"]


@proof(
    "external-name-form",
    control="The API server would refuse the name with the dot, or take a URL, a port or a path.",
)
def test_what_may_be_an_external_name(world: World) -> None:
    """Makes ExternalName Services with names, a URL, a port, a path, an underscore, and none."""
    for wrong in ("https://example.org", "example.org:443", "example.org/path", "my_host.example.org", "Example.org"):
        code, message = world.refusal(type="ExternalName", externalName=wrong, selector=None, ports=None)
        assert (code, "spec.externalName: Invalid value" in message) == (422, True), message
    assert world.refusal(type="ExternalName", selector=None, ports=None)[0] == 422
    assert alias(world, "dotted", "example.org.").spec.external_name == "example.org."
    assert alias(world, "plain", "example.org").spec.external_name == "example.org"
    wait_for(lambda: is_cname(world, "dotted", "example.org"), "DNS knows the one with the dot")


@proof("external-name-no-address", control="The name would be found, as that of an EndpointSlice's address is.")
def test_an_address_is_no_external_name(world: World) -> None:
    """Makes an ExternalName Service of a server's address, and a headless one with a slice; asks by both names."""
    with server_outside() as server:
        alias(world, "wrong", server.address)
        host = stand_in(world, "right", server.address)
        assert world.ask(f"http://{host}:{server.server_port}/") == ["from outside"]
        assert world.failure(f"http://wrong:{server.server_port}/", seconds=5) == "name not found"


@proof(
    "external-ips-answers",
    "external-ips-warning",
    "external-ips-nobodys",
    control="Nobody would answer at the address, as nobody does without the Service;"
    " or a Node would have it among its addresses.",
)
def test_nodes_take_connections_to_an_external_ip(world: World) -> None:
    """Leads nobody's address to a Node, on the machine `client`; asks it there before a Service has it and after."""
    (pod,) = world.pods()
    address = "198.51.100.7"  # of a network for examples, see RFC 5737
    ask = ["curl", "-s", "--max-time", "1", f"http://{address}/hostname"]

    def answer() -> str:
        try:
            return world.cluster.exec("client", ask)
        except CommandFailedError:
            return ""

    world.cluster.exec("client", ["ip", "route", "replace", f"{address}/32", "via", world.nodes["worker1"]])
    try:
        assert answer() == ""
        spec = {
            "selector": {"app": "echo"},
            "ports": [{"port": 80, "targetPort": POD_PORT}],
            "externalIPs": [address],
        }
        own = {"metadata": {"name": "echo"}, "spec": spec}
        _, _, headers = world.core.create_namespaced_service_with_http_info(world.namespace, own)
        assert "spec.externalIPs is deprecated" in headers["Warning"]
        wait_for(lambda: answer() == pod.name, "the Pod answers")
        for node, its_own in world.nodes.items():
            told = world.cluster.exec(node, ["ip", "-brief", "address"])
            assert its_own in told
            assert address not in told
        world.patch("echo", externalIPs=None)
        wait_for(lambda: answer() == "", "nobody answers any more")
    finally:
        world.cluster.exec("client", ["ip", "route", "delete", f"{address}/32"])


@proof(
    "external-ips-steal",
    control="The server would go on answering at its own address.",
)
def test_an_external_ip_takes_away_what_is_meant_for_another(world: World) -> None:
    """Has a Pod ask a server outside, makes a Service with that server's address as an external IP, asks again."""
    (pod,) = world.pods()
    with server_outside() as server:
        url = f"http://{server.address}:{server.server_port}/hostname"
        assert world.ask(url) == ["from outside"]
        ports = [{"port": server.server_port, "targetPort": POD_PORT}]
        world.service(externalIPs=[server.address], ports=ports)
        wait_for(lambda: world.ask(url, 5) == [pod.name] * 5, "the Pod answers instead")
        world.patch("echo", externalIPs=None)
        wait_for(lambda: world.ask(url, 5) == ["from outside"] * 5, "the server answers again")
