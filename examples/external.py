"""Services for a server outside the cluster, from beginning to end, as one program.

It is a web server outside the cluster itself, and leads Pods to it in two ways: by a Service without a selector and
an EndpointSlice of its own, and by an ExternalName Service. It shows who is asked for what, and what each way cannot
do. In the end it removes what it made.

The Pods have to reach it, so it runs in the network of the Nodes:

    throwaway shell -- python examples/external.py

What it prints is in external.expected.txt, word for word.
"""

import json
import socket
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from kubernetes import client, config
from kubernetes.stream import stream

NAMESPACE = "example-external"
DOMAIN = f"{NAMESPACE}.svc.cluster.local"


class Server(BaseHTTPRequestHandler):
    """Answers with the host that it is asked for."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"outside, asked for {self.headers['Host']}".encode())

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


def main() -> None:
    """Tell the story, all of it in one namespace, which goes in the end, also when something fails."""
    config.load_kube_config()
    core = client.CoreV1Api()
    with ThreadingHTTPServer((own_address(core), 0), Server) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        core.create_namespace({"metadata": {"name": NAMESPACE}})
        try:
            start_toolbox(core)
            lead_by_a_slice(core, str(server.server_address[0]), server.server_port)
            lead_by_a_name(core)
            warn(core)
        finally:
            core.delete_namespace(NAMESPACE)
            wait_until(lambda: is_gone(core))
            server.shutdown()
    print("\nThe namespace is deleted, and everything with it.")


def start_toolbox(core: client.CoreV1Api) -> None:
    """Start a Pod with network tools, from which to ask."""
    container = {"name": "toolbox", "image": "localhost/toolbox:1", "command": ["sleep", "infinity"]}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 1}
    core.create_namespaced_pod(NAMESPACE, {"metadata": {"name": "toolbox"}, "spec": spec})
    wait_until(lambda: core.read_namespaced_pod("toolbox", NAMESPACE).status.phase == "Running")
    print("A web server runs outside the cluster, and a Pod inside.")


def lead_by_a_slice(core: client.CoreV1Api, address: str, port: int) -> None:
    """A Service without a selector, and the server's address in an EndpointSlice by hand."""
    service = make_service(core, "orders", {"ports": [{"port": 80}]})
    endpoint_slice = {
        "metadata": {"name": "orders-outside", "labels": {"kubernetes.io/service-name": "orders"}},
        "addressType": "IPv4",
        "ports": [{"port": port}],
        "endpoints": [{"addresses": [address]}],
    }
    client.DiscoveryV1Api().create_namespaced_endpoint_slice(NAMESPACE, endpoint_slice)
    wait_until(lambda: "outside" in ask(core, "http://orders"))
    print("\norders is a Service without a selector. An EndpointSlice by hand leads to the server.")
    print(f"  http://orders is answered by: {ask(core, 'http://orders')}")
    print(f"  its ClusterIP by: {ask(core, f'http://{service.spec.cluster_ip}').partition(',')[0]}")


def lead_by_a_name(core: client.CoreV1Api) -> None:
    """An ExternalName Service for the first one's name: DNS knows it, nobody else does."""
    spec = {"type": "ExternalName", "externalName": f"orders.{DOMAIN}", "ports": [{"port": 8888}]}
    service = make_service(core, "shop", spec)
    wait_until(lambda: "outside" in ask(core, "http://shop"))
    told = in_toolbox(core, f"dig +short CNAME shop.{DOMAIN}")
    print(f"\nshop is a Service of type {service.spec.type}.")
    print(f"  it has the address: {service.spec.cluster_ip}")
    print(f"  DNS answers its name with: {told}")
    print(f"  http://shop is answered by: {ask(core, 'http://shop')}")
    print(f"  which is the alias, and not the server's name. http://shop:8888 by: {ask(core, 'http://shop:8888')}")


def warn(core: client.CoreV1Api) -> None:
    """What the API server warns of, and what it refuses."""
    print("\nThe API server warns:")
    endpoints = {"metadata": {"name": "orders"}}
    _, _, headers = core.create_namespaced_endpoints_with_http_info(NAMESPACE, endpoints)
    print(f"  {warning(headers)}")
    spec = {"ports": [{"port": 80}], "externalIPs": ["198.51.100.7"]}
    own = {"metadata": {"name": "taken"}, "spec": spec}
    _, _, headers = core.create_namespaced_service_with_http_info(NAMESPACE, own)
    print(f"  {warning(headers)}")
    print("and refuses an ExternalName")
    for name in ("https://example.org", "example.org:443"):
        try:
            make_service(core, "wrong", {"type": "ExternalName", "externalName": name})
        except client.ApiException as refusal:
            (cause,) = json.loads(refusal.body)["details"]["causes"]
            print(f"  {name}: {cause['field']}, {cause['message'].split(':')[0]}")


def warning(headers: dict[str, str]) -> str:
    """The API server's warning, which stands in a header as `299 - "…"`."""
    return headers["Warning"].split('"')[1]


def make_service(core: client.CoreV1Api, name: str, spec: dict[str, Any]) -> Any:
    """Make a Service, and return it as the API server does."""
    return core.create_namespaced_service(NAMESPACE, {"metadata": {"name": name}, "spec": spec})


def own_address(core: client.CoreV1Api) -> str:
    """The address of this machine that the Nodes see."""
    node = core.list_node().items[0]
    address = next(a.address for a in node.status.addresses if a.type == "InternalIP")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((address, 9))  # sends nothing
        return str(probe.getsockname()[0])


def ask(core: client.CoreV1Api, url: str) -> str:
    """What a Pod is answered, or `nobody`."""
    return in_toolbox(core, f"curl -s --max-time 2 {url} || echo nobody")


def in_toolbox(core: client.CoreV1Api, command: str) -> str:
    """What a shell command prints inside the cluster, errors included."""
    run = core.connect_get_namespaced_pod_exec
    return str(stream(run, "toolbox", NAMESPACE, command=["sh", "-c", command], stdout=True, stderr=True)).strip()


def is_gone(core: client.CoreV1Api) -> bool:
    """Whether the namespace, and so everything in it, is deleted."""
    return NAMESPACE not in {namespace.metadata.name for namespace in core.list_namespace().items}


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until a change has reached the place where it shows; raise TimeoutError if that takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"a change did not show within {seconds} seconds")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
