"""The command line as a user calls it, and what its tests look at."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO


@dataclass
class CommandLine:
    """`throwaway` as a program."""

    started: set[str] = field(default_factory=set)
    """Names given to `up`."""

    def __call__(self, *arguments: str, timeout: float = 180) -> "subprocess.CompletedProcess[str]":
        """Run it to its end and return its output and exit code."""
        with self.start(*arguments) as process:
            try:
                output, error = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        return subprocess.CompletedProcess(arguments, process.returncode, output, error)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start it, in a process group of its own."""
        if arguments[0] == "up":
            self.started.add(arguments[arguments.index("--name") + 1])
        return subprocess.Popen(
            [sys.executable, "-m", "throwaway", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def end(self) -> None:
        """End every cluster that was asked for."""
        for name in self.started:
            self("down", "--name", name)


def next_line(process: "subprocess.Popen[str]", seconds: float = 60) -> str:
    """The next line that a program prints; it is killed, and "" returned, when none has come after so many seconds."""
    return _next_line(process, process.stdout, seconds)


def next_complaint(process: "subprocess.Popen[str]", seconds: float = 60) -> str:
    """The same of its standard error."""
    return _next_line(process, process.stderr, seconds)


def _next_line(process: "subprocess.Popen[str]", stream: "IO[str] | None", seconds: float) -> str:
    assert stream
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        return stream.readline()
    finally:
        timer.cancel()


def rest(process: "subprocess.Popen[str]", seconds: float = 60) -> tuple[str, str]:
    """What a program prints, and complains of, after the lines that were read, until it ends; killed after so long.

    `Popen.communicate` would lose what Python has read ahead of those lines.
    """
    assert process.stdout and process.stderr
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        with ThreadPoolExecutor(1) as pool:
            complaints = pool.submit(process.stderr.read)
            output = process.stdout.read()
            process.wait()
            return output, complaints.result()
    finally:
        timer.cancel()


def eventually(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Poll a condition until it is true; fails, saying what was waited for, after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so within {seconds:.0f} s: {what}"
        time.sleep(0.1)


def descendants(pid: int) -> set[int]:
    """A process, and all that it started directly or through others."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rsplit(")", 1)[1].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def running(pids: Iterable[int]) -> set[int]:
    """Those processes that have not ended."""
    return {pid for pid in pids if Path(f"/proc/{pid}").exists()}


def commands() -> dict[int, str]:
    """The command lines of all processes on this machine, with a space behind each word."""
    return {int(path.name): command_of(int(path.name)) for path in Path("/proc").glob("[0-9]*")}


def command_of(pid: int) -> str:
    """The command line of a process, with a space behind each word; "" if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def sandbox_processes(name: str) -> list[int]:
    """The processes on this machine that belong to a cluster, found by the command line of their inits."""
    return [pid for pid, line in commands().items() if {"throwaway.init", name} <= set(line.split(" "))]
