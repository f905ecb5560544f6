"""What this machine must have: kernel features, a range of ids, programs; and how to get what it lacks."""

import os
import platform
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from throwaway import linux
from throwaway.errors import ThrowawayError
from throwaway.plan import Plan

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""Machines that are supported: the kernel's name → Go's and OCI's name."""

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where nodes look for programs. Debian leaves the sbin folders out of an ordinary account's PATH."""

_KERNEL = (5, 13)  # kube-proxy in nftables mode (upstream's pkg/util/kernel/constants.go); mount_setattr(2) is 5.12
SUBORDINATE_IDS = 65535
"""How many ids a sandbox maps besides the account's own."""
_ETC = Path("/etc")
_FILE_SYSTEMS = Path("/proc/self/mountinfo")
_IPV6 = Path("/proc/net/if_inet6")
_MEMINFO = Path("/proc/meminfo")
# In MB, measured as PSS and files in memory of idle clusters of 1 to 20 nodes without MetalLB; it and Pods come on top.
_MEMORY_OF_CLUSTER = 430
_MEMORY_OF_NODE = 62
_INOTIFY_LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
_INOTIFY_OF_CLUSTER, _INOTIFY_OF_NODE = 15, 9  # counted: 24 with one node, 42 with three


@dataclass(frozen=True)
class Problem:
    """Something that this machine lacks."""

    what: str
    """What is missing, in a few words."""
    why: str
    """What it is needed for."""
    command: str
    """The command that helps, to be run as root; advice in words where there is no such command."""
    package: str = ""
    """The package that `command` installs, if it is one."""


@dataclass(frozen=True)
class _Program:
    name: str
    """What it is called by."""
    why: str
    """What it is needed for."""
    packages: tuple[str, str, str]
    """The packages that have it in Debian (and Ubuntu), Fedora, and Arch Linux."""


_PROGRAMS = (
    _Program("runc", "containerd starts containers with it", ("runc", "runc", "runc")),
    _Program("ip", "it joins the nodes' networks", ("iproute2", "iproute", "iproute2")),
    _Program("nft", "kube-proxy writes its rules with it", ("nftables", "nftables", "nftables")),
    _Program("iptables-save", "kube-proxy writes its rules with it", ("iptables", "iptables-nft", "iptables")),
    _Program("mount", "the kubelet mounts volumes with it", ("mount", "util-linux", "util-linux")),
    _Program("unshare", "it shows whether namespaces are allowed", ("util-linux", "util-linux", "util-linux")),
    _Program("setpriv", "it ends a build that is left behind", ("util-linux", "util-linux", "util-linux")),
    _Program("busybox", "it is the shell of the image toolbox", ("busybox-static", "busybox", "busybox")),
    _Program("curl", "it is part of the image toolbox", ("curl", "curl", "curl")),
    _Program("dig", "it is part of the image toolbox", ("bind9-dnsutils", "bind-utils", "bind")),
    _Program("nc", "it is part of the image toolbox", ("netcat-openbsd", "netcat", "openbsd-netcat")),
)
_PROGRAMS_OF_AN_ACCOUNT = tuple(
    _Program(name, "it gives the sandbox a range of ids", ("uidmap", "shadow-utils", "shadow"))
    for name in ("newuidmap", "newgidmap")
)
_OPTIONAL_PROGRAMS = (
    _Program("tcpdump", "'throwaway capture' shows packets with it", ("tcpdump", "tcpdump", "tcpdump")),
    _Program("ipset", "NetworkPolicies are enforced with it", ("ipset", "ipset", "ipset")),
)

_INSTALL_COMMANDS = (
    ("apt-get", "apt-get install -y --no-install-recommends"),
    ("dnf", "dnf install -y"),
    ("pacman", "pacman -S --needed --noconfirm"),
)

# What a node does first of all. Ubuntu lets a user namespace be made and then denies capabilities in it.
_TRIAL = """
mount -t proc proc /proc || exit 71
mount -t sysfs -o ro sysfs /sys || exit 72
mount -t tmpfs tmpfs /sys && cd /sys && mkdir lower upper work merged || exit 73
mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay merged || exit 74
if command -v nft; then nft list tables || exit 75; fi
"""
_TRIAL_STEPS = {71: "mounting /proc", 72: "mounting /sys", 73: "mounting a tmpfs", 74: "mounting an overlay"}


def find_program(name: str) -> Path | None:
    """The program of this name as a node would find it."""
    found = shutil.which(name, path=SYSTEM_PATH)
    return Path(found) if found else None


def required_program(name: str) -> Path:
    """Like `find_program`, for those who cannot do without it: raises `ThrowawayError`."""
    found = find_program(name)
    if found is None:
        raise ThrowawayError(f"this machine lacks the program {name}; run 'throwaway setup'")
    return found


