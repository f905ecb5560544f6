"""System calls that Python 3.11's standard library has no function for, each with its errors as `OSError`.

Flags and numbers are those of Linux' `<sched.h>`, `<sys/mount.h>` and `<linux/nsfs.h>`; they are the same on x86_64
and arm64.
"""

import ctypes
import fcntl
import os
import signal
import struct
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000

_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_MOUNT_ATTR_RDONLY = 0x1
_NS_GET_OWNER_UID = 0xB704
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_SYS_MOUNT_SETATTR = 442

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Move this process into new namespaces, see unshare(2). A new PID namespace begins with the next child."""
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, flags: int) -> None:
    """Join namespaces of another process by its pidfd, see setns(2) (a pidfd since Linux 5.8)."""
    _check(_libc.setns(fd, flags), "setns")


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount, bind or change propagation, see mount(2)."""
    result = _libc.mount(
        source.encode(),
        target.encode(),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        options.encode() or None,
    )
    _check(result, f"mount {source} on {target}")


def make_mounts_read_only(top: str) -> None:
    """Make every mount below `top` read-only for this mount namespace, see mount_setattr(2) (Linux 5.12)."""
    attributes = struct.pack("QQQQ", _MOUNT_ATTR_RDONLY, 0, 0, 0)
    result = _libc.syscall(
        ctypes.c_long(_SYS_MOUNT_SETATTR), _AT_FDCWD, top.encode(), _AT_RECURSIVE, attributes,
        ctypes.c_size_t(len(attributes)),
    )  # fmt: skip
    _check(result, f"make mounts below {top} read-only")


def can_make_inotify_instances(count: int) -> bool:
    """Whether this account may have so many more of them; the kernel counts those of its sandboxes in."""
    made = []
    try:
        for _ in range(count):
            fd = _libc.inotify_init1(os.O_CLOEXEC)
            if fd < 0:
                return False
            made.append(fd)
    finally:
        for fd in made:
            os.close(fd)
    return True


def set_dumpable() -> None:
    """Give this process' `/proc` entry back to its owner, who lost it when the process changed its ids."""
    _check(_libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0), "prctl(PR_SET_DUMPABLE)")


def die_with_parent(by: signal.Signals = signal.SIGKILL) -> None:
    """Have this process get a signal when its parent ends, see PR_SET_PDEATHSIG in prctl(2)."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, by, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")


def namespace_owner(pid: int) -> int:
    """The account (uid) that made the user namespace of a process, see ioctl_ns(2).

    Raises `OSError` when the process is gone or belongs to somebody else.
    """
    uid = bytearray(4)
    fd = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, _NS_GET_OWNER_UID, uid)
    finally:
        os.close(fd)
    return int(struct.unpack("I", uid)[0])


def same_namespace(pid: int, kind: str) -> bool:
    """Whether this process and another are in the same namespace of one kind (`net`, `user`, `mnt`, …)."""
    return os.stat(f"/proc/self/ns/{kind}").st_ino == os.stat(f"/proc/{pid}/ns/{kind}").st_ino


def bind(source: Path | str, target: Path | str, flags: int = 0) -> None:
    """Show the folder or file `source` at `target` as well."""
    mount(str(source), str(target), flags=MS_BIND | flags)
