"""A NodePort Service from beginning to end, as one program.

It starts two Pods, opens them by one port on every Node, and shows what that means: who answers, from where,
through which port, what the API server refuses, and how connections are shared out. In the end it removes
what it made.

It talks to Nodes, so it runs in their network:

    throwaway shell -- python examples/nodeport.py

What it prints is in nodeport.expected.txt, word for word.
"""

import json
import time
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any
from urllib.request import urlopen

from kubernetes import client, config, watch
from kubernetes.stream import stream

NAMESPACE = "example-nodeport"
LABELS = {"app": "echo-server"}


def main() -> None:
    """Tell the story, all of it in one namespace, which goes in the end, also when something fails."""
    config.load_kube_config()
    core = client.CoreV1Api()
    core.create_namespace({"metadata": {"name": NAMESPACE}})
    try:
        start_pods(core)
        service = open_port(core)
        node_port = service.spec.ports[0].node_port
        urls = {node: f"http://{address}:{node_port}" for node, address in node_addresses(core).items()}
        ask_from_outside(core, urls)
        ask_from_inside(core, service.spec.cluster_ip)
        ask_for_wrong_ports(core, node_port)
        count_pods_per_connection(urls["control-plane"])
        let_nodes_answer_by_their_own_pods(core, urls)
    finally:
        core.delete_namespace(NAMESPACE)
        wait_until(lambda: is_gone(core), seconds=60)
    print("\nThe namespace is deleted, and everything with it.")


def start_pods(core: client.CoreV1Api) -> None:
    """Start two web servers that answer with their Pod's name, and a Pod with network tools."""
    echo_server = {
        "name": "echo-server",
        "image": "hashicorp/http-echo:1.0.0",
        "env": [{"name": "ECHO_TEXT", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": 5678}, "periodSeconds": 1},
    }
    deployment = {
        "metadata": {"name": "echo-server"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [echo_server]}},
        },
    }
    toolbox = {
        "metadata": {"name": "toolbox"},
        "spec": {
            "containers": [{"name": "toolbox", "image": "localhost/toolbox:1", "command": ["sleep", "infinity"]}],
            "terminationGracePeriodSeconds": 1,
        },
    }
    client.AppsV1Api().create_namespaced_deployment(NAMESPACE, deployment)
    core.create_namespaced_pod(NAMESPACE, toolbox)
    ready: set[str] = set()
    for event in watch.Watch().stream(core.list_namespaced_pod, NAMESPACE, timeout_seconds=60):
        pod = event["object"]
        if any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or ()):
            ready.add(pod.metadata.name)
        if len(ready) == 3:
            break
    else:
        raise TimeoutError(f"only {len(ready)} of 3 Pods became ready within 60 seconds")
    print("Two Pods run the echo server. A third one, the toolbox, is there to look from inside.")


def open_port(core: client.CoreV1Api) -> Any:
    """Create the Service without a nodePort and return it: Kubernetes has chosen one."""
    service = core.create_namespaced_service(NAMESPACE, node_port_service("echo-server-nodeport"))
    chosen = service.spec.ports[0].node_port in range(30086, 32768)
    print(f"\n{service.metadata.name} is a Service of type {service.spec.type}.")
    print(f"  inside the cluster it has port {service.spec.ports[0].port}")
    print(f"  on every Node it has one that Kubernetes chose from 30086-32767: {yes_or_no(chosen)}")
    return service


def ask_from_outside(core: client.CoreV1Api, urls: dict[str, str]) -> None:
    """Every Node answers, also the one that runs none of the Pods."""
    wait_until(lambda: all(ask(url) for url in urls.values()))
    names = {pod.metadata.name for pod in echo_servers(core)}
    print("\nFrom outside, at a Node's address and that port, a Pod answers:")
    for node, url in urls.items():
        print(f"  {node}: {yes_or_no(ask(url) in names)}")
    homes = {pod.spec.node_name for pod in echo_servers(core)}
    print(f"  although control-plane runs none of the Pods: {yes_or_no('control-plane' not in homes)}")


