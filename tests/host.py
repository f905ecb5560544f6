"""What a cluster could leave on its machine, and what it holds there while it runs."""

import contextlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from command_line import descendants


@dataclass(frozen=True)
class Held:
    """What a running cluster holds of its machine."""

    processes: frozenset[tuple[int, str]]
    """Each process: its id, and when it started, since ids are used again."""
    namespaces: frozenset[str]
    """Its namespaces, as in `net:[4026532177]`, without those of the machine itself."""
    sockets: frozenset[str]
    """The inodes of its sockets."""


def held_by(pid: int) -> Held:
    """What a cluster holds whose first process is this one."""
    processes, namespaces, sockets = set(), set(), set()
    for each in descendants(pid):
        with contextlib.suppress(OSError):
            processes.add((each, _started(each)))
            namespaces |= _links(f"/proc/{each}/ns")
            sockets |= {link for link in _links(f"/proc/{each}/fd") if link.startswith("socket:[")}
    own = _links("/proc/self/ns")
    return Held(frozenset(processes), frozenset(namespaces - own), frozenset(link[8:-1] for link in sockets))


def still_there(held: Held) -> list[str]:
    """What there still is of it: processes, namespaces by whatever holds them, sockets of the machine's network."""
    found = []
    for pid, started in held.processes:
        with contextlib.suppress(OSError):
            if _started(pid) == started:
                found.append(f"process {pid}")
    mounted = Path("/proc/self/mountinfo").read_text()
    found += [f"{namespace}, mounted" for namespace in held.namespaces if namespace in mounted]
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            held_there = (_links(process / "ns") | _links(process / "fd")) & held.namespaces
            found += [f"{namespace}, held by process {process.name}" for namespace in held_there]
    for table in ("tcp", "tcp6", "udp", "udp6", "unix", "netlink", "raw", "packet"):
        path = Path("/proc/net", table)
        lines = path.read_text().splitlines()[1:] if path.exists() else []
        found += [f"{table} socket: {line}" for line in lines if held.sockets & set(line.split())]
    return found


def _started(pid: int) -> str:
    """When a process started, in ticks since the machine did, see proc_pid_stat(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def _links(folder: str | Path) -> set[str]:
    targets = set()
    for link in Path(folder).iterdir():
        with contextlib.suppress(OSError):
            targets.add(os.readlink(link))
    return targets


def host_state() -> dict[str, str]:
    """What a cluster could leave on a machine or set there: links, routes, rules, mounts, cgroups, files, sysctls."""
    commands = {
        "links": ["ip", "-brief", "link"],
        "addresses": ["ip", "-brief", "address"],
        "routes": ["ip", "route", "show", "table", "all"],
        "policy": ["ip", "rule"],
        "named namespaces": ["ip", "netns", "list"],
    }
    if os.getuid() == 0:
        commands["nftables"] = ["nft", "list", "ruleset"]
    path = f"/usr/sbin:/sbin:{os.environ['PATH']}"
    state = {
        what: subprocess.run(command, capture_output=True, text=True, check=True, env={"PATH": path}).stdout
        for what, command in commands.items()
    }
    ours = ("throwaway", "kube", "containerd", "cni")  # other programs mount and make cgroups, too
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    state["mounts"] = "\n".join(line for line in mounts if any(word in line for word in ours))
    cgroups = [str(path) for path in Path("/sys/fs/cgroup").glob("**/")]
    state["cgroups"] = "\n".join(sorted(path for path in cgroups if any(word in path for word in ours)))
    places = ("/tmp", "/var/tmp", "/dev/shm", "/run", f"/run/user/{os.getuid()}")
    files = [str(path) for place in places if os.access(place, os.R_OK) for path in Path(place).iterdir()]
    state["files"] = "\n".join(sorted(path for path in files if any(word in path for word in ours)))
    state["kubectl"] = "\n".join(sorted(map(str, Path.home().glob(".kube/**/"))))
    sysctls = (
        "vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys",
        "net/ipv4/ip_forward", "net/ipv4/conf/all/rp_filter", "net/ipv4/conf/all/route_localnet",
        "net/netfilter/nf_conntrack_max", "net/ipv4/ip_unprivileged_port_start", "user/max_user_namespaces",
    )  # fmt: skip
    for name in sysctls:  # those that a kubelet, kube-proxy or CNI plugin would like to write
        sysctl = Path("/proc/sys") / name
        state[name] = sysctl.read_text() if os.access(sysctl, os.R_OK) else ""
    return state
