"""The image store: images as containerd keeps them once they are unpacked, prepared once and shared by all nodes.

Importing images takes a node 1.5 s to 6 s. A store is made when the images are built, by a containerd in a sandbox of
its own; a node then begins with a copy of the two databases and links to the rest (`init`), in a few milliseconds.
"""

import os
import shutil
from pathlib import Path

from throwaway import components, pki, sandbox
from throwaway.components import BIN, CONTAINERD_SOCKET, FOLDER
from throwaway.plan import make_plan
from throwaway.waiting import wait_until

_NAMESPACE = "k8s.io"  # containerd's, the one in which its CRI plugin looks
_KEPT = (
    "io.containerd.content.v1.content",
    "io.containerd.metadata.v1.bolt",
    "io.containerd.snapshotter.v1.overlayfs",
)
_DEADLINE_SECONDS = 120.0


def make(binaries: Path, tars: list[Path], store: Path) -> None:
    """Make the new folder `store` from image tars that lie in one folder.

    `binaries` holds containerd, ctr and runc's wrapper. Raises `ThrowawayError` when an image cannot be imported.
    """
    folder = f"{FOLDER}/tars"
    plan = make_plan(f"image-store-{os.getpid()}", nodes=1)
    node = plan.control_plane
    presence = sandbox.reserve(plan.name)
    assert presence  # the name holds this process' id
    starting = sandbox.start(
        plan,
        folders={BIN: str(binaries), folder: str(tars[0].parent)},
        files={"": {}, node.name: components.files(plan, pki.make_pki(plan), node)},
        components={node.name: components.components(plan, node)},
        presence=presence,
        listeners=[],
    )
    try:
        node_pid = starting.sandbox.node_pid(node.name)
        inside = Path(f"/proc/{node_pid}/root")
        starting.start(node.name, "containerd")
        wait_until((inside / CONTAINERD_SOCKET.lstrip("/")).exists, "containerd did not start", _DEADLINE_SECONDS)
        for tar in tars:
            command = (
                f"{BIN}/ctr",
                "--namespace",
                _NAMESPACE,
                "images",
                "import",
                "--local",
                f"{folder}/{tar.name}",
            )
            sandbox.output_on_node(node_pid, command)
        starting.stop(node.name, "containerd")  # its databases are whole only when nobody writes to them
        _copy(inside / "var/lib/containerd", store)
    finally:
        starting.sandbox.end()


def _copy(root: Path, store: Path) -> None:
    for plugin in _KEPT:
        shutil.copytree(root / plugin, store / plugin, symlinks=True)
        shutil.rmtree(store / plugin / "ingest", ignore_errors=True)
    for path in store.rglob("*"):
        owner = (root / path.relative_to(store)).lstat()
        if os.getuid() == 0:
            # A sandbox of root has ids of its own: what belonged to others would be read-only to a container's root.
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
        if not path.is_symlink():
            path.chmod(owner.st_mode)
