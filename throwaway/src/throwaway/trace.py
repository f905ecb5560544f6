"""Which rules of a node a packet met, by nftables' own tracing.

A table of ours marks packets for tracing (`meta nftrace set 1`), and `nft monitor trace` says what they meet: both of
kube-proxy's modes, since the `iptables` of today's distributions writes nftables' rules, too. Where it is the older
one, only the changes of addresses are seen. Empty chains of ours behind those that change addresses show the packet
as it goes on.

Why the table is always gone afterwards: it has the flag `owner` (Linux 5.12), so that the kernel deletes it when the
program that made it ends; that program is the very `nft` that monitors, and it is killed when this process ends.

Packets are marked just after connection tracking has seen them (priority -200), which knows a connection's first
packet. The rules that translate addresses are asked for that packet only.
"""

import fcntl
import json
import os
import re
import select
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import IO, Literal

from throwaway import sandbox
from throwaway.cluster import Cluster
from throwaway.errors import AlreadyTracedError, ThrowawayError
from throwaway.names import Names
from throwaway.waiting import wait_until

PROTOCOLS = ("tcp", "udp", "sctp", "icmp")

_TRACE_GROUP = 1 << (9 - 1)
"""NFNLGRP_NFTRACE of <linux/netfilter/nfnetlink.h>, as a bit of the groups in /proc/net/netlink."""
_NETFILTER = "12"
"""NETLINK_NETFILTER of <linux/netlink.h>."""
_START_SECONDS = 20.0
_QUIET_SECONDS = 0.5
"""A packet of which nothing was heard for so long, nor of others, has come to its end in the kernel."""
_LONG_QUIET_SECONDS = 10.0
"""The same while there is always news of others: what was said may not be read yet."""
_LOOK_AGAIN_SECONDS = 0.2

_ENTRY = ("enters", "starts")
_TABLE = """\
add table inet {table} {{ flags owner; \
chain enters {{ type filter hook prerouting priority -199; {rules}; }}; \
chain enters-on {{ type filter hook prerouting priority -99; }}; \
chain starts {{ type filter hook output priority -199; {rules}; }}; \
chain starts-on {{ type filter hook output priority -99; }}; \
chain stays {{ type filter hook input priority 500; }}; \
chain leaves {{ type filter hook postrouting priority 500; }}; }}
"""

_LINE = re.compile(
    r"trace id (?P<id>\w+) (?P<table>\S+ \S+) (?P<chain>\S+) "
    r"(?:(?P<packet>packet): (?P<about>.*)"
    r"|(?P<rule>(?:unknown )?rule) (?P<text>.*) \(verdict (?P<verdict>[^)]*)\)"
    r"|(?:policy|verdict) (?P<policy>\w+).*)"
)
_HANDLE = re.compile(r" *(?:# )?handle (\d+)$")
"""At the end of a rule; `handle 7` alone, without `#`, is a rule that was made after the monitor had begun."""
_IPTABLES_CHAINS = re.compile(r"(ip6?) (nat|filter|mangle|raw|security)")


@dataclass(frozen=True)
class Wanted:
    """Which connections are traced: those to which all of this applies. At least one field has to be set."""

    port: int = 0
    """Port that the first packet is sent to, before any change of it."""
    protocol: str = ""
    """One of `PROTOCOLS`."""
    source: str = ""
    """Address that the first packet comes from."""
    destination: str = ""
    """Address that it is sent to, before any change of it."""


