"""A cluster leaves nothing on its machine, however often."""

import os

from command_line import CommandLine, eventually
from host import held_by, host_state, still_there
from throwaway import sandbox

TIMES = 50


def test_fifty_clusters_one_after_another_leave_nothing(throwaway: CommandLine) -> None:
    name = f"again-{os.getpid()}"
    before = host_state()
    for time in range(TIMES):
        assert throwaway("up", "--name", name, "--nodes", "1", "--no-load-balancer").returncode == 0
        found = sandbox.find(name)
        assert found
        held = held_by(found.pid)
        assert len(held.processes) > 5
        assert len(held.namespaces) > 5
        assert len(held.sockets) > 5
        assert throwaway("down", "--name", name).returncode == 0
        # The machine's init takes the first process out of its list a moment after it has ended.
        eventually(lambda held=held: not still_there(held), f"cluster {time + 1} has left nothing")  # type: ignore[misc]
        assert host_state() == before, f"after {time + 1} clusters"


def test_what_is_left_would_be_noticed(throwaway: CommandLine) -> None:
    """The control of the test above: a cluster that runs is still there in each way in which it could be."""
    name = f"left-{os.getpid()}"
    assert throwaway("up", "--name", name, "--nodes", "1", "--no-load-balancer").returncode == 0
    found = sandbox.find(name)
    assert found
    left = still_there(held_by(found.pid))
    for kind in ("process ", "net:[", "mnt:[", "pid:[", "user:[", "unix socket", "tcp socket"):
        assert any(each.startswith(kind) for each in left), kind
