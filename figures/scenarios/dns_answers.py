"""What DNS answers for Services with and without an address, and where connections by those names go."""

import re
from operator import itemgetter
from typing import Any

from kubernetes import client

from proofs.world import AGNHOST, POD_PORT, Pod, World, wait_for
from throwaway import Cluster

MODES = ("nftables",)
VARIES = ("ttl", "to", "by", "node")

PODS = {"db-0": True, "db-1": True, "db-2": False}
"""The Pods of a StatefulSet, and whether they are ready."""
GATE = "example.org/joined"
"""A condition without which these Pods are not ready. A database would set it; here the recorder does."""
PORT = 80
"""The Services' port. The Pods listen on another one, which is what clients of a Pod's own address have to ask."""
SERVICES: dict[str, dict[str, Any]] = {
    "db-read": {},
    "db": {"clusterIP": "None"},
    "db-members": {"clusterIP": "None", "publishNotReadyAddresses": True},
}
QUESTIONS = (
    ("db-read", "A", PORT),
    ("db", "A", POD_PORT),
    ("db-members", "A", POD_PORT),
    ("db-0.db", "A", POD_PORT),
    ("db-2.db", "A", POD_PORT),
    ("_http._tcp.db-read", "SRV", 0),
    ("_http._tcp.db", "SRV", 0),
)
"""Name, type of record, and the port at which that name is asked then; 0 where it is not."""
NEIGHBOUR = "db-1"
"""The client is on the Node of this one."""
CONNECTIONS = 6
"""So many are opened by each name."""


def record(cluster: Cluster, namespace: str) -> dict[str, Any]:
    """Ask for all names from a Pod, and connect by them. The Pods behind them answer with their names."""
    world = World.of(cluster, namespace)
    services = [
        world.service(
            name, selector={"app": "db"}, ports=[{"name": "http", "port": PORT, "targetPort": POD_PORT}], **spec
        )
        for name, spec in SERVICES.items()
    ]
    pods = _started(world)
    asking = world.toolbox(next(pod.node for pod in pods if pod.name == NEIGHBOUR))
    for name, count in (("db-read", 1), ("db", sum(PODS.values())), ("db-members", len(PODS))):
        _known(world, asking, name, count)
    wait_for(lambda: "" not in world.ask("http://db-read/hostname", 3, asking.name), "db-read leads to Pods")
    seen = [_answered(world, asking, pods, *question) for question in QUESTIONS]
    for each in seen:
        _check(each, asking, pods)
    return {
        "client": {"address": asking.address, "node": asking.node},
        "server": world.core.read_namespaced_service("kube-dns", "kube-system").spec.cluster_ip,
        "services": [
            {
                "name": each.metadata.name,
                "address": each.spec.cluster_ip,
                "port": PORT,
                "targetPort": POD_PORT,
                "publishNotReadyAddresses": bool(each.spec.publish_not_ready_addresses),
            }
            for each in services
        ],
        "pods": [{"name": pod.name, "address": pod.address, "node": pod.node, "ready": PODS[pod.name]} for pod in pods],
        "questions": seen,
    }


