"""The first process of the sandbox, and of each node in it: makes the namespaces, starts components, reaps.

`sandbox.start` runs this module as a program and tells it over stdin what to make (`Boot`). Its life is the cluster's:
as PID 1 of the sandbox's PID namespace it takes every other process with it when it ends, and with the last process go
the mounts, links and rules, since all of them belong to namespaces that nobody else holds.

It imports only the standard library, all of it before the sandbox hides `/tmp` and `/var`, and before an ordinary
account's ids replace root's: later the interpreter's own files may be out of reach.
"""

import asyncio
import contextlib
import ipaddress
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from throwaway import linux
from throwaway.boot import Boot, read_line
from throwaway.components import (
    CONTROL,
    ENVIRONMENT,
    ETCD_DATA,
    ETCD_STORE,
    FOLDER,
    IMAGES,
    KEPT,
    LOGS,
    NODE_PATH,
    PLAN,
    Component,
)
from throwaway.plan import API_PORT, Host, Node, Plan, plan_from_dict

_RESTART_AFTER_SECONDS = 1.0
_COMMAND_BYTES = 2**20
_NODE_NAMESPACES = linux.CLONE_NEWNS | linux.CLONE_NEWNET | linux.CLONE_NEWPID | linux.CLONE_NEWUTS | linux.CLONE_NEWIPC


def main() -> None:
    """Enter new namespaces and become, by a fork, their first process."""
    boot = Boot.from_json(sys.stdin.read())
    os.environ["PATH"] = NODE_PATH  # where programs are looked up
    control = socket.socket(fileno=boot.control)
    try:
        _enter_namespaces(boot, control)
    except OSError as error:
        control.sendall(f"failed {error}\n".encode())
        raise SystemExit(1) from None


def _enter_namespaces(boot: Boot, control: socket.socket) -> None:
    folders = dict(boot.folders)
    if os.getuid() == 0:
        # Root's own folders may be closed to the account that root becomes below: show them elsewhere first.
        linux.unshare(linux.CLONE_NEWNS)
        linux.mount("none", "/", flags=linux.MS_REC | linux.MS_SLAVE)
        linux.mount("tmpfs", "/run", "tmpfs", options="mode=755")
        for number, (target, source) in enumerate(folders.items()):
            folders[target] = f"/run/{number}"
            os.mkdir(folders[target])
            linux.bind(source, folders[target])
    linux.unshare(linux.CLONE_NEWUSER)
    control.sendall(b"map\n")  # ids can be mapped from outside only
    if read_line(control) != "mapped":
        raise SystemExit(1)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    os.setgroups([])
    linux.unshare(_NODE_NAMESPACES)
    if os.fork():
        return
    _run_as_first_process(lambda: _run_sandbox(boot, folders, control), control)


