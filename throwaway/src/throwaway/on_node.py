"""Enters nodes: what becomes root of one, and a program that does so and turns into another.

    python -m throwaway.on_node PID NAME=VALUE … -- COMMAND …

PID is the node's first process, the variables are all of COMMAND's environment. `Cluster.exec` runs this rather than
`throwaway exec`, which knows clusters and their options, and takes five times as long to begin: 0.2 s of a processor.
"""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from throwaway import linux


def main() -> None:
    """Become the program of the command line."""
    pid, *rest = sys.argv[1:]
    end = rest.index("--")
    try:
        run(int(pid), rest[end + 1 :], dict(each.split("=", 1) for each in rest[:end]))
    except (ProcessLookupError, FileNotFoundError):
        sys.exit("throwaway: the node has ended")


def command(pid: int, argv: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """The command line that has `main` do as `run` does; a process of its own, since one with threads must not fork."""
    variables = [f"{name}={value}" for name, value in environment.items()]
    return [sys.executable, "-P", "-m", "throwaway.on_node", str(pid), *variables, "--", *argv]


def run(pid: int, argv: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Replace this process by a program on a node, as its root; ends with the program's exit code."""
    become_root(pid)
    child = os.fork()  # only a child is in the PID namespace
    if child == 0:
        linux.die_with_parent()
        try:
            os.execvpe(argv[0], list(argv), dict(environment))
        except OSError as error:
            print(f"throwaway: cannot run {argv[0]!r} on this node: {error.strerror}", file=sys.stderr)
            os._exit(127)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for the program, which gets it too
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os._exit(code if code >= 0 else 128 - code)


def become_root(pid: int) -> None:
    """Move this process into a node's namespaces, as root there, but into its PID namespace only the next child."""
    flags = linux.CLONE_NEWNS | linux.CLONE_NEWNET | linux.CLONE_NEWUTS | linux.CLONE_NEWIPC | linux.CLONE_NEWPID
    if not linux.same_namespace(pid, "user"):
        flags |= linux.CLONE_NEWUSER
    enter(pid, flags)
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    os.chdir("/")


def enter(pid: int, flags: int) -> None:
    """Move this process into namespaces of another."""
    process = os.pidfd_open(pid)
    try:
        linux.setns(process, flags)
    finally:
        os.close(process)


if __name__ == "__main__":
    main()
