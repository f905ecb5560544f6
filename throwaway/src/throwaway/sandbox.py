"""The sandbox from outside: start it, find it, enter it, end it.

A sandbox is one user, mount, network and PID namespace in which a whole cluster lives (see `init`, its first process).
Nothing on disk says that it exists: its first process holds a socket in Linux' abstract namespace, whose name goes
away with the process and cannot be taken twice.
"""

import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from throwaway import linux, on_node
from throwaway.boot import Boot, read_line
from throwaway.components import CONTROL, NODE_PATH, Component
from throwaway.errors import ThrowawayError
from throwaway.hints import which
from throwaway.plan import Plan
from throwaway.requirements import SUBORDINATE_IDS, first_subordinate_id
from throwaway.waiting import wait_until

# Ids for the sandbox of a root account: above all that useradd and systemd hand out (systemd, "Users, Groups, UIDs").
_FIRST_ID_FOR_ROOT = 0x70000000
_HANDSHAKE_SECONDS = 30.0
_END_SECONDS = 60.0
_NODE_ENVIRONMENT = {"PATH": NODE_PATH, "LC_ALL": "C"}
"""For programs whose output is read: their PATH may be another than this account's, their words are to be English."""
ACCOUNT_VARIABLE = "THROWAWAY_ACCOUNT"
"""The environment variable that tells programs in a cluster's network which account started them."""


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox."""

    name: str
    """The cluster's name."""
    pid: int
    """Its first process, as this process' PID namespace numbers it."""

    @property
    def root(self) -> Path:
        """Its file system, as seen from here."""
        return Path(f"/proc/{self.pid}/root")

    def node_pid(self, node: str) -> int:
        """The first process of a node, numbered as in this process' PID namespace."""
        inside = os.readlink(self.root / f"run/throwaway/node-{node}")
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
            except OSError:
                continue  # it has ended just now
            # NSpid is the process' number in each PID namespace, from the outermost that we see to its own.
            if int(fields["PPid"]) == self.pid and fields["NSpid"].split()[-2] == inside:
                return int(status.parent.name)
        raise ThrowawayError(
            f"node {node!r} of cluster {self.name!r} is dead;"
            f" 'throwaway node start{which(self.name)} {node}' brings a worker back"
        )

    def has_node(self, node: str) -> bool:
        """Whether a node's first process is alive."""
        try:
            return bool(self.node_pid(node))
        except (ThrowawayError, OSError):
            return False

    def tell(self, **command: Any) -> None:
        """Have the first process do something with a host; returns when it is done.

        `do` is `start` or `end`, `host` the node's or client's name; one that runs is ended before it is started. With
        `plan` the cluster has this plan from now on; a new host has `files` and `components`, see `Boot`. Components
        in `but_for` are not started; `do` is `run` to start one later, called `component`. Raises `ThrowawayError` when
        it fails.
        """
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_HANDSHAKE_SECONDS)
            try:
                connection.connect(f"{self.root}{CONTROL}")
                connection.sendall(json.dumps(command).encode() + b"\n")
                answer = read_line(connection)
            except OSError as error:
                answer = error.strerror or "no answer"
        if answer != "done":
            raise ThrowawayError(
                f"cluster {self.name!r} could not {command['do']} {command['host']!r}: {answer or 'the cluster ended'};"
                f" 'throwaway down{which(self.name)}' and 'throwaway up{which(self.name)}' make a new one"
            )

    def end(self) -> None:
        """Kill the first process, and so all; returns when none is left.

        That takes a second at most; raises `ThrowawayError` when the kernel needs longer than a minute.
        """
        with contextlib.suppress(ProcessLookupError, FileNotFoundError), os.fdopen(os.pidfd_open(self.pid)) as process:
            _check_owner(self.pid)
            signal.pidfd_send_signal(process.fileno(), signal.SIGKILL)
            if not select.select([process], [], [], _END_SECONDS)[0]:
                raise ThrowawayError(f"process {self.pid} was killed {_END_SECONDS:.0f} s ago and has not ended yet")


