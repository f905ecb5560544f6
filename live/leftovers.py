"""What a page leaves behind: the cluster's objects before and after it."""

import contextlib
import json
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from kubernetes import config
from kubernetes.dynamic import DynamicClient, ResourceList
from kubernetes.dynamic.exceptions import ConflictError, NotFoundError

DEADLINE = 90.0
"""Seconds that objects may take to go after they were deleted; a Pod alone may take 30 to end."""

# Kubernetes makes and removes these by itself: reports, heartbeats, and what follows from a Service.
_BY_ITSELF = {"events", "endpoints", "ipaddresses"}
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
_NODE_FIELDS = ("taints", "unschedulable")


@dataclass(frozen=True)
class Thing:
    """An object of the cluster that belongs to no other object."""

    kind: str
    """Its kind."""
    namespace: str
    """Its namespace, or ''."""
    name: str
    """Its name."""
    path: str = field(compare=False)
    """Its path in the API."""

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True)
class State:
    """What is compared of an object besides its being there."""

    leaving: bool = field(compare=False)
    """Whether it was deleted and is about to go."""
    node: str
    """For a Node, its labels, taints and whether it is cordoned, as JSON; else ''."""


Things = dict[Thing, State]


class Cluster:
    """A cluster, as far as leftovers are concerned."""

    def __init__(self, kubeconfig: Path, scratch: Path, others: Collection[str] = ()) -> None:
        """Connect, and learn which resources there are.

        `scratch` is a folder for a cache of them; `others` are patterns, as in `proof-*`, of the namespaces in which
        other tests work at the same time. Nothing in those is looked at, nor objects of these names that are in no
        namespace.
        """
        self._others = others
        api_client = config.new_client_from_config(str(kubeconfig))
        cache = str(scratch / "discovery.json")
        self._api: Any = DynamicClient(api_client, cache_file=cache)
        self._listed = [
            resource
            for resource in self._api.resources.search()
            if resource.preferred
            and not isinstance(resource, ResourceList)
            and {"list", "delete"} <= set(resource.verbs or ())
            and resource.name not in _BY_ITSELF
        ]

    def revision(self) -> str:
        """Which state the cluster has now, for `things`."""
        namespaces = self._read("/api/v1/namespaces", limit=1)
        return str(namespaces["metadata"]["resourceVersion"])

    def things(self, revision: str = "") -> Things:
        """All objects but those that have an owner, which go with it, and those that Kubernetes makes itself.

        Takes about 0.2 s. With `revision`, as they were then; raises `ApiException` when that has been five minutes ago
        or so, since etcd forgets.
        """
        things: Things = {}
        for resource in self._listed:
            for item in self._list(resource, revision):
                metadata = item["metadata"]
                namespace = metadata.get("namespace", "")
                heartbeat = resource.name == "leases" and namespace.startswith("kube-")
                if heartbeat or "ownerReferences" in metadata or self._is_of_others(namespace or metadata["name"]):
                    continue
                path = resource.path(name=metadata["name"], namespace=namespace or None)
                node = _node_state(item) if resource.kind == "Node" else ""
                thing = Thing(resource.kind, namespace, metadata["name"], path)
                things[thing] = State("deletionTimestamp" in metadata, node)
        return things

    def namespaces(self) -> set[str]:
        """The names of all namespaces but those of others."""
        names = {item["metadata"]["name"] for item in self._read("/api/v1/namespaces")["items"]}
        return {name for name in names if not self._is_of_others(name)}

    def at_rest(self) -> Things:
        """`things`, once all that was deleted has gone. What still is there `DEADLINE` later is included."""
        deadline = time.monotonic() + DEADLINE
        while True:
            things = self.things()
            leaving = [thing for thing, state in things.items() if state.leaving]
            if time.monotonic() > deadline or not leaving:
                return things
            for thing in leaving:
                while self._is_there(thing) and time.monotonic() < deadline:
                    time.sleep(0.2)

    def settle(self, before: Things) -> dict[Thing, str]:
        """What differs from `before` once the cluster is at rest, each with what happened to it."""
        now = self.at_rest()
        differences = compare(before, now)
        leaving = [thing for thing in differences if thing in now and now[thing].leaving]
        late = f"was deleted, but is still there {DEADLINE:.0f} s later"
        return differences | dict.fromkeys(leaving, late)

    def restore(self, before: Things) -> dict[Thing, str]:
        """Delete what was made since `before` and reset Nodes; returns what could not be put right."""
        differences = compare(before, self.things())
        for thing in differences:
            if thing not in before:
                with contextlib.suppress(NotFoundError, ConflictError):  # it is going already
                    self._api.request("delete", thing.path, serialize=False)
            elif thing.kind == "Node":
                self._reset(thing, json.loads(before[thing].node))
        return self.settle(before) if differences else {}

    def _is_there(self, thing: Thing) -> bool:
        try:
            self._read(thing.path)
        except NotFoundError:
            return False
        return True

    def _is_of_others(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self._others)

    def _reset(self, node: Thing, state: dict[str, Any]) -> None:
        now = json.loads(_node_state(self._read(node.path)))
        labels = dict.fromkeys(now["labels"]) | state["labels"]  # null removes a label
        spec = {name: state[name] for name in _NODE_FIELDS}
        patch = {"metadata": {"labels": labels}, "spec": spec}
        self._api.request("patch", node.path, body=patch, content_type="application/merge-patch+json", serialize=False)

    def _list(self, resource: Any, revision: str) -> list[dict[str, Any]]:
        accept = "application/json" if resource.kind == "Node" else _METADATA_ONLY
        then = {"resource_version": revision, "resource_version_match": "Exact"} if revision else {}
        answer = self._read(resource.path(), header_params={"Accept": accept}, **then)
        return answer["items"] or []

    def _read(self, path: str, **parameters: Any) -> dict[str, Any]:
        return dict(json.loads(self._api.request("get", path, serialize=False, **parameters).data))


def compare(before: Things, now: Things) -> dict[Thing, str]:
    """What was left behind, is gone or was changed between two listings."""
    made = [thing for thing in now if thing not in before]
    namespaces = {thing.name for thing in made if thing.kind == "Namespace"}
    left = [thing for thing in made if thing.namespace not in namespaces]  # what is inside goes without saying
    gone = [thing for thing in before if thing not in now]
    changed = [thing for thing in before if thing in now and before[thing] != now[thing]]
    return (
        dict.fromkeys(left, "was left behind") | dict.fromkeys(gone, "is gone") | dict.fromkeys(changed, "was changed")
    )


def _node_state(node: dict[str, Any]) -> str:
    spec = node["spec"]
    # Taints under node.kubernetes.io/ follow from the Node's conditions and from spec.unschedulable.
    taints = [taint for taint in spec.get("taints", []) if not taint["key"].startswith("node.kubernetes.io/")]
    state = {"labels": node["metadata"].get("labels", {}), "taints": taints or None}
    return json.dumps(state | {"unschedulable": spec.get("unschedulable")}, sort_keys=True)