@dataclass(frozen=True)
class Step:
    """A rule that a packet met, a policy that decided its fate, or a change of its addresses."""

    kind: Literal["rule", "policy", "dnat", "snat"]
    """`dnat`: its destination was changed; `snat`: its source was. In an answer, such a change is taken back."""
    hook: str
    """Where on its way: `prerouting`, `input`, `forward`, `output` or `postrouting`."""
    table: str = ""
    """Family and name of the rule's table, as in `ip kube-proxy`."""
    chain: str = ""
    """Name of the rule's chain."""
    rule: str = ""
    """The rule, in the words of nft, or of iptables-save if iptables made it."""
    verdict: str = ""
    """What came of it: `accept`, `drop`, `continue`, `return`, `jump CHAIN`, `goto CHAIN`."""
    before: str = ""
    """For a change: address and port before."""
    after: str = ""
    """For a change: address and port after."""
    name: str = ""
    """For a change: what the address after it is in the cluster; "" if it is nothing there."""


@dataclass
class Trace:
    """The way of one packet through a node."""

    time: float
    """When it was first seen, in seconds since 1970."""
    protocol: str
    """`tcp`, `udp`, `sctp`, `icmp` or `icmpv6`; "" for others."""
    interface: str
    """The interface by which it came; "" if the node itself sent it."""
    source: str
    """Address and port that it came from."""
    destination: str
    """Address and port that it was sent to."""
    source_name: str = ""
    """What the source is in the cluster; "" if it is nothing there."""
    destination_name: str = ""
    """What the destination is in the cluster; "" if it is nothing there."""
    is_answer: bool = False
    """Whether it goes back to the side that opened the connection; seen only where everything is."""
    steps: list[Step] = field(default_factory=list)
    """What happened to it, in order."""
    outcome: Literal["left", "stayed", "dropped", "lost"] = "lost"
    """`left`: it went out; `stayed`: it was for the node itself; `dropped`: by a rule or policy; `lost`: the kernel
    took it no further, for instance because there is no route."""
    out_interface: str = ""
    """The interface by which it left; "" if it did not."""
    final_source: str = ""
    """Address and port that it came from, in the end."""
    final_destination: str = ""
    """Address and port that it was sent to, in the end."""


@dataclass
class _Way:
    """A packet on its way."""

    trace: Trace
    hook: str = ""
    heard: float = field(default_factory=time.monotonic)


