"""How the time of loading is told apart."""

import time

from benchmarks.loading.probe import Clock


def test_time_within_another_stage_is_that_one_s_alone() -> None:
    clock = Clock()
    inner = clock.timed("inner", lambda: time.sleep(0.06))

    def run() -> str:
        time.sleep(0.02)
        inner()
        time.sleep(0.02)
        return "done"

    begun = time.perf_counter()
    assert clock.timed("outer", run)() == "done"
    whole = time.perf_counter() - begun
    assert clock.seconds["inner"] >= 0.06
    assert 0.04 <= clock.seconds["outer"] <= whole - clock.seconds["inner"] + 1e-3


def test_a_stage_that_fails_is_timed_and_over() -> None:
    clock = Clock()

    def fail() -> None:
        raise OSError

    try:
        clock.timed("failing", fail)()
    except OSError:
        clock.timed("next", lambda: time.sleep(0.2))()
    assert clock.seconds["failing"] < 0.2 <= clock.seconds["next"]
