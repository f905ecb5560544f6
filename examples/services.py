"""What a Service is, as one program: its types, its ports, its selector.

It makes a Service before there are any Pods, changes its type from one to the next, and shows what it has each time.
Then it lets a Pod in and out by its labels. In the end it removes what it made.

    throwaway shell -- python examples/services.py

What it prints is in services.expected.txt, word for word.
"""

import json
import time
from collections.abc import Callable
from typing import Any

from kubernetes import client, config

NAMESPACE = "example-services"


def main() -> None:
    """Tell the story, all of it in one namespace, which goes in the end, also when something fails."""
    config.load_kube_config()
    core = client.CoreV1Api()
    core.create_namespace({"metadata": {"name": NAMESPACE}})
    try:
        make_service_before_its_pods(core)
        change_types(core)
        ask_for_ports(core)
        let_a_pod_in_and_out(core)
    finally:
        core.delete_namespace(NAMESPACE)
        wait_until(lambda: is_gone(core), seconds=60)
    print("\nThe namespace is deleted, and everything with it.")


def make_service_before_its_pods(core: client.CoreV1Api) -> None:
    """A Service needs no Pods to be made; what it leaves open is filled in."""
    spec = {"selector": {"app": "web"}, "ports": [{"port": 8080}]}
    service = core.create_namespaced_service(NAMESPACE, {"metadata": {"name": "web"}, "spec": spec})
    print("A Service is made, and there are no Pods yet. Filled in are")
    print(f"  its type: {service.spec.type}")
    print(f"  its targetPort: {service.spec.ports[0].target_port}, the same as its port")
    print(f"  an address: {yes_or_no(bool(service.spec.cluster_ip))}")


def change_types(core: client.CoreV1Api) -> None:
    """Three types build on one another; ExternalName stands apart."""
    first = core.read_namespaced_service("web", NAMESPACE).spec.cluster_ip
    print("\nThe same Service as a")
    for kind in ("NodePort", "LoadBalancer", "ClusterIP", "ExternalName"):
        change: dict[str, Any] = {"type": kind}
        if kind == "ExternalName":
            change["externalName"] = "example.org"
        spec = core.patch_namespaced_service("web", NAMESPACE, {"spec": change}).spec
        address = "its first address" if spec.cluster_ip == first else "no address"
        node_port = "a port on every Node" if spec.ports[0].node_port else "no port on Nodes"
        print(f"  {kind}: {address}, {node_port}")
    again = {"type": "ClusterIP", "externalName": None}
    spec = core.patch_namespaced_service("web", NAMESPACE, {"spec": again}).spec
    print(f"  ClusterIP again, with an address: {yes_or_no(bool(spec.cluster_ip))}")


def ask_for_ports(core: client.CoreV1Api) -> None:
    """Several ports need names; one number may stand for two protocols; no port is too few."""
    print("\nThe API server says to")
    wanted = {
        "two ports without names": [{"port": 80}, {"port": 81}],
        "no port": [],
        "port 53 for TCP and UDP": [{"name": "tcp", "port": 53}, {"name": "udp", "port": 53, "protocol": "UDP"}],
    }
    for what, ports in wanted.items():
        try:
            core.create_namespaced_service(NAMESPACE, {"metadata": {"name": "ports"}, "spec": {"ports": ports}})
        except client.ApiException as refusal:
            cause = json.loads(refusal.body)["details"]["causes"][0]
            print(f"  {what}: {refusal.status}, {cause['field']}: {cause['message']}")
        else:
            print(f"  {what}: yes")


def let_a_pod_in_and_out(core: client.CoreV1Api) -> None:
    """Labels decide whether a Pod is behind a Service, while it runs."""
    print("\nIs a running Pod behind the Service?")
    container = {"name": "main", "image": "registry.k8s.io/e2e-test-images/agnhost:2.66.1", "args": ["pause"]}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    core.create_namespaced_pod(NAMESPACE, {"metadata": {"name": "web"}, "spec": spec})
    wait_until(lambda: bool(core.read_namespaced_pod("web", NAMESPACE).status.pod_ip), seconds=60)
    address = core.read_namespaced_pod("web", NAMESPACE).status.pod_ip
    print(f"  without labels: {yes_or_no(address in ready_endpoints())}")
    core.patch_namespaced_pod("web", NAMESPACE, {"metadata": {"labels": {"app": "web"}}})
    wait_until(lambda: address in ready_endpoints())
    print("  with the label app: web: yes")
    core.patch_namespaced_pod("web", NAMESPACE, {"metadata": {"labels": {"app": "other"}}})
    wait_until(lambda: address not in ready_endpoints())
    print("  with the label app: other: no")


def ready_endpoints() -> set[str]:
    """The addresses of the ready Pods behind the Service, as its EndpointSlices have them."""
    slices = client.DiscoveryV1Api().list_namespaced_endpoint_slice(
        NAMESPACE, label_selector="kubernetes.io/service-name=web"
    )
    endpoints = [endpoint for each in slices.items for endpoint in each.endpoints or ()]
    return {endpoint.addresses[0] for endpoint in endpoints if endpoint.conditions.ready}


def is_gone(core: client.CoreV1Api) -> bool:
    """Whether the namespace, and so everything in it, is deleted."""
    return NAMESPACE not in {namespace.metadata.name for namespace in core.list_namespace().items}


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
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
