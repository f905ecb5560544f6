"""A ClusterIP Service from beginning to end, as one program.

It starts two Pods behind one address, and shows who answers, how connections are shared out, what stays when all Pods
are replaced, and what the address does not do. In the end it removes what it made.

    throwaway shell -- python examples/clusterip.py

What it prints is in clusterip.expected.txt, word for word.
"""

import json
import time
from collections.abc import Callable
from typing import Any

from kubernetes import client, config
from kubernetes.stream import stream

NAMESPACE = "example-clusterip"
LABELS = {"app": "echo-server"}


def main() -> None:
    """Tell the story, all of it in one namespace, which goes in the end, also when something fails."""
    config.load_kube_config()
    core = client.CoreV1Api()
    core.create_namespace({"metadata": {"name": NAMESPACE}})
    try:
        start_pods(core)
        address = make_service(core)
        count_pods_per_connection(core)
        keep_one_client_with_one_pod(core)
        replace_all_pods(core, address)
        ask_for_addresses(core)
        ask_where_nobody_is(core, address)
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
        "metadata": {"name": "toolbox", "labels": {"app": "toolbox"}},
        "spec": {
            "containers": [{"name": "toolbox", "image": "localhost/toolbox:1", "command": ["sleep", "infinity"]}],
            "terminationGracePeriodSeconds": 0,
        },
    }
    client.AppsV1Api().create_namespaced_deployment(NAMESPACE, deployment)
    core.create_namespaced_pod(NAMESPACE, toolbox)
    wait_until(lambda: len(ready(core, "echo-server")) == 2 and len(ready(core, "toolbox")) == 1, seconds=60)


def make_service(core: client.CoreV1Api) -> str:
    """Create the Service and return its address; its name leads there."""
    spec = {"selector": LABELS, "ports": [{"port": 80, "targetPort": 5678}]}
    service = core.create_namespaced_service(NAMESPACE, {"metadata": {"name": "echo-server"}, "spec": spec})
    wait_until(lambda: set(ask(core, 20)) == ready(core, "echo-server"))
    resolved = in_toolbox(core, f"dig +short echo-server.{NAMESPACE}.svc.cluster.local")
    print(f"{service.metadata.name} is a Service of type {service.spec.type}.")
    print(f"  DNS turns its name into its address: {yes_or_no(resolved == service.spec.cluster_ip)}")
    return str(service.spec.cluster_ip)


def count_pods_per_connection(core: client.CoreV1Api) -> None:
    """A Pod is chosen at random for each connection; all requests over that connection go to it."""
    urls = " ".join(["http://echo-server"] * 40)  # curl uses one connection for all of them
    print("\nWho answers is decided anew for each connection, not for each request. Pods met by")
    print(f"  40 connections: {len(set(ask(core, 40)))}")  # the chance that it is one is 2 x 0.5**40
    print(f"  40 requests over one connection: {len(set(in_toolbox(core, f'curl -s {urls}').split()))}")


def keep_one_client_with_one_pod(core: client.CoreV1Api) -> None:
    """With session affinity, all connections of a client go to one Pod."""
    core.patch_namespaced_service("echo-server", NAMESPACE, {"spec": {"sessionAffinity": "ClientIP"}})
    wait_until(lambda: len(set(ask(core, 20))) == 1)
    print(f"  40 connections, with session affinity: {len(set(ask(core, 40)))}")
    core.patch_namespaced_service("echo-server", NAMESPACE, {"spec": {"sessionAffinity": "None"}})


def replace_all_pods(core: client.CoreV1Api, address: str) -> None:
    """The address is the Service's own, so it stays when all Pods are others."""
    before = ready(core, "echo-server")
    for name in before:
        core.delete_namespaced_pod(name, NAMESPACE)
    wait_until(lambda: len(ready(core, "echo-server") - before) == 2, seconds=60)
    wait_until(lambda: set(ask(core, 20)) == ready(core, "echo-server") - before)
    service = core.read_namespaced_service("echo-server", NAMESPACE)
    print("\nAll Pods are replaced.")
    print(f"  the address is the same: {yes_or_no(service.spec.cluster_ip == address)}")


def ask_for_addresses(core: client.CoreV1Api) -> None:
    """An address of one's own has to lie in the range, and be free."""
    print("\nThe API server refuses an address")
    for what, address in ("outside the range", "192.0.2.1"), ("that is taken", "10.96.0.1"):
        spec = {"clusterIP": address, "ports": [{"port": 80}]}
        try:
            core.create_namespaced_service(NAMESPACE, {"metadata": {"name": "refused"}, "spec": spec})
        except client.ApiException as refusal:
            cause = json.loads(refusal.body)["details"]["causes"][0]
            print(f"  {what}: {refusal.status}, {cause['message'].partition(f'{address}: ')[2]}")


def ask_where_nobody_is(core: client.CoreV1Api, address: str) -> None:
    """The address answers no ping; and a Service without Pods refuses connections."""
    spec = {"selector": {"app": "nobody"}, "ports": [{"port": 80}]}
    core.create_namespaced_service(NAMESPACE, {"metadata": {"name": "nobody"}, "spec": spec})
    refused = "7"  # what curl says when a connection is refused at once
    wait_until(lambda: in_toolbox(core, "curl -s --max-time 2 http://nobody; echo $?") == refused)
    lost = "100% packet loss" in in_toolbox(core, f"ping -c 1 -W 1 {address}")
    print("\nWhat the address does not do:")
    print(f"  it answers ping: {yes_or_no(not lost)}")
    print("  it waits when there is no Pod: no, connections are refused")


def ask(core: client.CoreV1Api, times: int) -> list[str]:
    """The Pods that answer so many connections from the toolbox, one after another."""
    return in_toolbox(core, f"for i in $(seq {times}); do curl -s --max-time 2 http://echo-server; done").split()


def in_toolbox(core: client.CoreV1Api, command: str) -> str:
    """What a shell command prints inside the cluster, errors included."""
    run: Any = core.connect_get_namespaced_pod_exec
    return str(stream(run, "toolbox", NAMESPACE, command=["sh", "-c", command], stdout=True, stderr=True)).strip()


def ready(core: client.CoreV1Api, app: str) -> set[str]:
    """The names of the Pods of an app that are ready and not about to end."""
    pods = core.list_namespaced_pod(NAMESPACE, label_selector=f"app={app}").items
    return {
        pod.metadata.name
        for pod in pods
        if not pod.metadata.deletion_timestamp
        and any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions or ())
    }


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
