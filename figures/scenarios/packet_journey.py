"""The way of a connection through a NodePort: what changes its addresses, who answers, and how the answer comes back.

There are two Pods, on worker1 and worker2, and a client outside. It asks a Node that has a Pod and one that has none,
with both values of externalTrafficPolicy. The Nodes are traced meanwhile, as `throwaway trace --all` does it.
"""

import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from proofs.world import POD_PORT, Pod, World, wait_for
from throwaway import Cluster
from throwaway import cluster as clusters
from throwaway.errors import AlreadyTracedError
from throwaway.trace import Trace, Tracer, Wanted, essential

MODES = ("nftables", "iptables")
VARIES = ("seconds", "asked", "port")

_WITH, _WITHOUT = "worker1", "control-plane"
"""The Nodes that are asked: one with a Pod, one without."""
_TRIES = 40
"""Where chance decides between two Pods, each has been met within so many connections, but for one case in 2⁴⁰."""
_GIVES_UP_SECONDS = 1.5
"""When the client gives up. Linux sends the first packet of a connection again after one second."""


@dataclass(frozen=True)
class _Service:
    """What is asked."""

    world: World
    client: str
    """The address of the machine outside."""
    port: int
    """The Service's NodePort."""
    pods: list[Pod]

    def ask(self, entry: str) -> tuple[str, str, str, list[float]]:
        """Have the client ask a Node by one connection, for two things.

        Returns who answered and whom the Pod saw, "" where nobody answers; the client's own address and port; and when
        it was connected, and had its first answer, in seconds.
        """
        url = f"http://{self.world.nodes[entry]}:{self.port}"
        own = random.randint(33000, 60000)
        tell = r"\n%{time_connect} %{time_total}\n"
        options = f"--silent --fail-early --max-time {_GIVES_UP_SECONDS} --local-port {own} -w '{tell}'"
        asked = self.world.cluster.exec("client", ["sh", "-c", f"curl {options} {url}/hostname {url}/clientip || true"])
        pod, told, saw, *_ = [*asked.splitlines(), "", ""]
        return pod, saw, f"{self.client}:{own}", [round(float(each), 4) for each in told.split()]


def record(cluster: Cluster, namespace: str) -> dict[str, Any]:
    """Follow four connections."""
    world = World.of(cluster, namespace)
    pods = [
        world.pods(name, node=node, labels={"app": "echo"})[0]
        for name, node in (("echo-a", _WITH), ("echo-b", "worker2"))
    ]
    client = clusters.find_or_fail(cluster.name).plan.host("client").addresses[0]
    service = _Service(world, client, world.service(type="NodePort").spec.ports[0].node_port, pods)
    # By default no Node prefers its own Pod. So what is shown of the one that has a Pod is that it leads to the other.
    ways = [_followed(service, "Cluster", _WITHOUT, pods[0]), _followed(service, "Cluster", _WITH, pods[1])]
    world.patch("echo", externalTrafficPolicy="Local")
    ways += [_followed(service, "Local", _WITHOUT, None), _followed(service, "Local", _WITH, pods[0])]
    return {
        "client": client,
        "nodes": [{"name": name, "address": address} for name, address in world.nodes.items()],
        "pods": [{"name": pod.name, "address": f"{pod.address}:{POD_PORT}", "node": pod.node} for pod in pods],
        "port": service.port,
        "journeys": ways,
    }


def _followed(service: _Service, policy: str, entry: str, wanted: Pod | None) -> dict[str, Any]:
    """A connection to a Node that leads to the wanted Pod, or to nobody."""
    name = wanted.name if wanted else ""
    wait_for(lambda: _leads(service, policy, entry, name), f"{entry} has the rules for {policy}")
    with ExitStack() as stack:

        def trace(node: str, **what: Any) -> list[Trace]:
            return stack.enter_context(_traced(service.world, node, Wanted(protocol="tcp", **what)))

        seen = {entry: trace(entry, port=service.port, source=service.client)}
        if wanted and wanted.node != entry:
            seen[wanted.node] = trace(wanted.node, port=POD_PORT, destination=wanted.address)
        for _ in range(_TRIES):
            pod, saw, source, seconds = service.ask(entry)
            if pod == name:
                break
        assert pod == name, f"{entry} leads to {pod or 'nobody'}, not to {name or 'nobody'}"

        def hops() -> tuple[list[tuple[str, Trace]], list[tuple[str, Trace]]] | None:
            """The connection's first packet on each Node, and the first answer; None while something is missing."""
            ends = source
            there: list[tuple[str, Trace]] = []
            back: list[tuple[str, Trace]] = []
            for node, traces in seen.items():
                forth = [each for each in traces if not each.is_answer and each.source == ends]
                answers = [each for each in traces if each.is_answer and each.final_destination == ends]
                if not forth or (wanted and not answers):
                    return None
                there.append((node, forth[0]))
                back[:0] = [(node, each) for each in answers[:1]]
                ends = forth[0].final_source
            return there, back

        there, back = wait_for(hops, f"the Nodes have seen {source}")
        sent = [each.time for each in seen[entry] if each.source == source and not wanted]
    return {
        "policy": policy,
        "entry": entry,
        "pod": pod,
        "saw": saw,
        "source": source,
        "seconds": seconds if wanted else [_GIVES_UP_SECONDS],
        "asked": [round(each - sent[0], 1) for each in sent],
        "there": [_hop(*each) for each in there],
        "back": [_hop(*each) for each in back],
    }


def _leads(service: _Service, policy: str, entry: str, pod: str) -> bool:
    """Whether a Node leads to a Pod by now, or to nobody, and whether that Pod sees whom it is to see."""
    found, saw, source, _ = service.ask(entry)
    return found == pod and (not pod or (saw == source) == (policy == "Local"))


def _hop(node: str, trace: Trace) -> dict[str, Any]:
    """What a Node did with a packet: only what had an effect."""
    return {
        "node": node,
        "source": trace.source,
        "destination": trace.destination,
        "steps": [
            {"kind": each.kind, "hook": each.hook, "before": each.before, "after": each.after}
            if each.kind in ("dnat", "snat")
            else {"kind": each.kind, "hook": each.hook, "chain": each.chain, "rule": each.rule, "verdict": each.verdict}
            for each in essential(trace.steps)
        ],
        "outcome": trace.outcome,
        "finalSource": trace.final_source,
        "finalDestination": trace.final_destination,
    }


@contextmanager
def _traced(world: World, node: str, wanted: Wanted) -> Iterator[list[Trace]]:
    """What is seen of connections on a Node while the block lasts; waits while somebody else traces there."""

    def begun() -> Tracer | None:
        try:
            return Tracer(clusters.find_or_fail(world.cluster.name), node, wanted, everything=True)
        except AlreadyTracedError:
            return None

    def listen() -> None:
        for each in tracer.traces():
            seen.append(each)

    seen: list[Trace] = []
    tracer = wait_for(begun, f"{node} is traced")
    thread = threading.Thread(target=listen)
    thread.start()
    try:
        yield seen
    finally:
        tracer.stop()
        thread.join()
