"""Images that a running cluster was given: `throwaway load`, and what a node has of them that comes later."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from throwaway import sandbox
from throwaway.cluster import Cluster
from throwaway.components import CONTAINERD_SOCKET
from throwaway.errors import ThrowawayError
from throwaway.waiting import wait_until

_CTR = ("ctr", "--namespace", "k8s.io", "images")
_LABEL = "throwaway/loaded"
IMPORT = (*_CTR, "import", "--local", "--label", f"{_LABEL}=true", "-")
"""The command that gives a node the images of a tar on its standard input, and marks them as loaded."""
_DEADLINE_SECONDS = 60.0


def loaded(cluster: Cluster) -> list[str]:
    """The images that were loaded into a cluster, as its control plane has them: it cannot be stopped."""
    listed = sandbox.output_on_node(
        cluster.node_pid(cluster.plan.control_plane.name), (*_CTR, "list", "--quiet", f'labels."{_LABEL}"==true')
    )
    return listed.split()


def copy(cluster: Cluster, references: Sequence[str], node: str) -> None:
    """Give a node images of the control plane, as soon as its containerd runs; raises `ThrowawayError` if one fails."""
    pid = cluster.node_pid(node)
    socket = Path(f"/proc/{pid}/root{CONTAINERD_SOCKET}")
    wait_until(socket.exists, f"containerd did not start on {node}", _DEADLINE_SECONDS)
    source = sandbox.start_on_node(
        cluster.node_pid(cluster.plan.control_plane.name),
        (*_CTR, "export", "--local", "-", *references),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with source:
        assert source.stdout
        target = sandbox.start_on_node(
            pid, IMPORT, stdin=source.stdout, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        source.stdout.close()
        complaint = target.communicate()[1].decode(errors="replace").strip()
    if source.returncode or target.returncode:
        reason = complaint.splitlines()[-1] if complaint else "the control plane could not write them"
        raise ThrowawayError(f"node {node} did not get the images that were loaded: {reason}")
