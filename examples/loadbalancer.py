"""A LoadBalancer Service from beginning to end, as one program.

It waits until MetalLB has given a Service an address, and shows which entrances the Service has, which clients may
use the address, what each Node says of its health, and what a provider does: it plays one itself. In the end it
removes what it made.

It talks to Nodes, so it runs in their network:

    throwaway shell -- python examples/loadbalancer.py

Needs: load-balancer

What it prints is in loadbalancer.expected.txt, word for word.
"""

import time
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from kubernetes import client, config

NAMESPACE = "example-loadbalancer"
LABELS = {"app": "web"}


def main() -> None:
    """Tell the story, all of it in one namespace, which goes in the end, also when something fails."""
    config.load_kube_config()
    core = client.CoreV1Api()
    core.create_namespace({"metadata": {"name": NAMESPACE}})
    try:
        start_pod(core)
        address = wait_for_address(core)
        try_the_entrances(core, address)
        let_only_some_in(core, address)
        ask_each_node_for_its_health(core)
        play_the_provider(core)
    finally:
        core.delete_namespace(NAMESPACE)
        wait_until(lambda: NAMESPACE not in {each.metadata.name for each in core.list_namespace().items})
    print("\nThe namespace is deleted, and everything with it.")


def start_pod(core: client.CoreV1Api) -> None:
    """Start a web server on worker1, and wait until it is ready."""
    container = {
        "name": "web",
        "image": "hashicorp/http-echo:1.0.0",
        "args": ["-text=hello"],
        "readinessProbe": {"httpGet": {"path": "/health", "port": 5678}, "periodSeconds": 1},
    }
    spec = {"nodeName": "worker1", "containers": [container], "terminationGracePeriodSeconds": 0}
    wait_until(lambda: bool(core.list_namespaced_service_account(NAMESPACE).items))
    core.create_namespaced_pod(NAMESPACE, {"metadata": {"name": "web", "labels": LABELS}, "spec": spec})

    def is_ready() -> bool:
        conditions = core.read_namespaced_pod("web", NAMESPACE).status.conditions or ()
        return any(each.type == "Ready" and each.status == "True" for each in conditions)

    wait_until(is_ready)


def wait_for_address(core: client.CoreV1Api) -> str:
    """Make a Service of type LoadBalancer, and return the address that it is given."""
    create(core, "web")
    wait_until(lambda: bool(ingress(core, "web")))
    address = str(ingress(core, "web")[0].ip)
    print("The Service has got an address, by which it is reached from outside.")
    wait_until(lambda: ask(f"http://{address}") == "hello")
    print(f"  port 80 of it says: {ask(f'http://{address}')}")
    return address


def try_the_entrances(core: client.CoreV1Api, address: str) -> None:
    """The Service has a ClusterIP and a NodePort, too, and no Node has its address."""
    spec = core.read_namespaced_service("web", NAMESPACE).spec
    node_port = spec.ports[0].node_port
    nodes = node_addresses(core)
    wait_until(lambda: all(ask(f"http://{each}:{node_port}") for each in nodes.values()))
    print("\nIt has all that a NodePort Service has:")
    print(f"  a ClusterIP: {yes_or_no(bool(spec.cluster_ip))}")
    print(f"  a port that every Node answers: {yes_or_no(node_port is not None)}")
    print(f"  and the address is none of the Nodes': {yes_or_no(address not in nodes.values())}")


def let_only_some_in(core: client.CoreV1Api, address: str) -> None:
    """Clients that are not in loadBalancerSourceRanges get no answer at the address, but one at the NodePort."""
    port = change(core, loadBalancerSourceRanges=["192.0.2.0/24"]).spec.ports[0].node_port
    at_node = f"http://{node_addresses(core)['worker2']}:{port}"
    wait_until(lambda: ask(f"http://{address}") is None)
    print("\nIf we are not in loadBalancerSourceRanges, who answers us?")
    print(f"  the address: {yes_or_no(ask(f'http://{address}') is not None)}")
    print(f"  a NodePort: {yes_or_no(ask(at_node) is not None)}")
    change(core, loadBalancerSourceRanges=None)


def ask_each_node_for_its_health(core: client.CoreV1Api) -> None:
    """With externalTrafficPolicy Local, each Node says by one more port whether it runs a Pod of the Service."""
    port = change(core, externalTrafficPolicy="Local").spec.health_check_node_port
    codes = {"control-plane": 503, "worker1": 200, "worker2": 503}
    urls = {node: f"http://{address}:{port}" for node, address in node_addresses(core).items()}
    wait_until(lambda: {node: status_of(urls[node]) for node in codes} == codes)
    print("\nWith externalTrafficPolicy Local, what does each Node say at the health check port?")
    for node in codes:
        print(f"  {node}: {status_of(urls[node])}")


def play_the_provider(core: client.CoreV1Api) -> None:
    """A Service of a class that nobody serves waits, until somebody writes an address into its status."""
    create(core, "waiting", loadBalancerClass="example.com/ours")
    print("\nA Service of a class that nobody serves")
    print(f"  has an address: {yes_or_no(bool(ingress(core, 'waiting')))}")
    status = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
    core.patch_namespaced_service_status("waiting", NAMESPACE, status)
    given = ingress(core, "waiting")[0]
    print(f"  has the address that we write into its status: {given.ip}, mode {given.ip_mode}")


def create(core: client.CoreV1Api, name: str, **more: Any) -> None:
    """Create a Service of type LoadBalancer in front of the web server."""
    spec = {"type": "LoadBalancer", "selector": LABELS, "ports": [{"port": 80, "targetPort": 5678}], **more}
    core.create_namespaced_service(NAMESPACE, {"metadata": {"name": name}, "spec": spec})


def change(core: client.CoreV1Api, **spec: Any) -> Any:
    """Change fields of the Service `web`, and return it."""
    return core.patch_namespaced_service("web", NAMESPACE, {"spec": spec})


def ingress(core: client.CoreV1Api, name: str) -> list[Any]:
    """The outside addresses of a Service."""
    return list(core.read_namespaced_service(name, NAMESPACE).status.load_balancer.ingress or ())


def node_addresses(core: client.CoreV1Api) -> dict[str, str]:
    """Each Node's name and its address on the Nodes' network."""
    return {
        node.metadata.name: next(a.address for a in node.status.addresses if a.type == "InternalIP")
        for node in core.list_node().items
    }


def ask(url: str) -> str | None:
    """What an address answers, over a connection of its own; None if nothing comes within two seconds."""
    try:
        with urlopen(url, timeout=2) as answer:
            return str(answer.read().decode().strip())
    except OSError:
        return None


def status_of(url: str) -> int:
    """The status code that an address answers; 0 if nothing comes within two seconds."""
    try:
        with urlopen(url, timeout=2) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code
    except OSError:
        return 0


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until a change has reached the place where it shows; raise TimeoutError if that takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"a change did not show within {seconds} seconds")
        time.sleep(0.1)


def yes_or_no(answer: bool) -> str:
    """The word for it."""
    return "yes" if answer else "no"


if __name__ == "__main__":
    main()
