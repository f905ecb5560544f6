"""What stands in EndpointSlices from a Pod's first moment to its last, as one program.

It starts two Pods behind a Service, prints their conditions while they are starting, ready and ending, and asks
the Service each time. Then it leads a Service without a selector to an address by an EndpointSlice of its own.

It talks to Nodes, so it runs in their network:

    throwaway shell -- python examples/endpointslices.py

What it prints is in endpointslices.expected.txt, word for word.
"""

import time
from collections.abc import Callable
from typing import Any
from urllib.request import urlopen

from kubernetes import client, config

NAMESPACE = "example-endpointslices"
PORT = 8080
KUBE_PROXY_HEALTH = 10256


def main() -> None:
    """Tell the story, all of it in one namespace, which goes in the end, also when something fails."""
    config.load_kube_config()
    core = client.CoreV1Api()
    core.create_namespace({"metadata": {"name": NAMESPACE}})
    try:
        url = node_url(core, core.create_namespaced_service(NAMESPACE, service("web", {"app": "web"})))
        print("A Service without Pods has a slice without endpoints:", conditions())
        start_pods(core, url)
        end_pods(core, url)
        lead_elsewhere(core)
    finally:
        core.delete_namespace(NAMESPACE)
        wait_until(lambda: NAMESPACE not in {each.metadata.name for each in core.list_namespace().items}, 60)
    print("\nThe namespace is deleted, and everything with it.")


def start_pods(core: client.CoreV1Api, url: str) -> None:
    """Start a Pod that gets ready and one that never does: its probe asks a port at which nobody listens."""
    for name, probed in ("good", PORT), ("late", 9999):
        container = {
            "name": "web",
            "image": "registry.k8s.io/e2e-test-images/agnhost:2.66.1",
            "args": ["netexec", "--delay-shutdown=20"],
            "readinessProbe": {"httpGet": {"path": "/", "port": probed}, "periodSeconds": 1},
        }
        spec = {"containers": [container], "terminationGracePeriodSeconds": 30}
        metadata = {"name": name, "labels": {"app": "web"}}
        core.create_namespaced_pod(NAMESPACE, {"metadata": metadata, "spec": spec})
    wait_until(lambda: "late" in conditions() and "ready" in conditions().get("good", ""), 60)
    print("\nTwo Pods have the labels. Each is listed as soon as it has an address:")
    show()
    wait_until(lambda: ask(url, 20) == {"good"})
    print("20 connections meet:", *ask(url, 20))


def end_pods(core: client.CoreV1Api, url: str) -> None:
    """Delete the Pod that is ready: it works on for a while, and since no other is ready, it is asked on."""
    core.delete_namespaced_pod("good", NAMESPACE)
    wait_until(lambda: "terminating" in conditions()["good"])
    print("\nThe good one is being deleted, and works on for some seconds:")
    show()
    wait_until(lambda: ask(url, 20) == {"good"})
    print("No other is ready, so 20 connections meet:", *ask(url, 20))
    for name in "good", "late":
        core.delete_namespaced_pod(name, NAMESPACE, grace_period_seconds=0)
    wait_until(lambda: not conditions(), 60)
    print("\nBoth are gone. Listed:", conditions())


def lead_elsewhere(core: client.CoreV1Api) -> None:
    """Lead a Service without a selector to a program on a Node that is no Pod: kube-proxy's own health check."""
    elsewhere = core.create_namespaced_service(NAMESPACE, service("elsewhere"))
    own = {
        "metadata": {"name": "elsewhere-1", "labels": {"kubernetes.io/service-name": "elsewhere"}},
        "addressType": "IPv4",
        "ports": [{"port": KUBE_PROXY_HEALTH}],
        "endpoints": [{"addresses": [node_address(core, "worker2")]}],
    }
    client.DiscoveryV1Api().create_namespaced_endpoint_slice(NAMESPACE, own)
    url = node_url(core, elsewhere, "/healthz")
    wait_until(lambda: "nodeEligible" in str(ask(url, 1)))
    print("\nBy a slice of our own, a Service leads to kube-proxy on worker2: it answers.")


def service(name: str, selector: dict[str, str] | None = None) -> dict[str, Any]:
    """A NodePort Service, with or without a selector."""
    spec: dict[str, Any] = {"type": "NodePort", "ports": [{"port": 80, "targetPort": PORT}]}
    return {"metadata": {"name": name}, "spec": spec | ({"selector": selector} if selector else {})}


def conditions() -> dict[str, str]:
    """Each Pod behind the Service `web`, with the conditions that are true for it."""
    listed = client.DiscoveryV1Api().list_namespaced_endpoint_slice
    found = {}
    for each in listed(NAMESPACE, label_selector="kubernetes.io/service-name=web").items:
        for endpoint in each.endpoints or []:
            now = endpoint.conditions.to_dict()
            found[endpoint.target_ref.name] = ", ".join(name for name in sorted(now) if now[name]) or "none"
    return found


def show() -> None:
    """Print the conditions of all Pods."""
    for name, now in sorted(conditions().items()):
        print(f"  {name}: {now}")


def node_address(core: client.CoreV1Api, node: str) -> str:
    """A Node's address on the Nodes' network."""
    addresses = core.read_node(node).status.addresses
    return str(next(each.address for each in addresses if each.type == "InternalIP"))


def node_url(core: client.CoreV1Api, made: Any, path: str = "/hostname") -> str:
    """Where a NodePort Service answers on worker1."""
    return f"http://{node_address(core, 'worker1')}:{made.spec.ports[0].node_port}{path}"


def ask(url: str, times: int) -> set[str]:
    """What so many connections are answered, each a new one; "nobody" where nothing comes."""
    found = set()
    for _ in range(times):
        try:
            with urlopen(url, timeout=1) as answer:
                found.add(answer.read().decode())
        except OSError:
            found.add("nobody")
    return found


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until a change has reached the place where it shows; raise TimeoutError if that takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"a change did not show within {seconds} seconds")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
