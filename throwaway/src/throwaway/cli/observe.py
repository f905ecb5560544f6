"""Seeing what happens on a node: capture, trace."""

import json
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click

from throwaway import capture as captures
from throwaway import trace as traces
from throwaway.cli.common import find_embedded, name_option
from throwaway.cli.completion import complete_machine
from throwaway.cli.reports import Output, output_option

_seconds_option = click.option(
    "--seconds", type=click.FloatRange(0, min_open=True), metavar="N", help="End after N seconds."
)
_count_option = click.option("--count", type=click.IntRange(1), metavar="N", help="End after N packets.")
_port = click.IntRange(1, 65535)


@click.command()
@name_option
@click.option("--interface", default="any", show_default=True, metavar="NAME", help="Which interface of the node.")
@click.option(
    "--write",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.pcap",
    help="Write the packets to this file too, as Wireshark reads it.",
)
@_count_option
@_seconds_option
@output_option
@click.argument("node", shell_complete=complete_machine)
@click.argument("filter_words", nargs=-1, metavar="[FILTER]...")
def capture(
    name: str,
    interface: str,
    write: Path | None,
    count: int | None,
    seconds: float | None,
    output: Output,
    node: str,
    filter_words: tuple[str, ...],
) -> None:
    """Show a node's packets as they pass.

    \b
    throwaway capture worker1 tcp port 30080 or 5678

    It runs until Ctrl+C. The example names a NodePort and the port of the Pods, which DNAT makes of it on the way.
    FILTER is one of tcpdump's (man pcap-filter), as in 'host 10.244.1.2', 'udp port 53' or
    'tcp[tcpflags] & tcp-syn != 0'.

    A packet that passes through is seen when it comes in and when it goes out; 'other' is one that an interface hears
    though it is for another machine. With --output json each line is an object.
    """  # noqa: D301 - click looks for the backspace itself
    running = captures.start(find_embedded(name), node, filter_words, interface, write, count or 0)
    click.echo(f"Capturing on {node}; Ctrl+C ends it.", err=True)
    seen = 0
    with _until(running.stop, seconds):
        for packet in running.packets():
            seen += 1
            _print(json.dumps(asdict(packet)) if output == "json" else _packet_in_words(packet))
    if dropped := running.dropped():
        click.echo(f"{_counted(dropped)} more passed too fast to be seen; name a FILTER", err=True)
    click.echo(f"{_counted(seen)}{f', written to {write}' if write else ''}", err=True)


@click.command()
@name_option
@click.option("--port", type=_port, default=None, metavar="N", help="Connections to this port, as the client calls it.")
@click.option("--protocol", type=click.Choice(traces.PROTOCOLS), help="Connections of this protocol.")
@click.option("--from", "source", default="", metavar="ADDRESS", help="Connections from this address.")
@click.option("--to", "destination", default="", metavar="ADDRESS", help="Connections to it, as the client calls it.")
@click.option("--all", "everything", is_flag=True, help="Every packet, answers too, and every rule on the way.")
@_count_option
@_seconds_option
@output_option
@click.argument("node", shell_complete=complete_machine)
def trace(
    name: str,
    port: int | None,
    protocol: str | None,
    source: str,
    destination: str,
    everything: bool,
    count: int | None,
    seconds: float | None,
    output: Output,
    node: str,
) -> None:
    """Show which rules a packet meets on a node.

    \b
    throwaway trace worker1 --port 30080

    It runs until Ctrl+C. Now connect from elsewhere, for instance by 'throwaway shell -- curl …'. Of each
    connection the first packet is shown, since NAT is decided by it, and of the rules those that had an effect:
    first what the packet was, then hook, chain and rule, then what DNAT and SNAT made of its addresses.
    """  # noqa: D301 - click looks for the backspace itself
    cluster = find_embedded(name)
    wanted = traces.Wanted(port or 0, protocol or "", source, destination)
    running = traces.Tracer(cluster, node, wanted, everything)
    if not traces.sees_iptables(cluster, node):
        click.echo(
            "This machine's iptables is the legacy one: its rules cannot be traced, only what they do to addresses."
            " Kube-proxy's mode nftables is not concerned.",
            err=True,
        )
    click.echo(f"Tracing on {node}; Ctrl+C ends it.", err=True)
    seen = 0
    with _until(running.stop, seconds):
        for found in running.traces():
            seen += 1
            if not everything:
                found.steps = traces.essential(found.steps)
            _print(json.dumps(asdict(found)) if output == "json" else _trace_in_words(found))
            if seen == count:
                break
    click.echo(_counted(seen), err=True)