class Starting:
    """A sandbox that is being started: it lives on only if `keep` is reached."""

    def __init__(self, sandbox: Sandbox, control: socket.socket) -> None:
        self.sandbox = sandbox
        self.endings: Counter[tuple[str, str]] = Counter()
        """How often a component has ended: (Node, component) → times; for the caller's use."""
        self._control = control
        self._unread = ""

    def start(self, node: str, component: str) -> None:
        """Tell a node's init to start one of its components."""
        self._control.sendall(f"start {node} {component}\n".encode())

    def stop(self, node: str, component: str) -> None:
        """Stop one of a node's components; returns when it has ended, raises `ThrowawayError` when it does not."""
        self._control.sendall(f"stop {node} {component}\n".encode())
        wait_until(
            lambda: (ended := self.ended_component()) and ended[:2] == (node, component),
            f"{component} on {node} did not stop",
            _END_SECONDS,
        )

    def ended_component(self) -> tuple[str, str, int] | None:
        """A component that has ended since the last call, if any: (Node, component, exit code)."""
        while "\n" not in self._unread:
            if not select.select([self._control], [], [], 0)[0]:
                return None
            received = self._control.recv(4096).decode()
            if not received:
                raise ThrowawayError(f"cluster {self.sandbox.name!r} was ended by somebody else while it started")
            self._unread += received
        line, self._unread = self._unread.split("\n", 1)
        node, event, *rest = line.split(" ")
        if event != "exited":
            raise ThrowawayError(f"node {node!r} failed: {' '.join(rest)}")
        component, code = rest
        return node, component, int(code)

    def keep(self) -> None:
        """Let the sandbox outlive this process; returns when it counts as ready."""
        self._control.sendall(b"keep\n")
        self._control.settimeout(_HANDSHAKE_SECONDS)
        while (line := read_line(self._control)) != "kept":
            if not line:
                raise ThrowawayError(f"cluster {self.sandbox.name!r} ended just when it was ready; try again")
        self._control.close()


def _account() -> str:
    """The id of this account; in a shell of an ordinary account, where it seems to be 0, the one it has outside."""
    return os.environ.get(ACCOUNT_VARIABLE, str(os.getuid()))


def _presence_name(name: str) -> bytes:
    return f"\0throwaway/{_account()}/{name}".encode()