def require_optional(name: str) -> None:
    """Raise `ThrowawayError` with one line when a program is missing that only some clusters or commands need."""
    wanted = tuple(program for program in _OPTIONAL_PROGRAMS if program.name == name)
    if problems := list(_missing_programs(wanted)):
        raise ThrowawayError(f"{explain(problems)} (or 'throwaway setup'): {problems[0].why}")


def missing() -> list[Problem]:
    """Everything that this machine lacks; takes about 50 ms."""
    if sys.platform != "linux":
        return [Problem(f"Linux (this is {platform.system()})", "nodes are made of its namespaces", "use Linux")]
    programs = _PROGRAMS if os.getuid() == 0 else _PROGRAMS + _PROGRAMS_OF_AN_ACCOUNT
    return [
        *_wrong_kernel(),
        *_missing_programs(programs),
        *_missing_ids(),
        *_missing_cgroups(),
        *_refused_namespaces(),
    ]


def explain(problems: list[Problem]) -> str:
    """One line that names all problems and the commands that help."""
    what = ", ".join(problem.what for problem in problems)
    return f"this machine lacks {what}; as root: {' && '.join(_commands(problems))}"


def require() -> None:
    """Raise `ThrowawayError` with one line when this machine lacks anything."""
    if problems := missing():
        raise ThrowawayError(explain(problems))


def require_for(plan: Plan) -> None:
    """Raise `ThrowawayError` with one line when this machine cannot hold the cluster of a plan."""
    if plan.has_ipv6 and not _IPV6.exists():
        raise ThrowawayError(
            f"this machine's kernel has no IPv6, so that --ip-family {plan.ip_family} is not possible;"
            " boot it without ipv6.disable=1, or use --ip-family ipv4"
        )
    nodes = len(plan.nodes)
    _require_room(
        plan.settings["nodes"][0],
        memory=_MEMORY_OF_CLUSTER + _MEMORY_OF_NODE * nodes,
        inotify_instances=_INOTIFY_OF_CLUSTER + _INOTIFY_OF_NODE * nodes,
    )


def require_for_node() -> None:
    """Raise `ThrowawayError` with one line when this machine cannot hold one more node of a running cluster."""
    _require_room("one more node", memory=_MEMORY_OF_NODE, inotify_instances=_INOTIFY_OF_NODE)


def _require_room(what: str, memory: int, inotify_instances: int) -> None:
    available = _available_memory()
    if available < memory:
        raise ThrowawayError(
            f"{what} needs at least {memory} MB of memory before its first Pod, and this machine"
            f" has {available} MB left; end something else, or ask for fewer nodes"
        )
    if not linux.can_make_inotify_instances(inotify_instances):
        limit = int(_INOTIFY_LIMIT.read_text())
        raise ThrowawayError(
            f"{what} needs {inotify_instances} inotify instances, and too few of this account's {limit} are left:"
            f" end another cluster, or raise the limit: sudo sysctl fs.inotify.max_user_instances={limit + 512}"
        )


def _available_memory() -> int:
    """How much memory programs can have without swapping, in MB, see proc_meminfo(5)."""
    fields = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
    return int(fields["MemAvailable"].split()[0]) // 1024


def setup(report: Callable[[str], None]) -> None:
    """Install what is missing, where that is possible: packages, as root, by apt-get.

    That includes what only one command needs, without which a cluster starts all the same.

    Raises `ThrowawayError` for the rest, with one line that says what to run.
    """
    # The account that runs this as root is not the only one that may want a cluster on the machine.
    packages = _packages([*missing(), *_missing_programs(_PROGRAMS_OF_AN_ACCOUNT + _OPTIONAL_PROGRAMS)])
    if packages and os.getuid() == 0 and find_program("apt-get"):
        report(f"installing {' '.join(packages)}")
        apt_get_install(packages)
    require()


def _packages(problems: list[Problem]) -> list[str]:
    return list(dict.fromkeys(problem.package for problem in problems if problem.package))


def _commands(problems: list[Problem]) -> list[str]:
    """The commands of problems, those that install packages joined into one and put first."""
    others = [problem.command for problem in problems if not problem.package]
    packages = _packages(problems)
    return list(dict.fromkeys([*([_install_command(packages)] if packages else []), *others]))


def _install_command(packages: list[str]) -> str:
    for manager, command in _INSTALL_COMMANDS:
        if find_program(manager):
            return f"{command} {' '.join(packages)}"
    return f"install {' '.join(packages)} (Debian's names)"