def _run_as_first_process(run: Callable[[], None], control: socket.socket) -> None:
    linux.set_dumpable()
    try:
        run()
    except BaseException as error:
        traceback.print_exc()
        control.sendall(f"failed {type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(1)  # never unwind into the caller's code: this process is a fork of it


def _run_sandbox(boot: Boot, folders: dict[str, str], control: socket.socket) -> None:
    linux.make_mounts_read_only("/")
    _make_private_mounts(folders)
    _write_files(boot.files[""])
    _log_to(f"{FOLDER}/init.log")
    _ip(
        "link set lo up",
        "link add nodes type bridge",
        "link set nodes up",
        *_addresses(boot.plan, boot.plan.gateways, "nodes"),
    )
    # The same two sockets in the sandbox's network, so that what runs in there finds the cluster as the host does.
    presence = socket.socket(fileno=boot.presence)
    presences = [presence, _unix_socket(presence.getsockname())]
    listeners = [socket.socket(fileno=fd) for fd in boot.listeners]
    listeners += [socket.create_server(listener.getsockname()) for listener in listeners]
    hosts = _Hosts(boot, control)
    for host in boot.plan.hosts:
        hosts.start(host)
    asyncio.run(_serve_sandbox(boot, hosts, control, presences, listeners))


def _unix_socket(name: bytes | str) -> socket.socket:
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(name)
    return unix


def _make_private_mounts(folders: dict[str, str]) -> None:
    """Give this mount namespace its own /run, /var, /tmp, /proc and /sys; keep `folders` visible in them."""
    # As slaves, the host's mounts stay in nobody's way: what is unmounted there is unmounted here as well.
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_SLAVE)
    kept = {target: os.open(source, os.O_PATH) for target, source in folders.items()}
    cgroups = os.open("/sys/fs/cgroup", os.O_PATH)
    linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
    for path in ("/run", "/var", "/tmp"):
        linux.mount("tmpfs", path, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=755")
        linux.mount("none", path, flags=linux.MS_SHARED)  # the kubelet's and containerd's mounts reach each other
    for path in ("/var/lib", "/var/log", "/var/tmp", LOGS):
        os.makedirs(path)
    os.symlink("/run", "/var/run")
    linux.mount("sysfs", "/sys", "sysfs", linux.MS_RDONLY | linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
    linux.bind(f"/proc/self/fd/{cgroups}", "/sys/fs/cgroup", linux.MS_REC)  # cAdvisor watches it
    for target, fd in kept.items():
        os.makedirs(target)
        linux.bind(f"/proc/self/fd/{fd}", target)
        os.close(fd)
    os.close(cgroups)


def _write_files(texts: dict[str, str]) -> None:
    """Write files, each at once: who reads one meanwhile sees the old text or the new one."""
    os.umask(0o022)
    for path, text in texts.items():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        os.rename(f"{path}.new", path)


def _log_to(path: str) -> None:
    for fd, target in ((0, os.devnull), (1, path), (2, path)):
        opened = os.open(target, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(opened, fd)
        os.close(opened)


def _ip(*commands: str) -> None:
    """Run several commands of iproute2 in one process; raises `OSError` with its message."""
    done = subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"ip: {done.stderr.strip()}")


def _addresses(plan: Plan, addresses: Iterable[str], link: str) -> list[str]:
    """Commands of iproute2 that give a link on the nodes' network its address of each IP family."""
    prefixes = [subnet.split("/")[1] for subnet in plan.node_subnets]
    # nodad: nobody else can have the address, and looking for one who has takes two seconds.
    return [
        f"addr add {address}/{prefix} dev {link}{' nodad' if ':' in address else ''}"
        for address, prefix in zip(addresses, prefixes, strict=True)
    ]


def _link(host: Host) -> str:
    """The name of a host's link on the bridge, made of the last part of its primary address."""
    return f"veth{int(ipaddress.ip_address(host.address)) % 256}"


def _start_node(boot: Boot, link: str, host: Host) -> tuple[int, socket.socket]:
    """Start a node's init in namespaces of its own and join it to the bridge.

    Returns its process id and the socket to control it. A client is made like a node; it has fewer files, no routes to
    Pods, and nothing is started on it.
    """
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        linux.unshare(_NODE_NAMESPACES)
        pid = os.fork()
        if pid == 0:
            _run_as_first_process(lambda: _run_node(boot, host, theirs), theirs)
        theirs.sendall(f"{pid}\n".encode())
        os._exit(0)
    theirs.close()
    pid = int(read_line(ours))
    with contextlib.suppress(OSError):
        _ip(f"link delete {link}")  # of a node that has just ended: the kernel removes it a moment later
    # The same address after a restart, so that nobody's table of neighbours is wrong for a while.
    hardware = f"02:00:00:00:00:{int(link.removeprefix('veth')):02x}"
    _ip(
        f"link add {link} type veth peer name eth0 address {hardware} netns {pid}",
        f"link set {link} master nodes up",
    )
    pointer = f"{FOLDER}/node-{host.name}"
    os.symlink(str(pid), f"{pointer}.new")
    os.rename(f"{pointer}.new", pointer)
    ours.sendall(b"connected\n")
    return pid, ours


def _run_node(boot: Boot, host: Host, control: socket.socket) -> None:
    _drop_what_belongs_to_the_sandbox(control)
    socket.sethostname(host.name)
    _make_private_mounts({path: path for path in boot.folders})
    _write_files(boot.files.get(host.name, {}))
    if isinstance(host, Node):
        _copy_stores(host)
    if read_line(control) != "connected":
        raise SystemExit(1)
    if isinstance(host, Node):
        _set_sysctls(boot.plan)
    _ip(
        "link set lo up",
        *_addresses(boot.plan, host.addresses, "eth0"),
        "link set eth0 up",
        *(f"route add default via {gateway}" for gateway in boot.plan.gateways),
        *(_routes_to_pods(boot.plan, host) if isinstance(host, Node) else ()),
    )
    if isinstance(host, Node):
        _masquerade_pods(boot.plan, host)
    components = {component.name: component for component in boot.components.get(host.name, [])}
    asyncio.run(_serve_node(components, control))


def _drop_what_belongs_to_the_sandbox(control: socket.socket) -> None:
    """Close all but one's own socket: held on to, the others would outlive the sandbox's and keep its name taken."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    asyncio.events._set_running_loop(None)  # this process may be a fork of one that runs it
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd > 2 and fd != control.fileno():
            with contextlib.suppress(OSError):  # the listing's own
                os.close(fd)


def _masquerade_pods(plan: Plan, node: Node) -> None:
    """Let Pods reach what is no Pod by their node's address, as kindnet and most network plugins do."""
    rules = []
    for own, every in zip(node.pod_subnets, plan.pod_subnets, strict=True):
        family = "ip6" if ":" in own else "ip"
        rules += [
            f"add table {family} pods",
            f"add chain {family} pods outside {{ type nat hook postrouting priority srcnat; }}",
            f"add rule {family} pods outside {family} saddr {own} {family} daddr != {every} masquerade",
        ]
    done = subprocess.run(["nft", "-f", "-"], input="\n".join(rules), capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"nft: {done.stderr.strip()}")


def _copy_stores(node: Node) -> None:
    if os.path.isdir(IMAGES):
        _use_image_store(Path(IMAGES), Path("/var/lib/containerd"))
    if node.is_control_plane and os.path.isdir(ETCD_STORE):
        shutil.copytree(ETCD_STORE, ETCD_DATA, copy_function=shutil.copyfile)


def _set_sysctls(plan: Plan) -> None:
    """Make a router of this node, for its Pods; in its own network namespace, as all of these are."""
    sysctls = {"ipv4/ip_forward": 1, "ipv4/conf/all/rp_filter": 0, "ipv4/conf/default/rp_filter": 0}
    if plan.has_ipv6:
        sysctls |= {"ipv6/conf/all/forwarding": 1, "ipv6/conf/default/accept_dad": 0}
    for sysctl, value in sysctls.items():
        Path(f"/proc/sys/net/{sysctl}").write_text(str(value))


def _routes_to_pods(plan: Plan, node: Node) -> list[str]:
    """Commands of iproute2 that lead to the Pods of the other nodes."""
    return [
        f"route add {subnet} via {address}"
        for other in plan.nodes
        if other != node
        for subnet, address in zip(other.pod_subnets, other.addresses, strict=True)
    ]


def _use_image_store(store: Path, root: Path) -> None:
    """Give containerd the images of a store (see `image_store`): a copy of its two databases, links to all else.

    Layers and blobs are never changed once they are written, and deleting a link leaves the store as it is.
    """
    for path in store.glob("*/*.db"):
        target = root / path.relative_to(store)
        target.parent.mkdir(parents=True)
        shutil.copyfile(path, target)
    for path in (*store.glob("*/snapshots/*"), *store.glob("*/blobs/sha256/*")):
        target = root / path.relative_to(store)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path)


def _reap() -> Iterable[tuple[int, int]]:
    """The processes that have ended: (pid, exit code or minus the signal)."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            yield ended[0], os.waitstatus_to_exitcode(ended[1])


async def _serve_node(components: dict[str, Component], control: socket.socket) -> None:
    """Start and stop components as told by lines `start NAME` and `stop NAME`, and report each that ends.

    One that was not told to stop is started again after a moment.
    """
    running: dict[int, Component] = {}
    stopped: set[str] = set()
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_unix_connection(sock=control)

    def start(component: Component) -> None:
        if component.name in stopped or component in running.values():
            return  # since its restart was planned
        log = f"{LOGS}/{component.name}.log"
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        pid = os.posix_spawnp(
            component.argv[0],
            component.argv,
            ENVIRONMENT,  # nothing of that of whoever started the cluster
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, append, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        running[pid] = component

    def reap() -> None:
        for pid, code in _reap():
            if component := running.pop(pid, None):
                writer.write(f"exited {component.name} {code}\n".encode())
                loop.call_later(_RESTART_AFTER_SECONDS, start, component)

    loop.add_signal_handler(signal.SIGCHLD, reap)
    while line := await reader.readline():
        command, name = line.decode().split()
        if command == "start":
            stopped.discard(name)
            start(components[name])
        else:
            stopped.add(name)
            for pid in [pid for pid, component in running.items() if component.name == name]:
                os.kill(pid, signal.SIGTERM)
    await asyncio.Event().wait()


class _Hosts:
    """The nodes and clients of a sandbox: their inits, which can be told what to do, ended, and started anew."""

    def __init__(self, boot: Boot, starter: socket.socket) -> None:
        self._boot = boot
        self._starter = starter
        self._pids: dict[str, int] = {}
        self._controls: dict[str, socket.socket] = {}
        self._writers: dict[str, asyncio.StreamWriter] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, host: Host) -> None:
        """Make a host in namespaces of its own; nothing runs on it yet but its init."""
        pid, self._controls[host.name] = _start_node(self._boot, _link(host), host)
        self._pids[host.name] = pid

    async def listen(self, name: str, starter: asyncio.StreamWriter) -> None:
        """Take over a host's socket; what it reports goes to whoever starts the cluster, while there is somebody."""
        reader, self._writers[name] = await asyncio.open_unix_connection(sock=self._controls.pop(name))
        task = asyncio.create_task(_pass_on(name, reader, starter))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def tell(self, name: str, line: str) -> None:
        """Tell a host's init to start or stop a component."""
        self._writers[name].write(f"{line}\n".encode())

    def end(self, name: str) -> None:
        """End a host at once, as if its power had been cut."""
        if pid := self._pids.pop(name, None):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def obey(self, command: dict[str, Any], starter: asyncio.StreamWriter) -> None:
        """Carry out a command of `sandbox.Sandbox.tell`; raises when that is not possible."""
        name = command["host"]
        if command["do"] == "run":
            self.tell(name, f"start {command['component']}")
            return
        self.end(name)
        if "plan" in command:
            self._boot = replace(self._boot, plan=plan_from_dict(command["plan"]))
            _write_files({PLAN: json.dumps(command["plan"])})
        if "files" in command:
            self._boot.files[name] = command["files"]
            self._boot.components[name] = [
                Component(each["name"], tuple(each["argv"])) for each in command["components"]
            ]
        if command["do"] == "start":
            self.start(self._boot.plan.host(name))
            await self.listen(name, starter)
            for component in self._boot.components[name]:
                if component.name not in command.get("but_for", ()):
                    self.tell(name, f"start {component.name}")


async def _serve_sandbox(
    boot: Boot,
    hosts: _Hosts,
    starter: socket.socket,
    presences: list[socket.socket],
    listeners: list[socket.socket],
) -> None:
    """Be found, hand connections to the API server, pass commands to nodes; end if the starter ends too early."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, lambda: list(_reap()))
    api = boot.plan.control_plane.address
    for unix in presences:
        await asyncio.start_unix_server(lambda _, writer: writer.close(), sock=unix)
    for listener in listeners:
        await asyncio.start_server(lambda r, w: _forward(r, w, api, API_PORT), sock=listener)
    reader, writer = await asyncio.open_unix_connection(sock=starter)
    for host in boot.plan.hosts:
        await hosts.listen(host.name, writer)
    os.umask(0o077)
    await asyncio.start_unix_server(lambda r, w: _obey(hosts, writer, r, w), CONTROL, limit=_COMMAND_BYTES)
    writer.write(b"ready\n")
    while line := (await reader.readline()).decode():
        command, *rest = line.split()
        if command == "keep":
            Path(KEPT).touch()
            writer.write(b"kept\n")
            break
        node, component = rest
        hosts.tell(node, f"{command} {component}")
    else:
        return  # whoever started the cluster is gone before it was whole
    await asyncio.Event().wait()


async def _obey(
    hosts: _Hosts, starter: asyncio.StreamWriter, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Carry out the command of one connection, a line of JSON, and answer by a line: `done`, or what went wrong."""
    try:
        await hosts.obey(json.loads(await reader.readline()), starter)
        writer.write(b"done\n")
    except Exception as error:  # whoever gave the command waits for an answer
        traceback.print_exc()
        writer.write(f"{type(error).__name__}: {error}\n".encode())
    writer.close()


async def _pass_on(node: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Tell the starter what a node's init reports, its end too, with the node's name in front; log it in any case."""
    line = ""
    while line != "failed it has died\n":
        line = (await reader.readline()).decode() or "failed it has died\n"
        print(f"{node}: {line}", end="", flush=True)
        if not writer.is_closing():
            writer.write(f"{node} {line}".encode())


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
    try:
        there_reader, there_writer = await asyncio.open_connection(host, port)
    except OSError:
        writer.close()
        return

    async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        sink.close()

    await asyncio.gather(copy(reader, there_writer), copy(there_reader, writer))


if __name__ == "__main__":
    main()
