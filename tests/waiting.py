"""Waits for what must happen, for as long as a machine may take that has much else to do.

A test that waits for a condition ends as soon as it holds; one that sleeps fails where things take longer.
"""

import time
from collections.abc import Callable

PATIENCE_S = 120


def until(condition: Callable[[], object], *, within_s: float = PATIENCE_S) -> None:
    """Return once the condition holds.

    Raises:
        AssertionError: it did not within ``within_s`` seconds.
    """
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, f"did not happen within {within_s} s"
        time.sleep(0.02)


def soonest(measured: Callable[[], float], within_s: float) -> float:
    """Seconds of the first of three runs that takes less than ``within_s``, since others may slow any of them."""
    for _ in range(3):
        if (seconds := measured()) < within_s:
            break
    return seconds
