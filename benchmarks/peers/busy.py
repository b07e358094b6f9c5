"""The busy time of a server's models: their process writes it to a file that the benchmark reads."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from worker.calls import Call
from worker.engine.runner import Runner

FILE = "BENCH_BUSY_FILE"


def report_busy_time() -> None:
    """From now on, note the seconds that this process spent in model calls."""
    file, run, busy_s = Path(os.environ[FILE]), Runner.run, 0.0

    def timed(self: Runner, group: Sequence[Call]) -> list[object]:
        nonlocal busy_s
        began = time.monotonic()
        try:
            return run(self, group)
        finally:
            busy_s += time.monotonic() - began
            file.write_text(f"{busy_s:.6f}")

    timed_run: Callable[[Runner, Sequence[Call]], list[object]] = timed
    Runner.run = timed_run  # type: ignore[assignment, method-assign]