def find(name: str) -> Sandbox | None:
    """The sandbox of the cluster called `name` that this account has started, if there is one."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(_presence_name(name))
        except ConnectionRefusedError:
            return None
        pid, uid, _ = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    is_root = os.getuid() == 0 and _account() == "0"
    try:
        _check_owner(pid if uid == (_FIRST_ID_FOR_ROOT if is_root else os.getuid()) else None)
    except (ProcessLookupError, FileNotFoundError):
        return None  # it has ended just now
    return Sandbox(name, pid)


def names() -> list[str]:
    """The names of all clusters that this account has running, sorted."""
    prefix = f"@throwaway/{_account()}/"
    paths = (line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines())
    return sorted({path.removeprefix(prefix) for path in paths if path.startswith(prefix)})


def _check_owner(pid: int | None) -> None:
    """Any account may take any abstract name: believe only a process of ours in a user namespace that we made."""
    try:
        owner = linux.namespace_owner(pid) if pid is not None else None
    except PermissionError:
        owner = None
    if owner != os.getuid():
        raise ThrowawayError("another account's program has taken the name of this cluster; choose another --name")


def reserve(name: str) -> socket.socket | None:
    """Take the name of a cluster; None if a cluster has it already."""
    presence = socket.socket(socket.AF_UNIX)
    try:
        presence.bind(_presence_name(name))
    except OSError:
        presence.close()
        return None
    return presence


def start(
    plan: Plan,
    folders: dict[str, str],
    files: dict[str, dict[str, str]],
    components: dict[str, list[Component]],
    presence: socket.socket,
    listeners: Sequence[socket.socket],
) -> Starting:
    """Start a sandbox; returns when all its nodes exist, nothing running on them yet.

    For the arguments see `Boot`. The sockets go over to the sandbox and are closed here. Raises `ThrowawayError` when
    the kernel refuses or the sandbox does not answer in time.
    """
    control, theirs = socket.socketpair()
    boot = Boot(
        plan,
        folders,
        files,
        components,
        theirs.fileno(),
        [socket.fileno() for socket in listeners],
        presence.fileno(),
    )
    handed_over = (theirs, presence, *listeners)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "throwaway.init", plan.name],  # -P: no modules of the working folder
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=[socket.fileno() for socket in handed_over],
        start_new_session=True,  # Ctrl+C is for the command line, which then ends the sandbox itself
        text=True,
    )
    for handed in handed_over:
        handed.close()
    assert process.stdin
    process.stdin.write(boot.to_json())
    process.stdin.close()
    control.settimeout(_HANDSHAKE_SECONDS)
    try:
        _expect(control, "map", process)
        _map_ids(process.pid)
        control.sendall(b"mapped\n")
        _expect(control, "ready", process)
    except TimeoutError:
        process.kill()
        raise ThrowawayError(
            f"the sandbox gave no answer within {_HANDSHAKE_SECONDS:.0f} s: the machine may be overloaded; try again"
        ) from None
    control.settimeout(None)
    process.wait()
    sandbox = find(plan.name)
    if sandbox is None:
        raise ThrowawayError("the sandbox ended as soon as it had started; try again")
    return Starting(sandbox, control)


def _expect(control: socket.socket, message: str, process: "subprocess.Popen[str]") -> None:
    received = read_line(control)
    if received == message:
        return
    reason = received.removeprefix("failed ")
    if not reason:
        assert process.stderr
        process.kill()
        lines = process.stderr.read().strip().splitlines()
        reason = lines[-1] if lines else "it ended without a word"
    raise ThrowawayError(f"the sandbox could not be made: {reason}; 'throwaway setup' says what this machine lacks")


def _map_ids(pid: int) -> None:
    """Map the sandbox's ids 0 to 65535 to ids of this account, root's 0 to one that owns nothing on this machine."""
    if os.getuid() == 0:
        for kind in ("uid", "gid"):
            try:
                Path(f"/proc/{pid}/{kind}_map").write_text(f"0 {_FIRST_ID_FOR_ROOT} {SUBORDINATE_IDS + 1}\n")
            except OSError as error:
                raise ThrowawayError(
                    f"the kernel refuses ids to the sandbox ({error.strerror}): root of a container without many ids is"
                    " not enough; run as an ordinary account that has a range in /etc/subuid and /etc/subgid"
                ) from None
        return
    for kind, own in (("uid", os.getuid()), ("gid", os.getgid())):
        first = first_subordinate_id(kind)
        ranges = ["0", str(own), "1", "1", str(first), str(SUBORDINATE_IDS)]
        done = subprocess.run([f"new{kind}map", str(pid), *ranges], capture_output=True, text=True)
        if done.returncode:
            raise ThrowawayError(f"new{kind}map failed: {done.stderr.strip()}; 'throwaway setup' says what is missing")


def enter_network(sandbox: Sandbox) -> None:
    """Move this process into the cluster's network; it keeps the host's file system and its own account there.

    An ordinary account has to enter the user namespace as well, where its own id is shown as 0.
    """
    flags = linux.CLONE_NEWNET
    if os.getuid() != 0 and not linux.same_namespace(sandbox.pid, "user"):
        flags |= linux.CLONE_NEWUSER
    on_node.enter(sandbox.pid, flags)


def output_on_node(pid: int, argv: Sequence[str]) -> str:
    """Run a program on a node, as its root, and return what it prints; raises `ThrowawayError` with its complaint."""
    process = start_on_node(pid, argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    output, complaint = process.communicate()
    if process.returncode:
        lines = complaint.decode(errors="replace").strip().splitlines() or ["it gave no reason"]
        raise ThrowawayError(f"{argv[0]} failed on a node: {lines[0]}")
    return output.decode(errors="replace")


def start_on_node(pid: int, argv: Sequence[str], **streams: Any) -> "subprocess.Popen[bytes]":
    """Start a program on a node, as its root, beside this process; it is killed when this process ends.

    `streams` are `stdin`, `stdout` and `stderr` as `subprocess.Popen` takes them. Ctrl+C does not reach the program.
    What is returned is a process in between, which passes SIGTERM on and ends as the program does. Raises
    `ThrowawayError` when the node has ended.
    """
    parent = os.getpid()

    def enter() -> None:
        on_node.become_root(pid)
        child = os.fork()  # only a child is in the PID namespace, and so finds itself in /proc
        if child == 0:
            linux.die_with_parent()
            return
        signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
        # Of programs whose parent was killed some were left, a few in a hundred: so this one outlives its own to kill.
        signal.signal(signal.SIGHUP, lambda *_: os.kill(child, signal.SIGKILL))
        linux.die_with_parent(signal.SIGHUP)  # after the change of ids, which would take it back
        if os.getppid() != parent:
            os.kill(child, signal.SIGKILL)
        os.closerange(0, 65536)  # the streams are the program's
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os._exit(code if code >= 0 else 128 - code)

    try:
        return subprocess.Popen(list(argv), preexec_fn=enter, env=_NODE_ENVIRONMENT, start_new_session=True, **streams)
    except subprocess.SubprocessError:  # in `enter`
        raise ThrowawayError(f"{argv[0]} cannot be run on a node: the node has ended") from None
