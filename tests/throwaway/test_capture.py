"""`throwaway capture` on a real cluster: the packets of a connection, their names, and the file."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from command_line import CommandLine, descendants, eventually, next_complaint, next_line, rest, running
from echo_service import NODE_PORT, POD_PORT, answer, deploy, remove
from throwaway import capture
from throwaway.names import Names

WORKER1 = "172.30.0.12"


@pytest.fixture(scope="module")
def pods(throwaway: CommandLine, cluster_name: str) -> Iterator[dict[str, str]]:
    """The Pods of an echo Service, name → address."""
    yield deploy(throwaway, cluster_name, WORKER1)
    remove(throwaway, cluster_name)


def start(throwaway: CommandLine, name: str, *arguments: str) -> "subprocess.Popen[str]":
    """Start a capture on worker1; returns when it sees whatever passes."""
    process = throwaway.start("capture", "--name", name, "worker1", *arguments)
    assert next_complaint(process) == "Capturing on worker1; Ctrl+C ends it.\n"
    return process


def ended(process: "subprocess.Popen[str]") -> list[dict[str, Any]]:
    """The packets of a capture with JSON that ends by itself."""
    output, error = rest(process)
    assert process.returncode == 0, error
    return [json.loads(line) for line in output.splitlines()]


def sequence_number(text: str) -> str:
    """The TCP sequence number in tcpdump's words."""
    found = re.search(r"seq (\d+)", text)
    assert found, text
    return found[1]


def test_a_connections_packets_are_seen_before_and_after_nat_with_names(
    throwaway: CommandLine, cluster_name: str, pods: dict[str, str]
) -> None:
    opening = f"(tcp dst port {NODE_PORT} or tcp dst port {POD_PORT}) and tcp[tcpflags] == tcp-syn"
    process = start(throwaway, cluster_name, "--count", "1", "-o", "json", f"tcp dst port {NODE_PORT} and {opening}")
    answer(throwaway, cluster_name, WORKER1)
    (came,) = ended(process)
    assert (came["protocol"], came["interface"], came["direction"]) == ("tcp", "eth0", "in")
    assert (came["source"], came["source_name"]) == ("172.30.0.1", "throwaway shell")
    assert (came["destination"], came["destination_port"]) == (WORKER1, NODE_PORT)
    assert came["destination_name"] == "worker1, NodePort of default/echo"
    assert came["text"].startswith("Flags [S]")

    process = start(throwaway, cluster_name, "--seconds", "30", "-o", "json", opening)
    pod = answer(throwaway, cluster_name, WORKER1)
    number = ""
    assert process.stdout
    for line in process.stdout:
        went = json.loads(line)
        if went["destination_port"] == NODE_PORT:
            number = sequence_number(went["text"])  # NAT leaves it as it is, and the kubelet's probes have others
        elif went["direction"] == "out" and sequence_number(went["text"]) == number:
            break
    else:
        pytest.fail("the packet to the Pod was not seen")
    assert went["destination"] == pods[pod]
    assert went["destination_name"] == f"Pod default/{pod}"
    assert went["source_name"] == "worker1", "whichever of its addresses it asks with"
    process.send_signal(signal.SIGINT)
    ended(process)


