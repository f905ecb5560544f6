"""Nodes of a running cluster: one more, one that dies, one that comes back, one less.

Everything on a node is in memory: one that comes back has lost its containers and their files, as a machine with a new
disk. What it gets anew are images: those of the store, and those that were loaded into the cluster. The control plane's
node cannot be missed, since etcd's data would be lost with it.
"""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from throwaway import components, kubectl, loading, pki, sandbox
from throwaway.cluster import Cluster, Report, node_object
from throwaway.errors import ThrowawayError
from throwaway.pki import KeyPair
from throwaway.plan import Node, with_node, without_node
from throwaway.waiting import wait_until

_READY_SECONDS = 120.0
_READY = '--output=jsonpath={.status.conditions[?(@.type=="Ready")].status}'
_RENEWED = "--output=jsonpath={.spec.renewTime}"


def add(cluster: Cluster, name: str, report: Report) -> Node:
    """Add a worker and wait until it is Ready; without a name it is called by the next number.

    Raises `ThrowawayError` when the name is taken or the node does not become ready; then it is not there.
    """
    plan = with_node(cluster.plan, name)
    node = plan.nodes[-1]
    certificates = pki.make_pki(plan, _authority(cluster))
    report(f"starting {node.name}")
    _kubectl(cluster, "create", "--validate=false", "-f", "-", text=json.dumps(node_object(plan, node)))
    try:
        _start(
            Cluster(cluster.sandbox, plan),
            node.name,
            plan=asdict(plan),
            files=components.files(plan, certificates, node),
            components=[asdict(component) for component in components.components(plan, node)],
        )
        _route(cluster, node, "add")
        _wait_until_ready(cluster, node)
    except BaseException:
        delete(Cluster(cluster.sandbox, plan), node.name)
        raise
    return node


def stop(cluster: Cluster, name: str) -> None:
    """End a node at once, as if its power had been cut: nobody is told, and its Node object stays.

    Raises `ThrowawayError` for the control plane's.
    """
    cluster.sandbox.tell(do="end", host=_worker(cluster, name).name)


def start(cluster: Cluster, name: str, report: Report) -> Node:
    """Start a node that was stopped or has died, and wait until it is Ready; one that runs is left as it is."""
    node = _worker(cluster, name)
    if not cluster.sandbox.has_node(name):
        report(f"starting {name}")
        _start(cluster, name)
    report(f"waiting for {name} to be Ready")
    _wait_until_ready(cluster, node)
    return node


def delete(cluster: Cluster, name: str) -> None:
    """End a node and delete its Node object; raises `ThrowawayError` for the control plane's."""
    node = _worker(cluster, name)
    plan = without_node(cluster.plan, name)
    cluster.sandbox.tell(do="end", host=name, plan=asdict(plan))
    _kubectl(cluster, "delete", "node", name, "--ignore-not-found")
    _route(Cluster(cluster.sandbox, plan), node, "delete")


def _start(cluster: Cluster, name: str, **what: Any) -> None:
    """Start a node that is new or off; before its kubelet, it gets the images that were loaded into the others."""
    references = loading.loaded(cluster)
    cluster.sandbox.tell(do="start", host=name, but_for=["kubelet"] if references else [], **what)
    if not references:
        return
    try:
        loading.copy(cluster, references, name)
        cluster.sandbox.tell(do="run", host=name, component="kubelet")
    except BaseException:
        cluster.sandbox.tell(do="end", host=name)  # not half a node, which another start would take for a whole one
        raise


def _worker(cluster: Cluster, name: str) -> Node:
    node = cluster.plan.node(name)
    if node.is_control_plane:
        raise ThrowawayError(f"{name} holds the cluster's data; 'throwaway down' ends all of the cluster")
    return node


def _authority(cluster: Cluster) -> KeyPair:
    folder = Path(f"/proc/{cluster.node_pid(cluster.plan.control_plane.name)}/root{components.PKI}")
    return KeyPair((folder / "ca.crt").read_text(), (folder / "ca.key").read_text())


def _route(cluster: Cluster, node: Node, action: str) -> None:
    """Add or delete on all other nodes the routes to a node's Pods."""
    for other in cluster.plan.nodes:
        if other.name == node.name or not cluster.sandbox.has_node(other.name):
            continue  # one that is started later makes its routes by the plan
        for subnet, address in zip(node.pod_subnets, node.addresses, strict=True):
            command = ("ip", "route", action, subnet, "via", address)
            sandbox.output_on_node(cluster.node_pid(other.name), command)


def _wait_until_ready(cluster: Cluster, node: Node) -> None:
    """Wait until a Node is Ready by what its kubelet of now says, not by what the last one has said."""
    began = datetime.now(UTC)

    def is_ready() -> bool:
        lease = _kubectl(cluster, "get", "lease", "-n=kube-node-lease", node.name, "--ignore-not-found", _RENEWED)
        ready = _kubectl(cluster, "get", "node", node.name, _READY)
        return bool(lease) and datetime.fromisoformat(lease) > began and ready == "True"

    complaint = f"node {node.name} was not Ready ('throwaway logs {node.name} kubelet' may say why)"
    wait_until(is_ready, complaint, _READY_SECONDS)


def _kubectl(cluster: Cluster, *arguments: str, text: str = "") -> str:
    return kubectl.run(arguments, cluster.environment, text)
