"""Waiting for something that another process does."""

import time
from collections.abc import Callable

from throwaway.errors import ThrowawayError

_POLL_SECONDS = 0.02


def wait_until(condition: Callable[[], object], complaint: str, seconds: float) -> None:
    """Poll a condition until it is true; raises `ThrowawayError` with the complaint after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise ThrowawayError(f"{complaint} within {seconds:.0f} s; the machine may be overloaded, try again")
        time.sleep(_POLL_SECONDS)