def test_the_file_has_the_packets_that_were_shown(
    throwaway: CommandLine, cluster_name: str, pods: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "echo.pcap"
    process = start(
        throwaway, cluster_name, "--seconds", "30", "--write", str(file), "-o", "json", f"tcp port {NODE_PORT}"
    )
    answer(throwaway, cluster_name, WORKER1)
    shown = [next_line(process) for _ in range(6)]
    process.send_signal(signal.SIGINT)
    more = ended(process)
    read = subprocess.run(["tcpdump", "-n", "-r", file], capture_output=True, text=True, check=True)
    assert len(read.stdout.splitlines()) == len(shown) + len(more)
    assert file.stat().st_uid == os.getuid()


def test_in_words_a_question_to_dns_can_be_read(throwaway: CommandLine, cluster_name: str) -> None:
    process = start(throwaway, cluster_name, "--count", "1", "udp dst port 53")
    dig = ("dig", "+short", "@10.96.0.10", "kubernetes.default.svc.cluster.local")
    throwaway("exec", "--name", cluster_name, "worker1", "--", *dig)
    output, error = rest(process)
    assert " (worker1) → 10.244." in output
    assert ":53 (Pod kube-system/coredns-" in output
    assert "A? kubernetes.default.svc.cluster.local." in output
    assert error == "1 packet\n"


def test_it_ends_after_the_seconds_asked_for(throwaway: CommandLine, cluster_name: str) -> None:
    process = start(throwaway, cluster_name, "--seconds", "0.5", "-o", "json", "tcp port 1")
    assert ended(process) == []


def test_a_killed_capture_leaves_no_process(throwaway: CommandLine, cluster_name: str) -> None:
    process = start(throwaway, cluster_name, "tcp port 1")
    started = descendants(process.pid)
    assert len(started) == 5, "itself, and two tcpdumps, each with a process in between"
    process.kill()
    rest(process)
    eventually(lambda: not running(started), "all have ended", 20)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("tcp", "foo"), "tcpdump refuses on worker1: can't parse filter expression: syntax error"),
        (("--interface", "nope"), "tcpdump refuses on worker1: nope: No such device exists"),
        (("--write", "/not/there"), "/not/there cannot be written: No such file or directory"),
    ],
)
def test_what_cannot_be_captured_is_said_in_one_line(
    throwaway: CommandLine, cluster_name: str, arguments: tuple[str, ...], complaint: str
) -> None:
    done = throwaway("capture", "--name", cluster_name, "worker1", *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"throwaway: {complaint}\n")


def test_what_an_earlier_capture_has_written_is_not_lost_to_a_wrong_filter(
    throwaway: CommandLine, cluster_name: str, tmp_path: Path
) -> None:
    file = tmp_path / "earlier.pcap"
    file.write_bytes(b"earlier")
    refused = throwaway("capture", "--name", cluster_name, "--write", str(file), "worker1", "tcp", "foo")
    assert refused.returncode == 1
    assert file.read_bytes() == b"earlier"


def test_a_disk_that_is_full_is_said(throwaway: CommandLine, cluster_name: str) -> None:
    process = start(throwaway, cluster_name, "--count", "1", "--write", "/dev/full", "udp dst port 53")
    throwaway("exec", "--name", cluster_name, "worker1", "--", "dig", "+short", "@10.96.0.10", "kubernetes.default")
    _, error = rest(process)
    assert process.returncode == 1
    assert error == "throwaway: not all packets were written: /dev/full: No space left on device\n"


class NoNames:
    """Stands for the names of a cluster that knows none."""

    def of(self, address: str, port: int = 0) -> str:
        return ""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "1.5 veth1 Out IP6 fd00::1.40000 > fd00::2.80: Flags [S], length 0",
            ("veth1", "out", "tcp", "fd00::1", 40000, "fd00::2", 80),
        ),
        (
            "1.5 IP6 fe80::1 > ff02::1: ICMP6, router solicitation, length 8",
            ("any", "", "icmpv6", "fe80::1", 0, "ff02::1", 0),
        ),
        (
            "1.5 IP6 fe80::1 > ff02::16: HBH ICMP6, multicast listener report v2, 1 group record(s), length 28",
            ("any", "", "icmpv6", "fe80::1", 0, "ff02::16", 0),
        ),
        (
            "1.5 eth0  In  IP 192.0.2.1 > 192.0.2.2: ICMP echo request, id 1, seq 1, length 64",
            ("eth0", "in", "icmp", "192.0.2.1", 0, "192.0.2.2", 0),
        ),
        (
            "1.5 eth0  B   ARP, Request who-has 192.0.2.1 tell 192.0.2.2, length 28",
            ("eth0", "broadcast", "arp", "", 0, "", 0),
        ),
        (
            "1.5 eth0  In  IP 192.0.2.1.9 > 192.0.2.2.53: 1+ A? example.org. (29)",
            ("eth0", "in", "udp", "192.0.2.1", 9, "192.0.2.2", 53),
        ),
        (
            "1.5 eth0  In  IP 192.0.2.1.9 > 192.0.2.2.80: sctp (1) [INIT] [init tag: 1]",
            ("eth0", "in", "sctp", "192.0.2.1", 9, "192.0.2.2", 80),
        ),
    ],
)
def test_lines_of_tcpdump_are_understood(line: str, expected: tuple[object, ...]) -> None:
    packet = capture.parse(line, "any", cast(Names, NoNames()))
    assert packet
    ends = (packet.source, packet.source_port, packet.destination, packet.destination_port)
    assert (packet.interface, packet.direction, packet.protocol, *ends) == expected
    assert packet.time == 1.5
