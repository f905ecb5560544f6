"""A Service with an IPv4 and an IPv6 address from beginning to end, as one program.

It starts a Pod, puts Services in front of it that ask for one family of addresses or for both, and shows what
that means: which addresses they have, what DNS says of them, where they answer, and what can be changed later.
In the end it removes what it made.

It talks to Nodes, so it runs in their network:

    throwaway shell -- python examples/dual_stack.py

What it prints is in dual_stack.expected.txt, word for word. The cluster has to be one of both families, as by
`throwaway up --ip-family dual`.

Needs: dual-stack
"""

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.request import urlopen

from kubernetes import client, config
from kubernetes.stream import stream

NAMESPACE = "example-dual-stack"


def main() -> None:
    """Tell the story, all of it in one namespace, which goes in the end, also when something fails."""
    config.load_kube_config()
    core = client.CoreV1Api()
    core.create_namespace({"metadata": {"name": NAMESPACE}})
    try:
        start_pods(core)
        ask_for_families(core)
        look_up(core)
        ask_nodes(core)
        change(core)
    finally:
        core.delete_namespace(NAMESPACE)
        wait_until(lambda: is_gone(core), seconds=60)
    print("\nThe namespace is deleted, and everything with it.")


def start_pods(core: client.CoreV1Api) -> None:
    """Start a web server that answers with its name, and a Pod with network tools."""
    server = {
        "name": "main",
        "image": "registry.k8s.io/e2e-test-images/agnhost:2.66.1",
        "args": ["netexec", "--http-port=8080"],
        "readinessProbe": {"httpGet": {"path": "/hostname", "port": 8080}, "periodSeconds": 1},
    }
    toolbox = {"name": "main", "image": "localhost/toolbox:1", "command": ["sleep", "infinity"]}
    for name, container in (("echo-server", server), ("toolbox", toolbox)):
        core.create_namespaced_pod(
            NAMESPACE,
            {
                "metadata": {"name": name, "labels": {"app": name}},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
            },
        )
    wait_until(lambda: all(is_ready(core, name) for name in ("echo-server", "toolbox")), seconds=60)
    pod = core.read_namespaced_pod("echo-server", NAMESPACE)
    print(f"A Pod runs. Its addresses: {families(address.ip for address in pod.status.pod_ips)}")


def ask_for_families(core: client.CoreV1Api) -> None:
    """Make a Service by each policy, and say which addresses the API server gave it."""
    print("\nServices, and the addresses they are given:")
    asked: dict[str, dict[str, Any]] = {
        "single": {},
        "both": {"type": "NodePort", "ipFamilyPolicy": "PreferDualStack"},
        "six-first": {"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6", "IPv4"]},
        "only-six": {"ipFamilies": ["IPv6"]},
    }
    for name, spec in asked.items():
        body = {
            "metadata": {"name": name},
            "spec": {"selector": {"app": "echo-server"}, "ports": [{"port": 80, "targetPort": 8080}], **spec},
        }
        made = core.create_namespaced_service(NAMESPACE, body).spec
        print(f"  {name}: {families(made.cluster_ips)} ({made.ip_family_policy})")


def look_up(core: client.CoreV1Api) -> None:
    """DNS has an A record for IPv4, and an AAAA record for IPv6; both addresses lead to the Pod."""
    print("\nWhat DNS has for them, and who answers there:")
    for name in ("single", "both", "only-six"):
        for kind, option in (("A", "-4"), ("AAAA", "-6")):
            found = run_in_toolbox(core, f"dig +short {name}.{NAMESPACE}.svc.cluster.local {kind}").split()
            if found:
                wait_until(lambda name=name, option=option: ask_inside(core, name, option) != "")  # type: ignore[misc]
            answer = ask_inside(core, name, option) if found else "nobody"
            print(f"  {name}, {kind}: {families(found) or 'nothing'}, {answer}")


def ask_nodes(core: client.CoreV1Api) -> None:
    """One NodePort answers at each Node's addresses of both families."""
    port = core.read_namespaced_service("both", NAMESPACE).spec.ports[0].node_port
    print("\nFrom outside, at the NodePort of the Service of both families:")
    for node in core.list_node().items:
        for address in [a.address for a in node.status.addresses if a.type == "InternalIP"]:
            url = f"http://[{address}]:{port}/hostname" if ":" in address else f"http://{address}:{port}/hostname"
            wait_until(lambda url=url: ask_outside(url) != "")  # type: ignore[misc]
            print(f"  {node.metadata.name}, {families([address])}: {ask_outside(url)}")


def change(core: client.CoreV1Api) -> None:
    """A second family can be added and taken away, the first one cannot be changed."""
    before = core.read_namespaced_service("single", NAMESPACE).spec.cluster_ips
    print("\nChanges to the Service of one family:")
    for policy in ("PreferDualStack", "SingleStack"):
        patch = {"spec": {"ipFamilyPolicy": policy}}
        after = core.patch_namespaced_service("single", NAMESPACE, patch).spec.cluster_ips
        print(f"  {policy}: {families(after)}, the first is the same: {'yes' if after[0] == before[0] else 'no'}")
    try:
        core.patch_namespaced_service("single", NAMESPACE, {"spec": {"ipFamilies": ["IPv6"]}})
    except client.ApiException as refusal:
        causes = {cause["message"].rpartition(": ")[2] for cause in json.loads(refusal.body)["details"]["causes"]}
        print(f"  IPv6 instead of IPv4: {refusal.status}, {', '.join(sorted(causes))}")


def families(addresses: Any) -> str:
    """The families of addresses, in their order."""
    return " and ".join("IPv6" if ":" in address else "IPv4" for address in addresses)


def is_ready(core: client.CoreV1Api, name: str) -> bool:
    """Whether a Pod is ready."""
    conditions = core.read_namespaced_pod(name, NAMESPACE).status.conditions or ()
    return any(each.type == "Ready" and each.status == "True" for each in conditions)


def ask_inside(core: client.CoreV1Api, name: str, option: str) -> str:
    """Who answers a Pod at a Service's name by one family; "" if nobody does within a second."""
    return run_in_toolbox(core, f"curl -s --max-time 1 {option} http://{name}/hostname")


def ask_outside(url: str) -> str:
    """Who answers from outside, over a connection of its own; "" if nobody does within a second."""
    try:
        with urlopen(url, timeout=1) as answer:
            return str(answer.read().decode().strip())
    except OSError:
        return ""


def run_in_toolbox(core: client.CoreV1Api, command: str) -> str:
    """What a shell command prints inside the cluster, errors included."""
    run = core.connect_get_namespaced_pod_exec
    return str(stream(run, "toolbox", NAMESPACE, command=["sh", "-c", command], stdout=True, stderr=True)).strip()


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


if __name__ == "__main__":
    main()