class Tracer:
    """A trace that runs; packets that arrive from now on are seen."""

    def __init__(self, cluster: Cluster, node: str, wanted: Wanted, everything: bool = False) -> None:
        """Begin. `everything`: all packets of a connection, answers too, and not only its first one.

        Raises `ThrowawayError` for what nft refuses, `AlreadyTracedError` while another trace runs on the node: both
        would see the packets of either, for the kernel has one mark for all.
        """
        self._node = node
        self._pid = cluster.node_pid(node)
        self._turn = _turn(self._pid, node)
        self._table = f"throwaway-{os.getpid()}"
        script = _TABLE.format(table=self._table, rules="; ".join(_rules(wanted, everything)))
        sandbox.output_on_node(self._pid, ("nft", "--check", script))  # `nft -i` goes on after an error
        pipe = subprocess.PIPE
        # Interactive, for only then does it make the table and keep it while it monitors.
        nft = ("nft", "--interactive", "--handle")
        self._nft = sandbox.start_on_node(self._pid, nft, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT)
        assert self._nft.stdin
        self._nft.stdin.write(f"{script}monitor trace\n".encode())
        self._nft.stdin.flush()
        wait_until(
            lambda: self._nft.poll() is not None or _listens_to_traces(self._nft.pid),
            f"nft on {node} did not listen",
            _START_SECONDS,
        )
        self._names = Names(cluster)
        self._rules = _Rules(self._pid)
        self._ways: dict[str, _Way] = {}
        self._stopped = False

    def traces(self) -> Iterator[Trace]:
        """The packets, each when it has come to its end, until `stop` is called.

        Raises `ThrowawayError` when nft fails.
        """
        assert self._nft.stdout
        last = ""
        for line in _lines(self._nft.stdout, _QUIET_SECONDS / 2):
            if line is None:
                yield from self._quiet(_QUIET_SECONDS)
            else:
                last = line or last
                yield from self._hear(line)
                yield from self._quiet(_LONG_QUIET_SECONDS)
        yield from self._quiet(0)
        if not self._stopped:
            raise ThrowawayError(f"nft ended on {self._node}: {last}")

    def stop(self) -> None:
        """End it; what was heard until now still comes out of `traces`."""
        self._stopped = True
        self._nft.terminate()

    def _hear(self, line: str) -> Iterator[Trace]:
        if line.startswith("Error:"):
            raise ThrowawayError(f"nft refuses on {self._node}: {line}")
        found = _LINE.match(line.strip())
        if not found:
            return
        name, chain, is_ours = found["id"], found["chain"], found["table"] == f"inet {self._table}"
        # The kernel numbers packets by connection and interface: one that is sent again has the number of the first.
        if found["packet"] and is_ours and chain in _ENTRY and name in self._ways:
            yield self._ways.pop(name).trace
        way = self._ways.get(name)
        if way is None:
            if not found["packet"]:
                return  # the end of one whose beginning was before ours
            way = self._ways[name] = _Way(self._beginning(found["about"]))
        way.heard = time.monotonic()
        hook = self._rules.hook(found["table"], chain)
        way.hook = hook or way.hook
        if found["packet"]:
            self._note_changes(way, found["about"])
        if is_ours:
            way.trace.is_answer |= "ct direction" in (found["text"] or "")
            if found["policy"] and chain in ("stays", "leaves"):
                way.trace.outcome = "stayed" if chain == "stays" else "left"
                if chain == "stays":
                    way.trace.out_interface = ""
                yield self._ways.pop(name).trace
            return
        if found["rule"]:
            rule = self._rules.text(found["table"], chain, found["text"])
            step = Step("rule", way.hook, found["table"], chain, rule, found["verdict"])
        elif found["policy"]:
            step = Step("policy", way.hook, found["table"], chain, verdict=found["policy"])
        else:
            return
        way.trace.steps.append(step)
        if step.verdict == "drop":
            way.trace.outcome = "dropped"
            way.trace.out_interface = ""
            yield self._ways.pop(name).trace

    def _quiet(self, seconds: float) -> Iterator[Trace]:
        """Packets of which nothing was heard for so many seconds."""
        now = time.monotonic()
        for name in [name for name, way in self._ways.items() if now - way.heard >= seconds]:
            yield self._ways.pop(name).trace

    def _beginning(self, about: str) -> Trace:
        source, destination = _ends(about)
        found = re.search(r"\b(tcp|udp|sctp|dccp) sport\b|\b(icmp|icmpv6) type\b", about)
        return Trace(
            time=time.time(),
            protocol=(found[1] or found[2]) if found else "",
            interface=_interface("iif", about),
            source=source,
            destination=destination,
            source_name=self._name(source),
            destination_name=self._name(destination),
            final_source=source,
            final_destination=destination,
        )

    def _note_changes(self, way: _Way, about: str) -> None:
        """Compare a packet as a chain sees it with how it was in the one before."""
        source, destination = _ends(about)
        trace = way.trace
        if (before := trace.final_destination) != destination:
            change = Step("dnat", way.hook, before=before, after=destination, name=self._name(destination))
            trace.steps.append(change)
        if (before := trace.final_source) != source:
            trace.steps.append(Step("snat", way.hook, before=before, after=source, name=self._name(source)))
        trace.final_source, trace.final_destination = source, destination
        trace.out_interface = _interface("oif", about)

    def _name(self, end: str) -> str:
        address, _, port = end.rpartition(":") if end.startswith("[") or end.count(":") == 1 else (end, "", "0")
        return self._names.of(address.strip("[]"), int(port))


