"""The speed of a worker."""

import pytest

from worker.serving import throughput
from worker.serving.throughput import Throughput


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(throughput, "time", clock)
    return clock


def work(meter: Throughput, clock: Clock, seconds: int, units_a_second: float, *, busy: bool = True) -> None:
    for _ in range(seconds):
        clock.now += 1
        meter.note(units_a_second, busy=busy)


def test_nothing_is_told_before_there_was_some_work(clock: Clock) -> None:
    meter = Throughput()
    work(meter, clock, 60, 0, busy=False)
    assert meter.speed is None
    work(meter, clock, 1, 5)
    assert meter.speed is None


def test_time_without_jobs_does_not_count(clock: Clock) -> None:
    meter = Throughput()
    work(meter, clock, 10, 5)
    work(meter, clock, 1000, 0, busy=False)
    work(meter, clock, 10, 5)
    assert meter.speed == pytest.approx(5, rel=0.01)


def test_it_follows_a_change_within_minutes(clock: Clock) -> None:
    meter = Throughput()
    work(meter, clock, 300, 5)
    work(meter, clock, 30, 50)
    assert meter.speed is not None
    assert 15 < meter.speed < 30
    work(meter, clock, 300, 50)
    assert meter.speed == pytest.approx(50, rel=0.02)


def test_the_busy_share_is_that_of_about_the_last_minute(clock: Clock) -> None:
    meter = Throughput()
    assert meter.busy_share == 0
    work(meter, clock, 600, 5)
    assert meter.busy_share == pytest.approx(1, abs=0.01)
    work(meter, clock, 30, 0, busy=False)
    assert 0.5 < meter.busy_share < 0.7
    work(meter, clock, 600, 0, busy=False)
    assert meter.busy_share == pytest.approx(0, abs=0.01)
