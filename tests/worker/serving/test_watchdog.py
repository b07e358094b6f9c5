"""A process whose computing hangs ends itself."""

import subprocess
import sys
import time

import pytest

_PROGRAM = """
import ctypes, sys, threading, time
from worker.serving.watchdog import Watchdog

beats = 0
def alive():
    return beats
dog = Watchdog({limit})
dog.watch(alive)
for _ in range({beats}):
    time.sleep(0.05)
    beats += 1
{then}
"""
_HOLDS_THE_LOCK = "ctypes.PyDLL(None).sleep(60)"  # as a hung kernel may: no other thread can run any Python
_WAITS = "time.sleep(60)"
_IS_DISMISSED = "dog.dismiss(); time.sleep(2.5); print('done')"


def run(then: str, *, beats: int, limit: float) -> tuple[subprocess.CompletedProcess[str], float]:
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(limit=limit, beats=beats, then=then)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    return done, time.monotonic() - start


@pytest.mark.parametrize("hang", [_WAITS, _HOLDS_THE_LOCK])
def test_a_hung_process_ends_and_says_where_it_hung(hang: str) -> None:
    done, seconds = run(hang, beats=5, limit=1.0)
    assert done.returncode == 1
    assert "Timeout" in done.stderr
    assert 'File "<string>"' in done.stderr
    assert 1.0 < seconds < 40


def test_one_that_gets_on_is_left_alone_for_as_long_as_it_does() -> None:
    done, _ = run("dog.dismiss(); print('done')", beats=60, limit=2.0)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_a_dismissed_one_ends_nothing() -> None:
    done, _ = run(_IS_DISMISSED, beats=5, limit=1.0)
    assert (done.returncode, done.stdout) == (0, "done\n")
