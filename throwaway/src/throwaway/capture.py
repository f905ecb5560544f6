"""The packets of a node as they pass, by tcpdump.

Why tcpdump: it runs in the sandbox's user namespace as it is, for root and for an ordinary account, and its words
(filters, flags, what is in a DNS query) are those that a reader meets elsewhere. Scapy, the Python library that was
tried, takes 3 s of processor time to be imported, and needs tcpdump's own libpcap to understand a filter.

It runs twice on the node. One captures, and its only output is a pipe, because what a node writes to a file would
lie in the sandbox. The other decodes, there too, since only there the numbers of interfaces have their names. Between
them `tee` writes the file, as the user on the user's machine.
"""

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from throwaway import requirements, sandbox
from throwaway.cluster import Cluster
from throwaway.errors import ThrowawayError
from throwaway.names import Names

_DIRECTIONS = {"In": "in", "Out": "out", "B": "broadcast", "M": "multicast", "P": "other"}
"""How tcpdump marks packets → how we do; see the packet types of pcap's LINKTYPE_LINUX_SLL2."""

_LINE = re.compile(
    r"(?P<time>\d+\.\d+) "
    r"(?:(?P<interface>\S+) +(?P<direction>In|Out|B|M|P) +)?"  # not there when a single interface is watched
    r"(?P<family>IP6|IP|ARP),? "
    r"(?:(?P<source>\S+) > (?P<destination>\S+): )?"
    r"(?P<text>.*)"
)
_BUFFER_KIB = 32768
"""How much may wait for tcpdump: 512 packets. It gives each 64 KiB, and by default 2 MiB to all, which a busy machine's
burst overflows."""
_BEGINNINGS = (("Flags [", "tcp"), ("sctp", "sctp"), ("ICMP6", "icmpv6"), ("HBH ICMP6", "icmpv6"), ("ICMP", "icmp"))
"""How tcpdump's description of a packet begins → the packet's protocol."""


@dataclass(frozen=True)
class Packet:
    """A packet that has passed an interface of a node."""

    time: float
    """When, in seconds since 1970."""
    interface: str
    """The node's interface."""
    direction: str
    """`in`, `out`, `broadcast` or `multicast` (both in), `other` (not for this node); "" where it is not known."""
    protocol: str
    """`tcp`, `udp`, `sctp`, `icmp`, `icmpv6` or `arp`; "" for others."""
    source: str
    """Address that it comes from; "" for ARP."""
    source_port: int
    """Port that it comes from; 0 where there is none."""
    source_name: str
    """What that address is in the cluster; "" if it is nothing there."""
    destination: str
    """Address that it goes to; "" for ARP."""
    destination_port: int
    """Port that it goes to; 0 where there is none."""
    destination_name: str
    """What that address is in the cluster; "" if it is nothing there."""
    text: str
    """What else tcpdump says of it."""


@dataclass(frozen=True)
class Capture:
    """A capture that runs; packets that pass from now on are seen."""

    node: str
    """The node's name."""
    interface: str
    """Which interface, or `any`."""
    names: Names
    """Names for addresses."""
    capturing: "subprocess.Popen[bytes]"
    """The program that captures."""
    decoding: "subprocess.Popen[bytes]"
    """The program that puts into words what was captured."""
    writing: "subprocess.Popen[bytes] | None" = None
    """The program that writes them to a file, if there is one."""

    def packets(self) -> Iterator[Packet]:
        """The packets as they pass, until `count` of them have, or `stop` is called.

        Raises `ThrowawayError` when tcpdump fails, or the file takes no more.
        """
        assert self.decoding.stdout and self.capturing.stderr
        for line in self.decoding.stdout:
            if packet := parse(line.decode(errors="replace").rstrip("\n"), self.interface, self.names):
                yield packet
        if self.writing and self.writing.wait():
            assert self.writing.stderr
            said = self.writing.stderr.read().decode(errors="replace").strip()
            raise ThrowawayError(f"not all packets were written: {said.removeprefix('tee: ')}")
        if self.capturing.wait() > 0:
            raise ThrowawayError(f"tcpdump failed on {self.node}: {_complaint(self.capturing.stderr.readlines())}")
        if code := self.decoding.wait():
            raise ThrowawayError(f"the tcpdump that puts packets into words ended with {code} on {self.node}")

    def dropped(self) -> int:
        """How many packets were not seen, since they came faster than tcpdump took them; once `packets` has ended."""
        assert self.capturing.stderr
        found = re.search(rb"(\d+) packets? dropped by kernel", self.capturing.stderr.read())
        return int(found[1]) if found else 0

    def stop(self) -> None:
        """End it in order: what was captured still comes out of `packets`."""
        self.capturing.terminate()


