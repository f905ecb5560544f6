"""Proofs of docs/kubernetes/network-encryption.md."""

import http.client
import http.server
import ipaddress
import shlex
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography import x509
from kubernetes import client

from proofs import proof
from proofs.certificates import certificate
from proofs.world import AGNHOST, POD_PORT, Pod, World, outside, outside_failure, wait_for

TLS_PORT = 8443


def secret() -> str:
    """What nobody else sends, so that it is found in what was captured only if it was sent in plaintext."""
    return f"secret-{uuid.uuid4().hex}"


class Wire:
    """What passes an interface of a Node, from now on."""

    def __init__(self, capture: "subprocess.Popen[bytes]") -> None:
        self._seen = bytearray()
        self._capture = capture
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._capture.stdout
        while some := self._capture.stdout.read1(65536):  # type: ignore[attr-defined]
            self._seen += some

    def stop(self) -> None:
        """End it; what was seen stays."""
        self._capture.terminate()
        self._reader.join()

    def times(self, text: str) -> int:
        """How often a text has passed in plaintext."""
        return bytes(self._seen).count(text.encode())

    def settle(self, world: World, url: str, pod: str = "") -> None:
        """Wait until all that has passed so far is here: what is sent now, by plain HTTP, is seen."""
        mark = secret()

        def passes() -> bool:
            world.ask(f"{url}/echo?msg={mark}", pod=pod)
            return self.times(mark) > 0

        wait_for(passes, "a mark in plaintext is seen")


@contextmanager
def wire(world: World, node: str, words: str, interface: str = "eth0") -> Iterator[Wire]:
    """Listen at an interface of a Node (or of the machine `client`); `words` are tcpdump's filter."""
    # -U and --immediate-mode: no packet waits for the next one. -Z: its own account need not be known on the Node.
    listen = ["tcpdump", "-n", "-U", "--immediate-mode", "-Z", "root", "-i", interface, "-w", "-", words]
    command = world.cluster.node_command(node, listen)
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=world.cluster.environment, stdout=pipe, stderr=pipe) as capture:
        seen = Wire(capture)
        try:
            assert capture.stderr
            said = capture.stderr.readline()
            while said and b"listening on" not in said:
                said = capture.stderr.readline()
            assert said, "tcpdump listens"
            yield seen
        finally:
            seen.stop()


def tls_pod(world: World, name: str, args: Sequence[str], node: str = "worker2", **files: str) -> Pod:
    """Start a Pod of agnhost's that finds these files in /tls (`tls_crt` as tls.crt), and a Service for its port 443.

    It is ready as soon as it takes connections.
    """
    data = {each.replace("_", "."): text for each, text in files.items()}
    world.core.create_namespaced_secret(world.namespace, {"metadata": {"name": name}, "stringData": data})
    container = {
        "name": "main",
        "image": AGNHOST,
        "args": list(args),
        "readinessProbe": {"tcpSocket": {"port": TLS_PORT}, "periodSeconds": 1},
        "volumeMounts": [{"name": "tls", "mountPath": "/tls"}],
    }
    spec = {
        "nodeName": node,
        "containers": [container],
        "volumes": [{"name": "tls", "secret": {"secretName": name}}],
        "terminationGracePeriodSeconds": 0,
    }
    body = {"metadata": {"name": name, "labels": {"app": name}}, "spec": spec}
    world.core.create_namespaced_pod(world.namespace, body)
    world.service(name, ports=[{"port": 443, "targetPort": TLS_PORT}])

    def ready() -> Any:
        pod = world.core.read_namespaced_pod(name, world.namespace)
        is_ready = any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions or ())
        return pod if is_ready else None

    return Pod(name, wait_for(ready, f"Pod {name} is ready").status.pod_ip, node)


def https_server(world: World, *names: str) -> str:
    """Start a web server with TLS as the Service `sealed`; returns its certificate, which has these names."""
    crt, key = certificate(*(x509.DNSName(each) for each in names))
    files = ("--tls-cert-file=/tls/tls.crt", "--tls-private-key-file=/tls/tls.key")
    tls_pod(world, "sealed", ("netexec", f"--http-port={TLS_PORT}", *files), tls_crt=crt, tls_key=key)
    return crt


