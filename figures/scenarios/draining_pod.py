"""The end of a Pod behind a Service, in three ways: what each party sees, and when.

Two Pods are behind a NodePort Service, and one of them is deleted. A client beside the Nodes keeps a connection to that
Pod and asks by it again and again; beside that it opens new ones all the time. The program in the Pod ends at once, or
it goes on for some seconds: held by a preStop hook, or of its own accord.

All times are milliseconds after the Pod was deleted, by one clock, since all Nodes are on one machine.
"""

import http.client
import select
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from kubernetes import watch

from proofs.world import AGNHOST, PATIENCE_SECONDS, POD_PORT, SERVICE_NAME, World, wait_for
from throwaway import Cluster

MODES = ("nftables",)
VARIES = ("events", "kept", "new", "listed")

LEAVES, STAYS = "web-0", "web-1"
"""The Pods."""
WAITS_SECONDS = 6
"""How long the Pod goes on where it does. On an idle machine rules have changed within a second."""
BEFORE_SECONDS = 0.6
"""For how long the client asks before the Pod is deleted."""
AFTER_SECONDS = 0.8
"""For how long it asks when the connection that it keeps has ended."""
PAUSE_SECONDS = 0.1
"""Between two requests by the connection that is kept, and between two new connections."""
SHORT_PAUSE_SECONDS = 0.04
"""Between two new connections where the program ends at once: the gap, if there is one, is short."""
ENDINGS: dict[str, dict[str, Any]] = {
    "at-once": {"args": ["netexec"]},
    "prestop": {"args": ["netexec"], "lifecycle": {"preStop": {"sleep": {"seconds": WAITS_SECONDS}}}},
    "waits": {"args": ["netexec", f"--delay-shutdown={WAITS_SECONDS}"]},
}
"""What the Pods' container has, for each way to end."""
_SIGNALLED = "before terminating"
"""What the program logs when it is told to end and does not yet."""
_RULES = """
leads() { nft list table ip kube-proxy | grep -q "dnat .* $1[ :]"; }
leads "$1" && echo "leads there"
while leads "$1"; do sleep 0.02; done
date +%s.%N
"""
"""Prints when no rule of the Node leads to an address any more, as seconds since 1970.

Where there are several Pods, one rule has them all: `dnat ip to numgen random mod 2 map { 0 : 10.244.1.2 . 8080, …`.
"""


@dataclass
class Story:
    """What was seen; times in seconds since 1970."""

    events: dict[str, float] = field(default_factory=dict)
    kept: list[float] = field(default_factory=list)
    """When each request by the kept connection was answered."""
    new: list[tuple[float, str]] = field(default_factory=list)
    """When each new connection was begun, and the Pod that answered or how it failed."""
    listed: dict[str, bool] = field(default_factory=dict)
    """How the EndpointSlice listed the Pod when it first said that it ends."""
    exit_code: int | None = None
    """The program's."""
    is_over: threading.Event = field(default_factory=threading.Event)
    """Set when nobody need ask any more."""

    def note(self, event: str) -> None:
        """Say that something has happened now, unless it had before."""
        self.events.setdefault(event, time.time())

    def check_that_none_fails(self) -> None:
        """Fail if the Pod did not go on for long enough, so that the figure would show something else."""
        assert self.listed == {"ready": False, "serving": True, "terminating": True}, self.listed
        assert self.events["rules"] < self.kept[-1], "the kept connection is used when rules have changed"
        assert (who := {who for _, who in self.new}) == {LEAVES, STAYS}, f"all new connections are answered: {who}"

    def told(self, begin: float) -> dict[str, Any]:
        """All of it, in milliseconds after `begin`."""

        def at(moment: float) -> int:
            return round(1000 * (moment - begin))

        return {
            "events": {event: at(moment) for event, moment in sorted(self.events.items(), key=lambda each: each[1])},
            "listed": self.listed,
            "kept": [at(moment) for moment in self.kept],
            "new": [[at(begun), outcome] for begun, outcome in sorted(self.new)],
            "exit code": self.exit_code,
            "answer once rules have changed": sorted({who for begun, who in self.new if begun > self.events["rules"]}),
        }


def record(cluster: Cluster, namespace: str) -> dict[str, Any]:
    """Delete a Pod that ends in each of the ways, one after another."""
    world = World.of(cluster, namespace)
    world.service("web", type="NodePort")
    return {"waits_seconds": WAITS_SECONDS, "endings": {name: _record(world, own) for name, own in ENDINGS.items()}}


