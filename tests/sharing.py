"""Who uses a cluster, or this machine, when: many tests at once, or one that disturbs the others alone."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ALONE = "TESTS_HAVE_THE_CLUSTER"
"""Is in the environment of tests that a test runs which has the cluster to itself: they need not wait for it."""


@contextmanager
def turn(kubeconfig: Path, alone: bool) -> Iterator[None]:
    """Wait until the cluster may be used, alone or beside others, and keep it so for as long as the block lasts."""
    if ALONE in os.environ:
        yield
        return
    with locked(kubeconfig, alone):
        yield


@contextmanager
def only_one_on_this_machine() -> Iterator[None]:
    """Wait until no other test is in such a block, whatever its cluster: this one takes much of the machine."""
    with locked(Path(__file__).parent):
        yield


@contextmanager
def locked(path: Path, alone: bool = True) -> Iterator[None]:
    """Wait for the lock of a file or folder, alone or beside others, and keep it for as long as the block lasts."""
    held = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
    finally:
        os.close(held)  # which gives it back