def save(world: World, pod: str, **files: str) -> None:
    """Write files into /tmp of a Pod (`ca_crt` as ca.crt)."""
    for name, text in files.items():
        world.run(f"cat >/tmp/{name.replace('_', '.')} <<'END'\n{text}\nEND", pod)


def curl(world: World, options: str, pod: str = "") -> tuple[str, int]:
    """What curl says, and its exit code."""
    text, _, code = (
        world.run(f"curl -sS --max-time 3 {options} 2>&1; code=$?; echo; echo $code", pod).strip().rpartition("\n")
    )
    return text.strip(), int(code)


def far_apart(world: World) -> tuple[Pod, Pod]:
    """A web server on worker2 behind the Service `echo`, and a toolbox on worker1 that it answers by now."""
    (pod,) = world.pods(node="worker2")
    world.service()
    toolbox = world.toolbox("worker1")
    wait_for(lambda: world.ask("http://echo/hostname", pod=toolbox.name) == [pod.name], "it answers")
    return pod, toolbox


@proof(
    "encryption-same-bytes",
    control="The bytes would differ, or the ports and addresses be the same on both sides.",
)
def test_a_cluster_ip_changes_addresses_and_nothing_else(world: World) -> None:
    """Listens on the client's Node where the Pod's packets come in and where they go out, and compares a request."""
    pod, toolbox = far_apart(world)
    address = world.core.read_namespaced_service("echo", world.namespace).spec.cluster_ip
    word = secret()
    request = f"GET /echo?msg={word} HTTP/1.1\r\nHost: echo\r\nX-Proof: {word}\r\n\r\n"
    url = f"http://{pod.address}:{POD_PORT}"
    with (
        wire(world, "worker1", f"tcp and dst host {address}", "any") as before,
        wire(world, "worker1", f"tcp and dst host {pod.address}") as after,
    ):
        script = "printf '%s' \"$0\" | nc -w 2 echo 80"
        world.run(f"sh -c {shlex.quote(script)} {shlex.quote(request)}", toolbox.name)
        after.settle(world, url, toolbox.name)
        wait_for(lambda: before.times(request) >= 1, "the request is seen before its address changes")
    assert after.times(request) == 1


@proof(
    "encryption-same-node",
    "encryption-node-reads",
    control="The text would be seen at the Node's network card, where one for a Pod of another Node is.",
)
def test_pods_of_one_node_do_not_use_the_wire_but_the_node_reads_along(world: World) -> None:
    """Sends a text to a Pod of the same Node; listens at the Node's network card, and at all its interfaces."""
    _far, toolbox = far_apart(world)
    (near,) = world.pods("near", node="worker1")
    world.service("near")
    wait_for(lambda: world.ask("http://near/hostname", pod=toolbox.name) == [near.name], "the near one answers")
    word = secret()
    with wire(world, "worker1", "tcp") as card, wire(world, "worker1", "tcp", "any") as everywhere:
        assert world.ask(f"http://near/echo?msg={word}", pod=toolbox.name) == [word]
        card.settle(world, "http://echo", toolbox.name)
        wait_for(lambda: everywhere.times(word) > 0, "the Node sees it")
    # The exec that started it came over the card, too, but encrypted.
    assert card.times(word) == 0


@proof("encryption-dns", control="The name would not be found in the packets to DNS.")
def test_questions_to_dns_are_plaintext(world: World) -> None:
    """Listens to a Pod's questions to DNS on its Node, and looks for a name that nobody else asks for."""
    toolbox = world.toolbox("worker1")
    label = secret().removeprefix("secret-")
    with wire(world, "worker1", "port 53", "any") as questions:

        def asked() -> bool:
            world.run(f"dig +tries=1 +time=1 {label}.{world.namespace}.svc.cluster.local", toolbox.name)
            return questions.times(label) > 0

        wait_for(asked, "the name is seen")
    assert questions.times(secret()) == 0


