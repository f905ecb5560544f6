"""The traffic policies of a Service from beginning to end, as one program.

It starts a Pod on each worker and asks for them from outside and from inside the cluster, with one setting after
another. It prints on which Nodes the Pods run that answer, and whom they take for their client.

It talks to Nodes, so it runs in their network:

    throwaway shell -- python examples/traffic_policies.py

What it prints is in traffic_policies.expected.txt, word for word.
"""

import time
from collections.abc import Callable
from typing import Any
from urllib.request import urlopen

from kubernetes import client, config
from kubernetes.stream import stream

NAMESPACE = "example-traffic-policies"
NODE = "/envvar?var=NODE"
"""The path at which a Pod says on which Node it runs."""


def main() -> None:
    """Tell the story, all of it in one namespace, which goes in the end, also when something fails."""
    config.load_kube_config()
    core = client.CoreV1Api()
    core.create_namespace({"metadata": {"name": NAMESPACE}})
    try:
        start_pods(core)
        nodes = node_addresses(core)
        ports = [{"port": 80, "targetPort": 8080}]
        spec = {"type": "NodePort", "selector": {"app": "web"}, "ports": ports}
        service = core.create_namespaced_service(NAMESPACE, {"metadata": {"name": "web"}, "spec": spec})
        tell(core, service, nodes)
    finally:
        core.delete_namespace(NAMESPACE)
        wait_until(lambda: NAMESPACE not in {each.metadata.name for each in core.list_namespace().items}, 60)
    print("\nThe namespace is deleted, and everything with it.")


def tell(core: client.CoreV1Api, service: Any, nodes: dict[str, str]) -> None:
    """Change the Service's fields one after another, and print who answers."""
    url = {node: f"http://{address}:{service.spec.ports[0].node_port}" for node, address in nodes.items()}
    inside = f"http://{service.spec.cluster_ip}{NODE}"
    both = "worker1 worker2"

    def change(**fields: Any) -> None:
        core.patch_namespaced_service("web", NAMESPACE, {"spec": fields})

    def from_outside(node: str) -> str:
        return " ".join(sorted(ask_often(url[node] + NODE, 20)))

    def from_inside(node: str) -> str:
        return ask_in_pod(f"client-{node}", inside, 20)

    def show(title: str, asking: Callable[[str], str], expected: dict[str, str]) -> None:
        wait_until(lambda: {node: asking(node) for node in expected} == expected)
        print(f"\n{title}")
        for node in expected:
            print(f"  {node} leads to {asking(node)}")

    show("By default, from outside:", from_outside, dict.fromkeys(nodes, both))
    print("  The Pod sees us:", yes_or_no(ask(f"{url['worker1']}/clientip").startswith("172.30.0.1:")))

    silent = {"control-plane": "nobody", "worker1": "worker1"}
    change(externalTrafficPolicy="Local")
    show("With externalTrafficPolicy Local, from outside:", from_outside, silent | {"worker2": "worker2"})
    print("  The Pod sees us:", yes_or_no(ask(f"{url['worker1']}/clientip").startswith("172.30.0.1:")))
    show("From inside, that does not matter:", from_inside, dict.fromkeys(silent, both))

    change(externalTrafficPolicy="Cluster", internalTrafficPolicy="Local")
    show("With internalTrafficPolicy Local, from inside:", from_inside, silent)

    change(internalTrafficPolicy="Cluster", trafficDistribution="PreferSameNode")
    near = {"control-plane": both, "worker1": "worker1"}
    show("With trafficDistribution PreferSameNode, from inside:", from_inside, near)


def start_pods(core: client.CoreV1Api) -> None:
    """Start a Pod on each worker, which can say on which one it runs and who asks, and clients on two Nodes."""
    for node in "control-plane", "worker1":
        toolbox = {"name": "client", "image": "localhost/toolbox:1", "command": ["sleep", "infinity"]}
        pod = {"nodeName": node, "containers": [toolbox], "terminationGracePeriodSeconds": 1}
        core.create_namespaced_pod(NAMESPACE, {"metadata": {"name": f"client-{node}"}, "spec": pod})
    container = {
        "name": "web",
        "image": "registry.k8s.io/e2e-test-images/agnhost:2.66.1",
        "args": ["netexec"],
        "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
    }
    labels = {"app": "web"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
    }
    spec = {"selector": {"matchLabels": labels}, "template": template}
    apps = client.AppsV1Api()
    apps.create_namespaced_daemon_set(NAMESPACE, {"metadata": {"name": "web"}, "spec": spec})
    wait_until(lambda: apps.read_namespaced_daemon_set("web", NAMESPACE).status.number_ready == 2, 60)
    wait_until(lambda: all(pod.status.phase == "Running" for pod in core.list_namespaced_pod(NAMESPACE).items), 60)
    print("A Pod is ready on worker1 and on worker2. control-plane has none.")


def node_addresses(core: client.CoreV1Api) -> dict[str, str]:
    """Each Node's name and its address on the Nodes' network."""
    return {
        node.metadata.name: next(a.address for a in node.status.addresses if a.type == "InternalIP")
        for node in core.list_node().items
    }


def ask(url: str) -> str:
    """What is answered, over a connection of its own; "nobody" if nothing comes within a second, else the error."""
    try:
        with urlopen(url, timeout=1) as answer:
            return str(answer.read().decode())
    except OSError as error:
        return "nobody" if "timed out" in str(error) else str(error)


def ask_often(url: str, times: int) -> set[str]:
    """The different answers to so many connections; where one gets none, the others need not be waited for."""
    found: set[str] = set()
    for _ in range(times):
        found.add(answer := ask(url))
        if answer == "nobody":
            break
    return found


def ask_in_pod(pod: str, url: str, times: int) -> str:
    """The different answers that a Pod gets to so many connections."""
    one = f"curl -s --max-time 1 '{url}' || echo $? | sed s/28/nobody/"  # 28: the time is up
    loop = f"for i in $(seq {times}); do answer=$({one}); echo $answer; [ $answer = nobody ] && break; done; true"
    run = client.CoreV1Api().connect_get_namespaced_pod_exec
    told = stream(run, pod, NAMESPACE, command=["sh", "-c", loop], stdout=True, stderr=True)
    return " ".join(sorted(set(told.split())))


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
