"""Who uses a cluster when: many tests at once, or one that disturbs the others alone."""

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
    with kubeconfig.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)  # closing the file gives it back
        yield