@proof(
    "encryption-node-port-twice",
    control="It would be seen once, as where the Node that is asked runs the Pod.",
)
def test_by_a_node_port_the_same_plaintext_passes_the_wire_twice(world: World) -> None:
    """Asks one Node by NodePort for a Pod of another Node, and counts at the first one's network card."""
    (pod,) = world.pods(node="worker2")
    port = world.service(type="NodePort").spec.ports[0].node_port
    urls = {node: f"http://{address}:{port}" for node, address in world.nodes.items()}

    def answered(node: str) -> bool:
        try:
            return outside(f"{urls[node]}/hostname", 1) == pod.name
        except OSError:
            return False

    wait_for(lambda: all(answered(node) for node in urls), "all Nodes answer")
    for asked, times in (("worker1", 2), ("worker2", 1)):
        # Requests only: by their destination, first the NodePort and then the Pod's port.
        with wire(world, asked, f"tcp and (dst port {port} or dst port {POD_PORT})") as card:
            word, last = secret(), secret()
            outside(f"{urls[asked]}/hostname?{word}")
            outside(f"{urls[asked]}/hostname?{last}")
            _wait_for_times(card, last, times)
        assert card.times(word) == times


def _wait_for_times(card: Wire, text: str, times: int) -> None:
    wait_for(lambda: card.times(text) >= times, f"it is seen {times} times")


@proof("encryption-secret", control="The API server would take a Secret of this type with the certificate alone.")
def test_a_tls_secret_needs_certificate_and_key(world: World) -> None:
    """Makes Secrets of type kubernetes.io/tls with both, without the key, and without the certificate."""
    crt, key = certificate(x509.DNSName("echo"))

    def made(**data: str) -> int:
        body = {"metadata": {"generateName": "tls-"}, "type": "kubernetes.io/tls", "stringData": data}
        try:
            world.core.create_namespaced_secret(world.namespace, body)
        except client.ApiException as refused:
            return int(refused.status)
        return 201

    assert made(**{"tls.crt": crt, "tls.key": key}) == 201
    assert made(**{"tls.crt": crt}) == 422
    assert made(**{"tls.key": key}) == 422


@proof(
    "encryption-mtls-identity",
    "encryption-mtls-refused",
    control="The server would answer all of them the same, or know nothing of who asks.",
)
def test_with_mtls_the_server_knows_who_asks_and_refuses_others(world: World) -> None:
    """Asks a server that wants certificates of clients with one, without one, and with one of another authority."""
    crt, key = certificate(x509.DNSName("mutual"))
    identity = f"spiffe://cluster.local/ns/{world.namespace}/sa/client"
    mine, my_key = certificate(x509.UniformResourceIdentifier(identity))
    other, other_key = certificate(x509.UniformResourceIdentifier(identity))
    options = (f"--listen=:{TLS_PORT}", "--server-creds=/tls/server.pem", "--spiffe-trust-bundle=/tls/clients.pem")
    tls_pod(world, "mutual", ("mtlsserver", *options), server_pem=crt + key, clients_pem=mine)
    toolbox = world.toolbox("worker1").name
    save(world, toolbox, ca_crt=crt, mine_pem=mine + my_key, other_pem=other + other_key)
    ask = "--cacert /tmp/ca.crt https://mutual/spiffe-echo"
    wait_for(lambda: curl(world, ask, toolbox)[1] == 0, "it answers")
    assert curl(world, f"--cert /tmp/mine.pem {ask}", toolbox) == (f"Client Identity: {identity}", 0)
    refusal = "SPIFFE client certificate authentication required"
    assert curl(world, ask, toolbox) == (refusal, 0)
    assert curl(world, f"--cert /tmp/other.pem {ask}", toolbox) == (refusal, 0)