def _record(world: World, own: dict[str, Any]) -> dict[str, Any]:
    """Start the Pods, look on from all sides while the one ends, and say what was seen."""
    is_at_once = own is ENDINGS["at-once"]
    probe = {"httpGet": {"path": "/", "port": POD_PORT}, "periodSeconds": 1}
    container = {"name": "main", "image": AGNHOST, "readinessProbe": probe} | own
    leaves, _ = world.pods("web", 2, containers=[container], terminationGracePeriodSeconds=30)
    node, address = list(world.nodes.items())[1]
    port = world.core.read_namespaced_service("web", world.namespace).spec.ports[0].node_port
    kept = wait_for(lambda: _connection_to(LEAVES, address, port), "both Pods answer")
    story = Story()
    looks = [
        partial(_watch_pod, world, story),
        partial(_watch_slice, world, leaves.address, story),
        partial(_watch_log, world, story),
        partial(_ask_by, kept, story),
        partial(_ask_anew, address, port, SHORT_PAUSE_SECONDS if is_at_once else PAUSE_SECONDS, story),
    ]
    watching = ["timeout", f"{PATIENCE_SECONDS}", "sh", "-c", _RULES, "sh", leaves.address]
    command = world.cluster.node_command(node, watching)
    rules = subprocess.Popen(command, env=world.cluster.environment, stdout=subprocess.PIPE, text=True)
    assert rules.stdout
    assert rules.stdout.readline() == "leads there\n", f"rules of {node} lead to {leaves.address}"
    with ThreadPoolExecutor(len(looks)) as threads:
        try:
            looking = [threads.submit(look) for look in looks]
            time.sleep(BEFORE_SECONDS)
            begin = time.time()
            world.delete_pod(leaves)
            changed = rules.stdout.readline()
            assert changed, f"the rules of {node} change within {PATIENCE_SECONDS:.0f} s"
            story.events["rules"] = float(changed)
            wait_for(lambda: {"ended", "gone"} <= set(story.events), f"{LEAVES} is gone")
            time.sleep(AFTER_SECONDS)
        finally:
            story.is_over.set()
            rules.kill()
        for each in looking:
            each.result(PATIENCE_SECONDS)
    world.core.delete_namespaced_pod(STAYS, world.namespace, grace_period_seconds=0)  # when nothing asks it any more
    if not is_at_once:  # there it is chance what comes first
        story.check_that_none_fails()
    return story.told(begin)


def _watch_pod(world: World, story: Story) -> None:
    """Note when the Pod is gone by the API server's word, and the exit code of its program."""
    chosen = {"field_selector": f"metadata.name={LEAVES}", "timeout_seconds": int(PATIENCE_SECONDS)}
    for change in watch.Watch().stream(world.core.list_namespaced_pod, world.namespace, **chosen):
        for container in change["object"].status.container_statuses or ():
            if container.state.terminated:
                story.exit_code = container.state.terminated.exit_code
        if change["type"] == "DELETED":
            story.note("gone")
            return


def _watch_slice(world: World, address: str, story: Story) -> None:
    """Note when the Service's EndpointSlice says that the Pod ends, and when it leaves the Pod out."""
    chosen = {"label_selector": f"{SERVICE_NAME}=web", "timeout_seconds": int(PATIENCE_SECONDS)}
    for change in watch.Watch().stream(world.discovery.list_namespaced_endpoint_slice, world.namespace, **chosen):
        found = [each for each in change["object"].endpoints or () if address in each.addresses]
        if found and found[0].conditions.terminating and "listed" not in story.events:
            story.note("listed")
            conditions = found[0].conditions
            story.listed = {name: getattr(conditions, name) for name in ("ready", "serving", "terminating")}
        if not found and "listed" in story.events:
            story.note("unlisted")
            return


def _watch_log(world: World, story: Story) -> None:
    """Note when the program says that it was told to end, by the time at which the line was written."""
    options = {"follow": True, "timestamps": True, "_preload_content": False}
    with world.core.read_namespaced_pod_log(LEAVES, world.namespace, **options) as log:
        for line in log:
            if _SIGNALLED in (text := line.decode()):
                story.events["signalled"] = datetime.fromisoformat(text.split()[0]).timestamp()


def _connection_to(pod: str, address: str, port: int) -> http.client.HTTPConnection | None:
    """A connection that leads to this Pod, if both Pods are to be had by now."""
    asked = [http.client.HTTPConnection(address, port, timeout=2) for _ in range(20)]
    found = {_outcome(each): each for each in asked}
    if set(found) != {LEAVES, STAYS}:
        return None
    found[pod].auto_open = 0  # it must not be replaced by a new one
    return found[pod]


def _ask_by(connection: http.client.HTTPConnection, story: Story) -> None:
    """Ask again and again by one connection, until the other side ends it."""
    try:
        while not story.is_over.is_set() and connection.sock:
            assert _ask(connection) == LEAVES
            story.kept.append(time.time())
            if connection.sock and select.select([connection.sock], [], [], PAUSE_SECONDS)[0]:
                break  # nothing was asked: it is the connection's end
    except (OSError, http.client.HTTPException):
        pass  # it ended while something was asked
    story.note("ended")
    connection.close()


def _ask_anew(address: str, port: int, pause: float, story: Story) -> None:
    """Open new connections at an even pace, however long one of them takes."""
    with ThreadPoolExecutor(20) as connections:
        while not story.is_over.wait(pause):
            connections.submit(_ask_once, address, port, story)


def _ask_once(address: str, port: int, story: Story) -> None:
    """Ask by a new connection, and keep in mind what came of it."""
    begun = time.time()
    connection = http.client.HTTPConnection(address, port, timeout=3)
    story.new.append((begun, _outcome(connection)))
    connection.close()


def _outcome(connection: http.client.HTTPConnection) -> str:
    """The Pod that answers, or how it failed."""
    try:
        return _ask(connection)
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "no answer"
    except (OSError, http.client.HTTPException):
        return "broken off"


def _ask(connection: http.client.HTTPConnection) -> str:
    connection.request("GET", "/hostname")
    return connection.getresponse().read().decode()