def _turn(pid: int, node: str) -> IO[bytes]:
    """A file that is locked while this process lives; raises `AlreadyTracedError` if another has the node's lock."""
    namespace = Path(f"/proc/{pid}/ns/net").open("rb", buffering=0)  # noqa: SIM115 - closing it ends the lock
    try:
        fcntl.flock(namespace, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        namespace.close()
        raise AlreadyTracedError(f"another trace runs on {node}") from None
    return namespace


def essential(steps: list[Step]) -> list[Step]:
    """Those steps that had an effect.

    Left out are jumps into chains in which nothing was done, returns, and policies that let the packet pass.
    """
    kept: list[Step] = []
    for step in reversed(steps):
        following = kept[-1] if kept else None
        verb, _, target = step.verdict.partition(" ")
        if verb in ("jump", "goto"):
            is_kept = following is not None and (following.table, following.chain) == (step.table, target)
        elif step.kind == "policy":
            is_kept = verb == "drop"
        else:
            is_kept = verb != "return"
        if is_kept:
            kept.append(step)
    return kept[::-1]


def sees_iptables(cluster: Cluster, node: str) -> bool:
    """Whether the node's iptables writes rules of nftables, which can be traced, and not those of its predecessor."""
    return "legacy" not in sandbox.output_on_node(cluster.node_pid(node), ("iptables", "--version"))


def _rules(wanted: Wanted, everything: bool) -> list[str]:
    """The rules that mark packets; raises `ThrowawayError` when nothing is wanted or an address is none."""
    forth, back = [], []
    for direction, address in (("saddr", wanted.source), ("daddr", wanted.destination)):
        if address:
            try:
                family = "ip6" if ip_address(address).version == 6 else "ip"
            except ValueError:
                raise ThrowawayError(f"{address!r} is no IP address") from None
            forth.append(f"{family} {direction} {address}")
            back.append(f"ct original {family} {direction} {address}")
    protocols = {"": "{ tcp, udp, sctp }" if wanted.port else "", "icmp": "{ icmp, ipv6-icmp }"}
    protocol = protocols.get(wanted.protocol, wanted.protocol)
    if protocol:
        forth.append(f"meta l4proto {protocol}")
        back.append(f"meta l4proto {protocol}")
    if wanted.port and wanted.protocol == "icmp":
        raise ThrowawayError("icmp has no ports; leave out --port or --protocol")
    if wanted.port:
        forth.append(f"th dport {wanted.port}")
        back.append(f"ct original proto-dst {wanted.port}")
    if not forth:
        raise ThrowawayError("say which packets: --port, --protocol, --from or --to")
    if not everything:
        return [" ".join([*forth, "ct state != { established, related } meta nftrace set 1"])]
    return [" ".join([*forth, "meta nftrace set 1"]), " ".join(["ct direction reply", *back, "meta nftrace set 1"])]


def _listens_to_traces(starter: int) -> bool:
    """Whether a child of a process has a socket that hears of traces; `nft monitor` does not say when it has."""
    try:
        (pid,) = Path(f"/proc/{starter}/task/{starter}/children").read_text().split()
        own = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()}
        sockets = [line.split() for line in Path(f"/proc/{pid}/net/netlink").read_text().splitlines()[1:]]
    except (OSError, ValueError):
        return False
    return any(
        each[1] == _NETFILTER and int(each[3], 16) & _TRACE_GROUP and f"socket:[{each[-1]}]" in own for each in sockets
    )


def _lines(stream: IO[bytes], tick: float) -> Iterator[str | None]:
    """Each line as soon as it is whole; None whenever nothing has come for `tick` seconds."""
    unread = b""
    while True:
        if not select.select([stream], [], [], tick)[0]:
            yield None
            continue
        received = os.read(stream.fileno(), 65536)
        if not received:
            return
        *whole, unread = (unread + received).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)


def _ends(about: str) -> tuple[str, str]:
    """Where a packet comes from and goes to, with ports where it has them."""
    addresses = re.search(r"\b(ip6?) saddr (\S+) ip6? daddr (\S+)", about)
    if not addresses:
        return "", ""
    source, destination = addresses[2], addresses[3]
    ports = re.search(r"\b\w+ sport (\d+) \w+ dport (\d+)", about)
    if not ports:
        return source, destination
    if addresses[1] == "ip6":
        source, destination = f"[{source}]", f"[{destination}]"
    return f"{source}:{ports[1]}", f"{destination}:{ports[2]}"