@proof(
    "encryption-edge-before",
    control="The text would be seen between client and proxy, where it is without TLS.",
)
def test_before_a_proxy_that_terminates_tls_nobody_can_read_along(world: World, tmp_path: Path) -> None:
    """Starts a proxy with TLS outside the cluster, asks it from the machine `client`, and listens on both stretches."""
    (pod,) = world.pods(node="worker2")
    port = world.service(type="NodePort").spec.ports[0].node_port
    behind = f"http://{world.nodes['worker2']}:{port}"
    wait_for(lambda: outside_failure(behind) == "", "the Pod answers")

    class Edge(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = outside(behind + self.path).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    crt, key = certificate(x509.DNSName("edge"))
    (tmp_path / "edge.pem").write_text(crt + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "edge.pem")
    plain, sealed = (http.server.ThreadingHTTPServer(("", 0), Edge) for _ in range(2))
    sealed.socket = context.wrap_socket(sealed.socket, server_side=True)
    for server in (plain, sealed):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        word, mark = secret(), secret()
        with wire(world, "client", "tcp") as before, wire(world, "worker2", f"tcp dst port {POD_PORT}", "any") as after:
            for url in (
                f"https://GATEWAY:{sealed.server_port}/echo?msg={word}",
                f"http://GATEWAY:{plain.server_port}/echo?msg={mark}",
            ):
                script = f"curl -skS --max-time 5 {url}".replace("GATEWAY", "$(ip route show default | cut -d' ' -f3)")
                assert world.cluster.exec("client", ["sh", "-c", script]) == url.rpartition("=")[2]
            _wait_for_times(before, mark, 1)
            _wait_for_times(after, word, 1)
        assert before.times(word) == 0
        assert pod.name
    finally:
        for server in (plain, sealed):
            server.shutdown()
            server.server_close()


@proof(
    "encryption-api-server",
    "encryption-kubelet",
    control="They would answer plain HTTP as they do HTTPS, or listen to it at another port.",
)
def test_api_server_and_kubelets_take_https_only(world: World) -> None:
    """Asks the API server and each kubelet by HTTP and by HTTPS."""
    ends = [(world.nodes["control-plane"], 6443, "/readyz")]
    ends += [(address, 10250, "/healthz") for address in world.nodes.values()]
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    for address, port, path in ends:
        plain = http.client.HTTPConnection(address, port, timeout=5)
        plain.request("GET", path)
        answer = plain.getresponse()
        assert (answer.status, b"HTTP request to an HTTPS server" in answer.read()) == (400, True)
        plain.close()
        sealed = http.client.HTTPSConnection(address, port, timeout=5, context=unverified)
        sealed.request("GET", path)
        assert sealed.getresponse().status in (200, 401, 403)
        sealed.close()


@proof(
    "encryption-api-server-name",
    control="curl would refuse the certificate, as it does with another authority's.",
)
def test_a_pod_can_check_the_api_servers_certificate(world: World) -> None:
    """From a Pod, asks https://kubernetes.default.svc with the authority's certificate that it has, and another."""
    toolbox = world.toolbox("worker1").name
    authority = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
    url = "-o /dev/null -w '%{http_code}' https://kubernetes.default.svc/readyz"
    wait_for(lambda: curl(world, f"--cacert {authority} {url}", toolbox)[1] == 0, "the certificate fits")
    save(world, toolbox, other_crt=certificate(x509.DNSName("kubernetes.default.svc"))[0])
    assert curl(world, f"--cacert /tmp/other.crt {url}", toolbox)[1] == 60


@proof(
    "encryption-exec",
    control="The text would be seen on the Node's network card, as it is when a Pod sends it by HTTP.",
)
def test_what_exec_prints_cannot_be_read_on_the_wire(world: World) -> None:
    """Has a Pod on a worker print a text by `exec` and into its log, and listens at the Node's network card."""
    _pod, toolbox = far_apart(world)
    parts = [secret(), secret()]
    with wire(world, "worker1", "tcp") as card:
        assert world.run(f"echo {parts[0]}; echo {parts[1]} >/proc/1/fd/1", toolbox.name).strip() == parts[0]
        wait_for(
            lambda: parts[1] in world.core.read_namespaced_pod_log(toolbox.name, world.namespace), "the log has it"
        )
        card.settle(world, "http://echo", toolbox.name)
    assert [card.times(part) for part in parts] == [0, 0]


@proof(
    "encryption-port-forward",
    control="The text would be seen on the Node's network card, as it is when it comes by the Service.",
)
def test_a_forwarded_port_cannot_be_read_on_the_wire(world: World) -> None:
    """Sends a text by `kubectl port-forward` to a Pod that speaks plain HTTP, and listens at its Node's card."""
    pod, toolbox = far_apart(world)
    word = secret()
    command = ["kubectl", "-n", world.namespace, "port-forward", f"pod/{pod.name}", f":{POD_PORT}"]
    with (
        wire(world, "worker2", "tcp") as card,
        subprocess.Popen(command, env=world.cluster.environment, stdout=subprocess.PIPE, text=True) as forward,
    ):
        try:
            assert forward.stdout
            local = forward.stdout.readline().split(" -> ")[0].rpartition(":")[2]
            assert outside(f"http://127.0.0.1:{local}/echo?msg={word}", 10) == word
            card.settle(world, "http://echo", toolbox.name)
        finally:
            forward.terminate()
    assert card.times(word) == 0


@proof(
    "encryption-api-proxy",
    "encryption-api-proxy-any-certificate",
    control="The text could not be read, as it cannot with https: in front; or an unknown certificate be refused.",
)
def test_the_api_servers_proxy_speaks_plain_http_to_pods(world: World) -> None:
    """Asks a Pod and one with TLS by the API server's proxy, and listens at the network card of their Node."""
    _pod, toolbox = far_apart(world)
    https_server(world, "nobody-asks-by-this-name")
    plain, sealed = secret(), secret()

    def proxied(service: str, path: str) -> str:
        where = f"/api/v1/namespaces/{world.namespace}/services/{service}/proxy{path}"
        try:
            return str(world.cluster.kubectl(["get", "--raw", where]))
        except Exception as error:
            return f"failed: {error}"

    with wire(world, "worker2", "tcp") as card:
        wait_for(lambda: proxied("echo:80", f"/echo?msg={plain}") == plain, "it answers")
        wait_for(lambda: proxied("https:sealed:443", f"/echo?msg={sealed}") == sealed, "the one with TLS answers")
        card.settle(world, "http://echo", toolbox.name)
    assert card.times(plain) > 0
    assert card.times(sealed) == 0


@proof(
    "encryption-node-port-name",
    control="The certificate would fit a Node's address, as it does once it has that address.",
)
def test_at_a_node_port_the_certificate_has_to_have_the_nodes_address(world: World) -> None:
    """Asks a server with TLS at a Node's address and port, with a certificate without that address and with it."""
    address = world.nodes["worker2"]
    crt = https_server(world, "sealed")
    world.service("door", selector={"app": "sealed"}, type="NodePort", ports=[{"port": 443, "targetPort": TLS_PORT}])
    port = world.core.read_namespaced_service("door", world.namespace).spec.ports[0].node_port

    def said(authority: str, where: int) -> str:
        trust = ssl.create_default_context(cadata=authority)
        try:
            with urllib.request.urlopen(f"https://{address}:{where}/hostname", timeout=3, context=trust) as answer:
                return str(answer.read().decode())
        except urllib.error.URLError as error:
            return str(error.reason)

    wait_for(lambda: "IP address mismatch" in said(crt, port), "the certificate does not fit")
    crt, key = certificate(x509.DNSName("sealed"), x509.IPAddress(ipaddress.ip_address(address)))
    files = ("--tls-cert-file=/tls/tls.crt", "--tls-private-key-file=/tls/tls.key")
    tls_pod(world, "better", ("netexec", f"--http-port={TLS_PORT}", *files), tls_crt=crt, tls_key=key)
    better = world.service(
        "better-door", selector={"app": "better"}, type="NodePort", ports=[{"port": 443, "targetPort": TLS_PORT}]
    )
    wait_for(lambda: said(crt, better.spec.ports[0].node_port) == "better", "the certificate fits")


@proof(
    "encryption-http-to-https",
    "encryption-https-to-http",
    "encryption-port-number",
    control="The one would answer as the other: with 200 to both, or with an error to both.",
)
def test_http_and_https_do_not_understand_each_other(world: World) -> None:
    """Asks a Pod with TLS by HTTP and a Pod without it by HTTPS, each at port 443 of its Service."""
    (pod,) = world.pods(node="worker2")
    world.service("bare", selector={"app": "echo"}, ports=[{"port": 443, "targetPort": POD_PORT}])
    crt = https_server(world, "sealed")
    toolbox = world.toolbox("worker1").name
    save(world, toolbox, ca_crt=crt)
    wait_for(lambda: curl(world, "--cacert /tmp/ca.crt https://sealed/hostname", toolbox) == ("sealed", 0), "HTTPS")
    wait_for(lambda: curl(world, "http://bare:443/hostname", toolbox) == (pod.name, 0), "port 443 speaks plain HTTP")
    said, _code = curl(world, "-w ' %{http_code}' http://sealed:443/hostname", toolbox)
    assert said.split()[-1] == "400", said
    said, code = curl(world, "-k https://bare/hostname", toolbox)
    assert code == 35, said  # what it hears is no TLS
