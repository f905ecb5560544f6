"""Which NodePorts Services are given, and which they are refused, one after another."""

import json
import re
from collections import Counter
from typing import Any

from kubernetes import client

from proofs.world import World
from throwaway import Cluster

MODES = ("nftables",)
VARIES = ("asked", "port")

AUTOMATIC = 40
"""So many Services leave the choice to Kubernetes."""
LOWER, UPPER = 30047, 31234
"""Numbers to ask for, one in each band. No page and no test has them for its own: those may run on the same cluster."""

_RANGE = re.compile(r"The range of valid ports is (\d+)-(\d+)")
_REASON = re.compile(r"Invalid value: \d+: (.*)")
_TAKEN = "provided port is already allocated"


def record(cluster: Cluster, namespace: str) -> dict[str, Any]:
    """Make Services without a selector, so without Pods and without rules of any length, and delete one of them."""
    world = World.of(cluster, namespace)
    events = [_made(world, "left-out", f"auto-{number}") for number in range(1, AUTOMATIC + 1)]
    events.append(_made_where_free(world, "lower", "fixed-low", LOWER))
    events.append(_made_where_free(world, "upper", "fixed-high", UPPER))
    first, freed = events[0], events[1]
    events.append(_made(world, "taken", "too-late", first["port"]))
    events.append(_made(world, "outside", "web", 8080))
    world.core.delete_namespaced_service(freed["service"], namespace)
    events.append(freed | {"kind": "deleted"})
    events.append(_made(world, "again", "heir", freed["port"]))

    refused = {event["kind"] for event in events if event["refused"]}
    assert refused == {"taken", "outside"}, events
    low, high = map(int, _RANGE.findall(events[AUTOMATIC + 3]["refused"])[0])
    split = low + lower_band(high - low + 1)
    counts = Counter(event["port"] >= split for event in events if event["kind"] == "left-out")
    assert counts == {True: AUTOMATIC}, counts
    return {"first": low, "split": split, "last": high, "events": events}


def lower_band(size: int) -> int:
    """How many of a range's ports, from the first on, Kubernetes leaves to those who choose.

    From https://kubernetes.io/docs/reference/networking/virtual-ips/#ip-address-ranges-for-virtual-ip-addresses and the
    same for ports in https://kubernetes.io/blog/2023/05/11/nodeport-dynamic-and-static-allocation/.
    """
    return min(max(16, size // 32), 128)


def _made(world: World, kind: str, service: str, asked: int | None = None) -> dict[str, Any]:
    """What became of a new Service: the port that it has, or why it was refused."""
    port = {"port": 80} | ({"nodePort": asked} if asked else {})
    event = {"kind": kind, "service": service, "asked": asked, "port": None, "refused": ""}
    try:
        event["port"] = world.service(service, type="NodePort", selector=None, ports=[port]).spec.ports[0].node_port
        assert asked in (None, event["port"]), event
    except client.ApiException as refusal:
        event["refused"] = _REASON.findall(json.loads(refusal.body)["message"])[0]
    return event


def _made_where_free(world: World, kind: str, service: str, asked: int) -> dict[str, Any]:
    """The same for the first number from `asked` on that nobody has."""
    while (event := _made(world, kind, service, asked))["refused"] == _TAKEN:
        asked += 1
    return event