@contextmanager
def _until(stop: Callable[[], None], seconds: float | None) -> Iterator[None]:
    """Have Ctrl+C, and the end of so many seconds, stop what runs in the block; it then ends in order."""
    timer = threading.Timer(seconds or 0, stop)
    timer.daemon = True
    before = signal.signal(signal.SIGINT, lambda *_: stop())
    try:
        if seconds:
            timer.start()
        yield
    finally:
        timer.cancel()
        stop()
        signal.signal(signal.SIGINT, before)


def _print(text: str) -> None:
    click.echo(text)
    sys.stdout.flush()


def _counted(packets: int) -> str:
    return "1 packet" if packets == 1 else f"{packets} packets"


def _packet_in_words(packet: captures.Packet) -> str:
    moment = f"{time.strftime('%H:%M:%S', time.localtime(packet.time))}.{int(packet.time % 1 * 1e6):06d}"
    where = f"{packet.interface:<12} {packet.direction:<4}"
    # What a connection's two sides have agreed on is of no use to a reader of addresses.
    text = re.sub(r", options \[[^]]*\]", "", packet.text)
    if not packet.source:
        return f"{moment} {where} {packet.protocol} {text}"
    source = _end_in_words(packet.source, packet.source_port, packet.source_name)
    destination = _end_in_words(packet.destination, packet.destination_port, packet.destination_name)
    return f"{moment} {where} {source} → {destination}: {text}"


def _end_in_words(address: str, port: int, name: str) -> str:
    shown = (f"[{address}]:{port}" if ":" in address else f"{address}:{port}") if port else address
    return _named(shown, name)


def _named(end: str, name: str) -> str:
    return f"{end} ({name})" if name else end


def _trace_in_words(found: traces.Trace) -> str:
    source, destination = _named(found.source, found.source_name), _named(found.destination, found.destination_name)
    came = f"in by {found.interface}" if found.interface else "sent by the node itself"
    lines = [f"{found.protocol} {source} → {destination}, {came}{', an answer' if found.is_answer else ''}".lstrip()]
    hook = ""
    for step in found.steps:
        lines.append(f"  {step.hook if step.hook != hook else '':<12} {_step_in_words(step, found.is_answer)}")
        hook = step.hook
    final = f"{found.final_source} → {found.final_destination}"
    ends = {
        "left": f"out by {found.out_interface}: {final}",
        "stayed": f"for the node itself: {final}",
        "dropped": "dropped",
        "lost": "taken no further by the kernel",
    }
    return "\n".join([*lines, f"  {ends[found.outcome]}", ""])


def _step_in_words(step: traces.Step, is_answer: bool) -> str:
    if step.kind in ("dnat", "snat"):
        what = step.kind.upper()
        if is_answer:  # its source is what had been the destination
            what = f"{'SNAT' if what == 'DNAT' else 'DNAT'} taken back"
        return f"{what}: {step.before} → {_named(step.after, step.name)}"
    if step.kind == "policy":
        return f"{step.chain}: policy {step.verdict}"
    # Rules that jump or translate say so themselves, but for those that look their verdict up.
    verb, _, target = step.verdict.partition(" ")
    is_said = verb == "continue" or f" {target or verb}".lower() in f" {step.rule}".lower()
    is_said |= verb == "accept" and bool(re.search(r"\b(dnat|snat|masquerade|redirect)\b", step.rule.lower()))
    return f"{step.chain}: {step.rule}{'' if is_said else f' → {step.verdict}'}"