def apt_get_install(packages: list[str]) -> None:
    """Install packages, as root; raises `ThrowawayError` if that fails."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt_get = str(required_program("apt-get"))
    wait = ("-o", "DPkg::Lock::Timeout=120")  # for another that installs something
    install = [apt_get, *wait, "install", "-y", "-qq", "--no-install-recommends", *packages]
    # Lists of packages that are there may be good enough; containers come without any.
    for command in (install, [apt_get, "update", "-qq"], install):
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if command is install and done.returncode == 0:
            return
    complaint = done.stderr.strip().splitlines() or ["it gave no reason"]
    raise ThrowawayError(f"{_install_command(packages)} failed: {complaint[-1]}")


def _wrong_kernel() -> Iterator[Problem]:
    if platform.machine() not in ARCHITECTURES:
        yield Problem(
            f"a supported processor (this is {platform.machine()})",
            "programs are built for it",
            f"use one of {', '.join(ARCHITECTURES)}",
        )
    numbers = re.match(r"(\d+)\.(\d+)", platform.release())
    if numbers and tuple(map(int, numbers.groups())) < _KERNEL:
        needed = ".".join(map(str, _KERNEL))
        yield Problem(
            f"Linux {needed} or newer (this is {platform.release()})",
            "the sandbox makes the host's files read-only by a system call of it",
            "upgrade the kernel",
        )


def _missing_programs(wanted: tuple[_Program, ...]) -> Iterator[Problem]:
    present = [number for number, (manager, _) in enumerate(_INSTALL_COMMANDS) if find_program(manager)]
    for program in wanted:
        if find_program(program.name) is None:
            package = program.packages[present[0] if present else 0]
            yield Problem(program.name, program.why, _install_command([package]), package)


def first_subordinate_id(kind: str) -> int | None:
    """Where a range begins that is large enough for a sandbox and belongs to this account, see subuid(5).

    `kind` is `uid` or `gid`; None if there is no such range.
    """
    names = (_account(), str(os.getuid()))
    for owner, begin, count in _subordinate_ids(kind):
        if owner in names and count >= SUBORDINATE_IDS:
            return begin
    return None


def _missing_ids() -> Iterator[Problem]:
    """Root needs none: it maps any ids that it likes."""
    if os.getuid() == 0:
        return
    user = _account()
    for kind in ("uid", "gid"):
        if first_subordinate_id(kind) is not None:
            continue
        first = max([100000, *(begin + count for _, begin, count in _subordinate_ids(kind))])
        yield Problem(
            f"a range of {SUBORDINATE_IDS} ids for {user} in {_ETC / f'sub{kind}'}",
            "files in images belong to several ids",
            f"usermod --add-sub{kind}s {first}-{first + SUBORDINATE_IDS} {user}",
        )


def _missing_cgroups() -> Iterator[Problem]:
    """The kubelet does not start where it finds no cgroup, of version 1 or 2; it need not write any."""
    if not re.search(r" - cgroup2? ", _FILE_SYSTEMS.read_text()):
        why = "the kubelet reads what machines use from them"
        yield Problem("cgroups", why, "mount -t cgroup2 none /sys/fs/cgroup")


def _account() -> str:
    """This account's name, or its number if it has none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _subordinate_ids(kind: str) -> list[tuple[str, int, int]]:
    """The lines of /etc/subuid or /etc/subgid: (owner, first id, how many)."""
    path = _ETC / f"sub{kind}"
    lines = path.read_text().splitlines() if path.exists() else []
    fields = [line.split(":") for line in lines]
    return [(entry[0], int(entry[1]), int(entry[2])) for entry in fields if len(entry) == 3]


def _refused_namespaces() -> Iterator[Problem]:
    """Make a sandbox's namespaces and mount in them what a node mounts; say why, if the kernel refuses."""
    unshare = find_program("unshare")
    if unshare is None or find_program("mount") is None:
        return  # said already
    namespaces = ["--user", "--map-root-user", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork"]
    done = subprocess.run(
        [unshare, *namespaces, "/bin/sh", "-c", _TRIAL],
        env={"PATH": SYSTEM_PATH, "LC_ALL": "C"},
        capture_output=True,
        text=True,
    )
    if done.returncode == 0:
        return
    if done.returncode == 74:
        why = "containers' file systems are made of it"
        yield Problem("overlayfs in a user namespace", why, "modprobe overlay, and Linux 5.12 or newer")
        return
    if done.returncode == 75:
        why = "kube-proxy's rules, and those for Pods, are its"
        yield Problem("nftables in its kernel", why, "modprobe nf_tables")
        return
    why = "the cluster runs in a user namespace of its own"
    for sysctl, wrong, right in (
        ("user.max_user_namespaces", "0", "15000"),
        ("kernel.unprivileged_userns_clone", "0", "1"),  # Debian's
        ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),  # Ubuntu's
    ):
        if _sysctl(sysctl) == wrong:
            yield Problem(f"permission for user namespaces ({sysctl}={wrong})", why, f"sysctl -w {sysctl}={right}")
            return
    step = _TRIAL_STEPS.get(done.returncode, "making namespaces")
    reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    yield Problem(
        f"permission for user namespaces ({step} failed: {reason})",
        why,
        "allow them (inside a container: start it with --privileged)",
    )


def _sysctl(name: str) -> str:
    path = Path("/proc/sys", *name.split("."))
    return path.read_text().strip() if path.exists() else ""
