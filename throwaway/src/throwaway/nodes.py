"""Nodes of a running cluster: one more, one that dies, one that comes back, one less.

Everything on a node is in memory: one that comes back has lost its containers and their files, as a machine with a new
disk. What it gets anew are images: those of the store, and those that were loaded into the cluster. The control plane's
node cannot be missed, since etcd's data would be lost with it.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from throwaway import components, kubectl, loading, pki, requirements, sandbox
from throwaway.cluster import Cluster, Report, find_or_fail
from throwaway.errors import ThrowawayError
from throwaway.hints import which
from throwaway.pki import KeyPair
from throwaway.plan import Node, with_node, without_node
from throwaway.recipe import node_object
from throwaway.waiting import wait_until

_READY_SECONDS = 120.0
_READY = '--output=jsonpath={.status.conditions[?(@.type=="Ready")].status}'
_RENEWED = "--output=jsonpath={.spec.renewTime}"


def add(cluster: Cluster, name: str, report: Report) -> Node:
    """Add a worker and wait until it is Ready; without a name it is called by the next number.

    Raises `ThrowawayError` when the name is taken or the node does not become ready; then it is not there.
    """
    with _alone(cluster) as now:
        plan = with_node(now.plan, name)
        requirements.require_for_node()
        node = plan.nodes[-1]
        certificates = pki.make_pki(plan, _authority(now))
        report(f"starting {node.name}")
        changed = Cluster(now.sandbox, plan)
        try:
            # Applied, since there is one already if an earlier `add` was killed here.
            _kubectl(now, "apply", "--validate=false", "-f", "-", text=json.dumps(node_object(plan, node)))
            _start(
                changed,
                node,
                plan=asdict(plan),
                files=components.files(plan, certificates, node),
                components=[asdict(component) for component in components.components(plan, node)],
            )
            _wait_until_ready(changed, node)
        except BaseException:
            with contextlib.suppress(ThrowawayError):  # it would hide the cause
                _delete(changed, node)
            raise
    return node


def stop(cluster: Cluster, name: str) -> None:
    """End a node at once, as if its power had been cut: nobody is told, and its Node object stays.

    Raises `ThrowawayError` for the control plane's.
    """
    with _alone(cluster) as now:
        now.sandbox.tell(do="end", host=_worker(now, name).name)


def start(cluster: Cluster, name: str, report: Report) -> Node:
    """Start a node that was stopped or has died, and wait until it is Ready; one that runs is left as it is.

    A node that is not whole, since whoever added or started it was killed meanwhile, is made whole.
    """
    with _alone(cluster) as now:
        node = _worker(now, name)
        if not now.sandbox.has_node(name):
            report(f"starting {name}")
            _start(now, node)
        elif not _has_kubelet(now, name):
            report(f"starting {name}")
            _finish(now, node)
        report(f"waiting for {name} to be Ready")
        _wait_until_ready(now, node)
    return node


def delete(cluster: Cluster, name: str) -> None:
    """End a node and delete its Node object; raises `ThrowawayError` for the control plane's."""
    with _alone(cluster) as now:
        _delete(now, _worker(now, name))


@contextlib.contextmanager
def _alone(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster as it is now, while nobody else changes its nodes: two would give theirs the same addresses."""
    folder = os.open(f"{cluster.sandbox.root}{components.FOLDER}", os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield find_or_fail(cluster.name)
    finally:
        os.close(folder)


def _delete(cluster: Cluster, node: Node) -> None:
    plan = without_node(cluster.plan, node.name)
    cluster.sandbox.tell(do="end", host=node.name, plan=asdict(plan))
    _kubectl(cluster, "delete", "node", node.name, "--ignore-not-found")
    for subnet, _, pid in _routes(cluster, node):
        with contextlib.suppress(ThrowawayError):  # it was never made
            sandbox.output_on_node(pid, ("ip", "route", "delete", subnet))


def _start(cluster: Cluster, node: Node, **what: Any) -> None:
    """Start a node that is new or off; `what` is what `Sandbox.tell` takes of a new one."""
    cluster.sandbox.tell(do="start", host=node.name, but_for=["kubelet"], **what)
    _finish(cluster, node)


def _finish(cluster: Cluster, node: Node) -> None:
    """Lead the others to a node, give it the images that were loaded into them, and at last start its kubelet.

    So a node whose kubelet runs is whole. Each step may be done twice.
    """
    for subnet, address, pid in _routes(cluster, node):
        sandbox.output_on_node(pid, ("ip", "route", "replace", subnet, "via", address))
    if references := loading.loaded(cluster):
        loading.copy(cluster, references, node.name)
    cluster.sandbox.tell(do="run", host=node.name, component="kubelet")


def _has_kubelet(cluster: Cluster, name: str) -> bool:
    for program in Path(f"/proc/{cluster.node_pid(name)}/root/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):  # it has ended just now
            if program.read_text() == "kubelet\n":
                return True
    return False


def _worker(cluster: Cluster, name: str) -> Node:
    node = cluster.plan.node(name)
    if node.is_control_plane:
        raise ThrowawayError(
            f"{name} holds the cluster's data; 'throwaway down{which(cluster.name)}' ends all of the cluster"
        )
    return node


def _authority(cluster: Cluster) -> KeyPair:
    folder = Path(f"/proc/{cluster.node_pid(cluster.plan.control_plane.name)}/root{components.PKI}")
    return KeyPair((folder / "ca.crt").read_text(), (folder / "ca.key").read_text())


def _routes(cluster: Cluster, node: Node) -> Iterator[tuple[str, str, int]]:
    """What all other nodes that run need: a range of the node's Pods, the node's address, the other's first process."""
    for other in cluster.plan.nodes:
        if other.name == node.name or not cluster.sandbox.has_node(other.name):
            continue  # one that is started later makes its routes by the plan
        for subnet, address in zip(node.pod_subnets, node.addresses, strict=True):
            yield subnet, address, cluster.node_pid(other.name)


def _wait_until_ready(cluster: Cluster, node: Node) -> None:
    """Wait until a Node is Ready by what its kubelet of now says, not by what the last one has said."""
    began = datetime.now(UTC)

    def is_ready() -> bool:
        lease = _kubectl(cluster, "get", "lease", "-n=kube-node-lease", node.name, "--ignore-not-found", _RENEWED)
        ready = _kubectl(cluster, "get", "node", node.name, _READY)
        return bool(lease) and datetime.fromisoformat(lease) > began and ready == "True"

    logs = f"'throwaway logs{which(cluster.name)} {node.name} kubelet'"
    complaint = f"node {node.name} was not Ready ({logs} may say why)"
    wait_until(is_ready, complaint, _READY_SECONDS)


def _kubectl(cluster: Cluster, *arguments: str, text: str = "") -> str:
    return kubectl.run(arguments, cluster.environment, text)