def start(
    cluster: Cluster,
    node: str,
    filter_words: Sequence[str] = (),
    interface: str = "any",
    write: Path | None = None,
    count: int = 0,
) -> Capture:
    """Begin a capture on a node.

    `filter_words` are as pcap-filter(7) has them, `write` is a pcap file of this machine to be written as well, and
    `count` ends the capture after so many packets. Raises `ThrowawayError` for what tcpdump refuses, for a file that
    cannot be written, and where there is no tcpdump.
    """
    requirements.require_optional("tcpdump")
    pid = cluster.node_pid(node)
    if write:
        _check_writable(write)
    # -U and --immediate-mode: no packet waits for the next one. -Z: its own account need not be known on the node.
    capture = ["tcpdump", "-n", "-U", "--immediate-mode", "-Z", "root", "-i", interface, "-w", "-"]
    capture += ["-B", str(_BUFFER_KIB)]
    capture += [*(["-c", str(count)] if count else []), "--", *filter_words]
    pipe = subprocess.PIPE
    capturing = sandbox.start_on_node(pid, capture, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)
    assert capturing.stdout
    _wait_until_listening(capturing, node)
    packets = capturing.stdout
    tee = None
    if write:
        # Only now is what an earlier capture has written lost.
        tee = subprocess.Popen(["tee", write], stdin=packets, stdout=pipe, stderr=pipe, start_new_session=True)
        packets.close()
        assert tee.stdout
        packets = tee.stdout
    decode = ["tcpdump", "-n", "-tt", "-l", "-Z", "root", "-r", "-"]
    decoding = sandbox.start_on_node(pid, decode, stdin=packets, stdout=pipe, stderr=subprocess.DEVNULL)
    packets.close()
    return Capture(node, interface, Names(cluster), capturing, decoding, tee)


def parse(line: str, interface: str, names: Names) -> Packet | None:
    """The packet of a line of tcpdump's; None if the line is none. `interface` is the one that is watched."""
    found = _LINE.match(line)
    if not found:
        return None
    family, text = found["family"], found["text"]
    source, source_port = _address(found["source"])
    destination, destination_port = _address(found["destination"])
    known = [protocol for beginning, protocol in _BEGINNINGS if text.startswith(beginning)]
    # What uses ports and begins otherwise is put into the words of its own protocol, such as DNS.
    protocol = "arp" if family == "ARP" else known[0] if known else "udp" if destination_port else ""
    return Packet(
        time=float(found["time"]),
        interface=found["interface"] or interface,
        direction=_DIRECTIONS.get(found["direction"], ""),
        protocol=protocol,
        source=source,
        source_port=source_port,
        source_name=names.of(source, source_port) if source else "",
        destination=destination,
        destination_port=destination_port,
        destination_name=names.of(destination, destination_port) if destination else "",
        text=text,
    )


def _address(text: str | None) -> tuple[str, int]:
    """Address and port of `192.0.2.1.80`, `2001:db8::1.80`, or either without a port."""
    if not text:
        return "", 0
    has_port = "." in text if ":" in text else text.count(".") == 4
    address, port = text.rsplit(".", 1) if has_port else (text, "0")
    return address, int(port)


def _check_writable(path: Path) -> None:
    try:
        path.open("ab").close()
    except OSError as error:
        raise ThrowawayError(f"{path} cannot be written: {error.strerror}") from None


def _wait_until_listening(capturing: "subprocess.Popen[bytes]", node: str) -> None:
    assert capturing.stderr
    said = []
    for line in capturing.stderr:
        if b"listening on" in line:
            return
        said.append(line)
    raise ThrowawayError(f"tcpdump refuses on {node}: {_complaint(said)}")


def _complaint(said: list[bytes]) -> str:
    """The line of tcpdump's that says what is wrong."""
    words = [line.decode(errors="replace").strip().removeprefix("tcpdump: ") for line in said]
    wrong = [line for line in words if not line.startswith(("data link type", "WARNING", "verbose output"))]
    return wrong[0] if wrong else "it gave no reason"
