"""The etcd store: what an API server and its controllers write at their first start, prepared once for all clusters.

Those are some 300 objects, roles and their bindings above all, and an API server is ready only when they are written:
that takes two seconds. A cluster begins with a copy of them. What belongs to one cluster only (addresses, ports,
certificates) is not among them, so that its own API server writes it.
"""

import base64
import json
import os
import shutil
import socket
import time
from pathlib import Path

from throwaway import components, pki, sandbox
from throwaway.api import Api
from throwaway.components import BIN, ETCD_DATA
from throwaway.errors import ThrowawayError
from throwaway.plan import make_plan
from throwaway.waiting import wait_until

_OF_ONE_CLUSTER = (
    "clustertrustbundles",
    "configmaps",
    "endpointslices",
    "events",
    "ipaddresses",
    "leases",
    "masterleases",
    "namespaces",  # their ids tell clusters apart
    "peerserverleases",
    "ranges",
    "servicecidrs",
    "services",
)
"""Kinds by their names in etcd's keys, `/registry/KIND/…`."""

_CLIENT_URL = "http://127.0.0.1:2379"
_DEADLINE_SECONDS = 120.0


def make(binaries: Path, store: Path) -> None:
    """Make the new folder `store`, a data directory of etcd; `binaries` holds the programs.

    Raises `ThrowawayError` when a component does not start.
    """
    plan = make_plan(f"etcd-store-{os.getpid()}", nodes=1)
    node = plan.control_plane
    presence = sandbox.reserve(plan.name)
    assert presence  # the name holds this process' id
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    certificates = pki.make_pki(plan)
    starting = sandbox.start(
        plan,
        folders={BIN: str(binaries)},
        files={"": {}, node.name: components.files(plan, certificates, node)},
        components={node.name: components.components(plan, node)},
        presence=presence,
        listeners=[listener],
    )
    try:
        for component in ("etcd", "kube-apiserver", "kube-controller-manager"):
            starting.start(node.name, component)
        api = Api("127.0.0.1", port, certificates.authority, certificates.clients["admin"])
        wait_until(api.is_ready, "the API server was not ready", _DEADLINE_SECONDS)
        _wait_for_controllers(api)
        node_pid = starting.sandbox.node_pid(node.name)
        for component in ("kube-controller-manager", "kube-apiserver", "etcd"):
            if component == "etcd":
                _delete_what_belongs_to_one_cluster(node_pid)
            starting.stop(node.name, component)
        shutil.copytree(Path(f"/proc/{node_pid}/root{ETCD_DATA}"), store, dirs_exist_ok=True)
    finally:
        starting.sandbox.end()
    for path in (store, *store.rglob("*")):
        path.chmod(
            0o755 if path.is_dir() else 0o644
        )  # nothing in it is secret, and a root's sandbox is another account
        if path.suffix == ".tmp":
            path.unlink()  # space that etcd keeps for later
        elif path.suffix == ".wal":
            _cut_trailing_zeros(path)


def _wait_for_controllers(api: Api) -> None:
    """Wait until each controller has its service account: until for a second there is no more of them."""
    deadline = time.monotonic() + _DEADLINE_SECONDS
    before, now = -1, 0
    while now == 0 or now != before:
        if time.monotonic() > deadline:
            raise ThrowawayError(f"the controllers did not start within {_DEADLINE_SECONDS:.0f} s; try again")
        time.sleep(1)
        before, now = now, len(api.get("/api/v1/serviceaccounts")["items"])


def _delete_what_belongs_to_one_cluster(node_pid: int) -> None:
    for kind in _OF_ONE_CLUSTER:
        prefix = f"/registry/{kind}"
        keys = {"key": f"{prefix}/", "range_end": f"{prefix}0"}  # "0" comes after "/"
        body = json.dumps({name: base64.b64encode(key.encode()).decode() for name, key in keys.items()})
        url = f"{_CLIENT_URL}/v3/kv/deleterange"
        sandbox.output_on_node(node_pid, ("curl", "--silent", "--fail", "--show-error", "--data", body, url))


def _cut_trailing_zeros(path: Path) -> None:
    """Cut what etcd has reserved at the end of its log: 64 MB, which it reserves again."""
    data = path.read_bytes().rstrip(b"\0")
    path.write_bytes(data + bytes(-len(data) % 8))  # records are padded to 8 bytes