def _interface(which: str, about: str) -> str:
    found = re.search(rf'\b{which} "?([^" ]+)"?', about)
    return found[1] if found else ""


class _Rules:
    """What nft monitor does not tell: the hooks of chains, and rules in the words of iptables."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._hooks: dict[tuple[str, str], str] = {}
        self._texts: dict[tuple[str, str, str], str] = {}
        self._look_again = {"hooks": 0.0, "texts": 0.0}
        self._load_hooks()

    def hook(self, table: str, chain: str) -> str:
        """The hook of a chain; "" if packets come to it only by a jump."""
        if (table, chain) not in self._hooks and self._may_look("hooks"):
            self._load_hooks()
        return self._hooks.get((table, chain), "")

    def text(self, table: str, chain: str, text: str) -> str:
        """A rule in words, from those of nft monitor."""
        handle = _HANDLE.search(text)
        is_of_iptables = bool(_IPTABLES_CHAINS.fullmatch(table))
        if handle and (is_of_iptables or text.startswith("handle")):
            key = (table, chain, handle[1])
            if key not in self._texts and self._may_look("texts"):
                if is_of_iptables:
                    self._load_texts_of_iptables()
                else:
                    self._load_texts_of_nft(table)
            text = self._texts.get(key, text)
        return " ".join(re.sub(r"counter packets \d+ bytes \d+", "", _HANDLE.sub("", text)).split())

    def _may_look(self, what: str) -> bool:
        now = time.monotonic()
        if now < self._look_again[what]:
            return False
        self._look_again[what] = now + _LOOK_AGAIN_SECONDS
        return True

    def _load_hooks(self) -> None:
        listed = json.loads(sandbox.output_on_node(self._pid, ("nft", "--json", "list", "chains")))
        for entry in listed["nftables"]:
            if chain := entry.get("chain"):
                self._hooks[f"{chain['family']} {chain['table']}", chain["name"]] = chain.get("hook", "")

    def _load_texts_of_nft(self, table: str) -> None:
        for chain, rules in self._listed(table).items():
            self._texts |= {(table, chain, handle): rule for handle, rule in rules.items()}

    def _load_texts_of_iptables(self) -> None:
        """Tell rules of nft's list from those of iptables-save by their places: both go through each chain in order."""
        for family, save in (("ip", "iptables-save"), ("ip6", "ip6tables-save")):
            table = ""
            saved: dict[tuple[str, str], list[str]] = {}
            for line in sandbox.output_on_node(self._pid, (save,)).splitlines():
                if line.startswith("*"):
                    table = f"{family} {line[1:]}"
                elif line.startswith("-A "):
                    _, chain, rule = line.split(" ", 2)
                    saved.setdefault((table, chain), []).append(rule)
            for table in {table for table, _ in saved}:
                for chain, listed in self._listed(table).items():
                    rules = saved.get((table, chain), [])
                    if len(rules) == len(listed):  # else one was changed between the two lists
                        self._texts |= {
                            (table, chain, handle): rule for handle, rule in zip(listed, rules, strict=True)
                        }

    def _listed(self, table: str) -> dict[str, dict[str, str]]:
        """The rules of a table as nft lists them: chain → handle → rule, in order."""
        rules: dict[str, dict[str, str]] = {}
        chain = ""
        listed = sandbox.output_on_node(self._pid, ("nft", "--handle", "list", "table", *table.split()))
        for line in listed.splitlines():
            if begins := re.match(r"\tchain (\S+) \{", line):
                chain = begins[1]
            elif line.startswith("\t\t") and (handle := _HANDLE.search(line)):
                rules.setdefault(chain, {})[handle[1]] = line.strip()
        return rules