def ask_from_inside(core: client.CoreV1Api, cluster_ip: str) -> None:
    """Pods use the DNS name or the ClusterIP, and `port` instead of `nodePort`."""
    names = {pod.metadata.name for pod in echo_servers(core)}
    full_name = f"echo-server-nodeport.{NAMESPACE}.svc.cluster.local"
    print("\nFrom inside, at port 5678, a Pod answers:")
    for what, host in ("the Service's name", "echo-server-nodeport"), ("its ClusterIP", cluster_ip):
        answer = run_in_toolbox(core, "curl", "-sS", "--max-time", "5", f"http://{host}:5678")
        print(f"  {what}: {yes_or_no(answer in names)}")
    resolved = run_in_toolbox(core, "dig", "+short", full_name)
    print(f"  since DNS turns the name into the ClusterIP: {yes_or_no(resolved == cluster_ip)}")


def ask_for_wrong_ports(core: client.CoreV1Api, taken: int) -> None:
    """The API server refuses a port outside the range, and one that another Service has."""
    print("\nThe API server refuses a nodePort")
    for what, node_port in ("of 8080", 8080), ("that is taken", taken):
        try:
            core.create_namespaced_service(NAMESPACE, node_port_service("refused", node_port))
        except client.ApiException as refusal:
            cause = json.loads(refusal.body)["details"]["causes"][0]
            print(f"  {what}: {refusal.status}, {cause['message'].partition(f'{node_port}: ')[2]}")


def count_pods_per_connection(url: str) -> None:
    """A Pod is chosen at random for each connection; all requests over that connection go to it."""
    pods = {ask(url) for _ in range(40)}  # the chance that they meet one of two Pods only is 2 x 0.5**40
    connection = HTTPConnection(url.removeprefix("http://"), timeout=5)
    pods_of_connection = set()
    for _ in range(40):
        connection.request("GET", "/")
        pods_of_connection.add(connection.getresponse().read())
    connection.close()
    print("\nWho answers is decided anew for each connection, not for each request. Pods met by")
    print(f"  40 connections: {len(pods)}")
    print(f"  40 requests over one connection: {len(pods_of_connection)}")


def let_nodes_answer_by_their_own_pods(core: client.CoreV1Api, urls: dict[str, str]) -> None:
    """With externalTrafficPolicy Local, a Node without a Pod of the Service does not answer clients from outside."""
    local = {"spec": {"externalTrafficPolicy": "Local"}}
    core.patch_namespaced_service("echo-server-nodeport", NAMESPACE, local)
    wait_until(lambda: ask(urls["control-plane"]) is None)
    homes = {pod.spec.node_name for pod in echo_servers(core)}
    print("\nWith externalTrafficPolicy Local, who answers?")
    print(f"  control-plane, which runs none of the Pods: {yes_or_no(ask(urls['control-plane']) is not None)}")
    print(f"  Nodes that run one: {yes_or_no(all(ask(urls[node]) for node in homes))}")


def node_port_service(name: str, node_port: int | None = None) -> dict[str, Any]:
    """A NodePort Service in front of the echo servers; without a `node_port`, Kubernetes chooses one."""
    port = {"port": 5678} if node_port is None else {"port": 5678, "nodePort": node_port}
    return {
        "metadata": {"name": name},
        "spec": {"type": "NodePort", "selector": LABELS, "ports": [port]},
    }


def node_addresses(core: client.CoreV1Api) -> dict[str, str]:
    """Each Node's name and its address on the Nodes' network."""
    return {
        node.metadata.name: next(a.address for a in node.status.addresses if a.type == "InternalIP")
        for node in core.list_node().items
    }


def echo_servers(core: client.CoreV1Api) -> list[Any]:
    """The Pods behind the Service."""
    return list(core.list_namespaced_pod(NAMESPACE, label_selector="app=echo-server").items)


def ask(url: str) -> str | None:
    """The name of the Pod that answers, over a connection of its own; None if nobody does within a second."""
    try:
        with urlopen(url, timeout=1) as answer:
            return str(answer.read().decode().strip())
    except OSError:
        return None


def run_in_toolbox(core: client.CoreV1Api, *command: str) -> str:
    """What a command prints inside the cluster, errors included."""
    run = core.connect_get_namespaced_pod_exec
    return str(stream(run, "toolbox", NAMESPACE, command=list(command), stdout=True, stderr=True)).strip()


def is_gone(core: client.CoreV1Api) -> bool:
    """Whether the namespace, and so everything in it, is deleted."""
    return NAMESPACE not in {namespace.metadata.name for namespace in core.list_namespace().items}


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
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