def _started(world: World) -> list[Pod]:
    """Start the Pods, and have those ready that are to be."""
    container = {
        "name": "main",
        "image": AGNHOST,
        "args": ["netexec"],
        "readinessProbe": {"httpGet": {"path": "/", "port": POD_PORT}, "periodSeconds": 1},
    }
    pod = {"containers": [container], "readinessGates": [{"conditionType": GATE}], "terminationGracePeriodSeconds": 0}
    labels = {"app": "db"}
    spec = {
        "serviceName": "db",
        "replicas": len(PODS),
        "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    client.AppsV1Api().create_namespaced_stateful_set(world.namespace, {"metadata": {"name": "db"}, "spec": spec})

    def those(kind: str) -> list[Pod]:
        """The Pods that meet a condition, by name."""
        found = world.core.list_namespaced_pod(world.namespace, label_selector="app=db").items
        met = [pod for pod in found if any((c.type, c.status) == (kind, "True") for c in pod.status.conditions or ())]
        pods = [Pod(pod.metadata.name, pod.status.pod_ip, pod.spec.node_name) for pod in met]
        return sorted(pods, key=lambda pod: pod.name)

    wait_for(lambda: len(those("ContainersReady")) == len(PODS), "all Pods listen")
    for name, is_ready in PODS.items():
        joined = {"conditions": [{"type": GATE, "status": str(is_ready)}]}
        world.core.patch_namespaced_pod_status(name, world.namespace, {"status": joined})
    pods = those("ContainersReady")
    wanted = {pod.address: PODS[pod.name] for pod in pods}

    def is_published() -> bool:
        slices = [world.endpoints(name) for name in SERVICES]
        said = {address: each.conditions.ready for address, each in world.endpoints("db").items()}
        return said == wanted and all(set(each) == set(wanted) for each in slices)

    wait_for(is_published, "the EndpointSlices say who is ready")
    return pods


def _full(world: World, name: str) -> str:
    return f"{name}.{world.namespace}.svc.cluster.local"


def _known(world: World, asking: Pod, name: str, count: int) -> None:
    """Wait until DNS knows a Service with so many addresses.

    DNS remembers for 30 seconds what it has said. So this asks for another type of record than is recorded.
    """
    question = f"dig +short SRV {_full(world, name)}"
    wait_for(lambda: len(world.run(question, asking.name).splitlines()) == count, f"DNS knows {name}")


def _answered(world: World, asking: Pod, pods: list[Pod], name: str, kind: str, port: int) -> dict[str, Any]:
    """What DNS answers, and what becomes of connections by that name. Names are without what all of them end with.

    DNS has the addresses in a changing order. They are put into that of the Pods.
    """
    told = world.run(f"dig +noall +comments +answer +additional {_full(world, name)} {kind}", asking.name)
    status = re.findall(r"status: ([A-Z]+)", told)[0]
    answer, _, additional = told.partition(";; ADDITIONAL SECTION:")
    end = f"{_full(world, '')}."
    records = [
        {"type": found, "ttl": int(ttl), "data": data.removesuffix(end)} for _, ttl, _, found, data in _lines(answer)
    ]
    order = {pod.address: pod.name for pod in pods}
    opened = []
    if port and records:
        curl = rf"curl -s --max-time 5 -w ' %{{remote_ip}}:%{{remote_port}}\n' http://{name}:{port}/hostname"
        answers = world.run(f"for i in $(seq {CONNECTIONS}); do {curl}; done", asking.name).splitlines()
        opened = [{"by": pod, "to": to} for pod, to in map(str.split, answers)]
    return {
        "name": name,
        "type": kind,
        "status": status,
        "records": sorted(records, key=lambda each: order.get(each["data"], each["data"])),
        "additional": sorted(
            ({"name": whose.removesuffix(end), "address": data} for whose, _, _, _, data in _lines(additional)),
            key=itemgetter("name"),
        ),
        "port": port,
        "failure": world.failure(f"http://{name}:{port}/", asking.name) if port and not records else "",
        "connections": opened,
    }


def _lines(section: str) -> list[list[str]]:
    """The records of a section of dig's: name, seconds to live, class, type, data."""
    return [line.split(maxsplit=4) for line in section.splitlines() if line and not line.startswith(";")]


def _check(answered: dict[str, Any], asking: Pod, pods: list[Pod]) -> None:
    """Fail if a connection led elsewhere than the answer said, or if it was not chosen as the figure says.

    Among several addresses glibc, by which curl looks names up, prefers those of the client's own network, and so of
    its Node: rule 9 of https://www.rfc-editor.org/rfc/rfc6724#section-6.
    """
    told = {record["data"] for record in answered["records"]}
    sent_along = {each["name"] for each in answered["additional"]}
    assert sent_along == ({data.split()[3] for data in told} if answered["type"] == "SRV" else set()), answered
    by_name = {pod.name: pod for pod in pods}
    assert len(answered["connections"]) == (CONNECTIONS if answered["port"] and told else 0), answered
    for each in answered["connections"]:
        address, _, port = each["to"].partition(":")
        pod = by_name[each["by"]]
        assert (address in told, int(port)) == (True, answered["port"]), answered
        if answered["name"] == "db-read":
            assert PODS[pod.name] and address not in {other.address for other in pods}, answered
        else:
            assert pod.address == address, answered
            assert len(told) == 1 or pod.node == asking.node, answered
