"""A headless Service from beginning to end, as one program.

It starts two Pods of a StatefulSet behind a Service without an address, and shows what that means: what DNS
answers, which names the Pods have, through which port they are reached, and what stays when a Pod is replaced.
In the end it removes what it made.

    throwaway shell -- python examples/headless.py

What it prints is in headless.expected.txt, word for word.
"""

import json
import time
from collections.abc import Callable
from typing import Any

from kubernetes import client, config
from kubernetes.stream import stream

NAMESPACE = "example-headless"
DOMAIN = f"{NAMESPACE}.svc.cluster.local"
LABELS = {"app": "db"}


def main() -> None:
    """Tell the story, all of it in one namespace, which goes in the end, also when something fails."""
    config.load_kube_config()
    core = client.CoreV1Api()
    core.create_namespace({"metadata": {"name": NAMESPACE}})
    try:
        start(core)
        ask_dns(core)
        ask_ports(core)
        replace_a_pod(core)
        change_what_cannot_be_changed(core)
    finally:
        core.delete_namespace(NAMESPACE)
        wait_until(lambda: is_gone(core))
    print("\nThe namespace is deleted, and everything with it.")


def start(core: client.CoreV1Api) -> None:
    """Make the Service, two Pods that answer with their names, and a Pod with network tools."""
    ports = [{"name": "http", "port": 80, "targetPort": 5678}]
    spec = {"clusterIP": "None", "selector": LABELS, "ports": ports}
    service = core.create_namespaced_service(NAMESPACE, {"metadata": {"name": "db"}, "spec": spec})
    container = {
        "name": "db",
        "image": "hashicorp/http-echo:1.0.0",
        "env": [{"name": "ECHO_TEXT", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": 5678}, "periodSeconds": 1},
    }
    stateful_set = {
        "metadata": {"name": "db"},
        "spec": {
            "serviceName": "db",
            "replicas": 2,
            "selector": {"matchLabels": LABELS},
            "template": {
                "metadata": {"labels": LABELS},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
            },
        },
    }
    toolbox = {"name": "toolbox", "image": "localhost/toolbox:1", "command": ["sleep", "infinity"]}
    pod = {
        "metadata": {"name": "toolbox"},
        "spec": {"containers": [toolbox], "terminationGracePeriodSeconds": 1},
    }
    client.AppsV1Api().create_namespaced_stateful_set(NAMESPACE, stateful_set)
    core.create_namespaced_pod(NAMESPACE, pod)
    wait_until(lambda: set(ready_pods(core)) == {"db-0", "db-1", "toolbox"})
    print(f"{service.metadata.name} is a Service of type {service.spec.type} with clusterIP {service.spec.cluster_ip}.")
    print("Two Pods of a StatefulSet are behind it: db-0 and db-1.")


def ask_dns(core: client.CoreV1Api) -> None:
    """DNS answers with all Pods, with each of them by its own name, and with their port."""
    pods = ready_pods(core)
    expected = {pods["db-0"].status.pod_ip, pods["db-1"].status.pod_ip}
    print("\nDNS answers")
    print(f"  db with the addresses of both Pods: {yes_or_no(set(dig(core, 'db')) == expected)}")
    print(f"  db-0.db with that of one: {yes_or_no(dig(core, 'db-0.db') == [pods['db-0'].status.pod_ip])}")
    records = in_toolbox(core, f"dig +short SRV _http._tcp.db.{DOMAIN}").splitlines()
    for record in sorted(records):
        _, _, port, host = record.split()
        print(f"  _http._tcp.db with port {port} of {host}")


def ask_ports(core: client.CoreV1Api) -> None:
    """Nobody translates `port` to `targetPort`."""
    print("\nAt which port does db-0.db answer?")
    for what, port in ("the Service's port", 80), ("its targetPort", 5678):
        answer = in_toolbox(core, f"curl -s --max-time 2 http://db-0.db:{port} || echo nobody")
        print(f"  {what}, {port}: {answer}")
    peer = in_toolbox(core, "curl -s -o /dev/null -w '%{remote_ip}' http://db-0.db:5678")
    is_pod = peer == ready_pods(core)["db-0"].status.pod_ip
    print(f"  and the client is connected with the Pod itself: {yes_or_no(is_pod)}")


def replace_a_pod(core: client.CoreV1Api) -> None:
    """A Pod of a StatefulSet that is replaced has the name of the one before."""
    before = ready_pods(core)["db-1"].metadata.uid
    core.delete_namespaced_pod("db-1", NAMESPACE)
    wait_until(lambda: "db-1" in (pods := ready_pods(core)) and pods["db-1"].metadata.uid != before)
    wait_until(lambda: in_toolbox(core, "curl -s --max-time 1 http://db-1.db:5678") == "db-1")
    print("\ndb-1 is deleted, and there is a new Pod. db-1.db leads to the new one:")
    print(f"  {yes_or_no(dig(core, 'db-1.db') == [ready_pods(core)['db-1'].status.pod_ip])}")


def change_what_cannot_be_changed(core: client.CoreV1Api) -> None:
    """A headless Service has the type ClusterIP, and stays headless."""
    print("\nThe API server refuses to")
    changes: dict[str, dict[str, Any]] = {
        "make it a NodePort Service": {"type": "NodePort"},
        "give it an address": {"clusterIP": "10.96.0.202", "clusterIPs": ["10.96.0.202"]},
    }
    for what, spec in changes.items():
        try:
            core.patch_namespaced_service("db", NAMESPACE, {"spec": spec})
        except client.ApiException as refusal:
            cause = json.loads(refusal.body)["details"]["causes"][0]
            print(f"  {what}: {refusal.status}, {cause['message'].split(': ')[-1]}")


def ready_pods(core: client.CoreV1Api) -> dict[str, Any]:
    """The Pods that are ready, by name."""
    return {
        pod.metadata.name: pod
        for pod in core.list_namespaced_pod(NAMESPACE).items
        if any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or ())
    }


def dig(core: client.CoreV1Api, name: str) -> list[str]:
    """The addresses that the cluster's DNS has for a name."""
    return in_toolbox(core, f"dig +short {name}.{DOMAIN}").split()


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


def yes_or_no(answer: bool) -> str:
    """The word for it."""
    return "yes" if answer else "no"


if __name__ == "__main__":
    main()
