"""The verdict on a chaos run names every kind of broken promise."""

import json

import pytest

from benchmarks.chaos.verdict import Orphaned, Sight, Story, Verdict, verdict_on


def images(fence: str) -> str:
    return json.dumps([{"key": f"job/{fence}/0.png"}])


QUEUED = Sight("queued")
FIRST = Sight("running", "1-a")
SECOND = Sight("running", "2-b")
DONE = Sight("succeeded", "2-b", "2-b", images("2-b"))
EXHAUSTED = Sight("failed", "3-c", "", "", '{"type": "attempts_exhausted"}')


def verdict(*sights: Sight, deaths: int = 0, orphaned: tuple[Orphaned, ...] = ()) -> Verdict:
    return verdict_on({"job": Story(list(sights), deaths)}, list(orphaned), {"worker": deaths})


def test_a_job_that_was_recovered_in_time_and_published_once_is_as_promised() -> None:
    good = verdict(QUEUED, FIRST, QUEUED, SECOND, DONE, deaths=1, orphaned=(Orphaned("job", "1-a", 0, 16.5),))
    assert good == Verdict(1, 1, {"worker": 1}, [16.5], [])


@pytest.mark.parametrize(
    ("sights", "fault"),
    [
        ((), "lost"),
        ((QUEUED,), "lost"),
        ((QUEUED, FIRST), "lost"),
        ((QUEUED, FIRST, Sight("unknown")), "lost"),
        ((QUEUED, FIRST, Sight("canceled", "1-a")), "lost"),
        ((QUEUED, FIRST, EXHAUSTED), "lost"),
        ((QUEUED, SECOND, DONE, Sight("succeeded", "2-b", "1-a", images("1-a"))), "published twice"),
        ((QUEUED, SECOND, DONE, Sight("succeeded", "2-b", "2-b", images("stale"))), "published twice"),
        ((QUEUED, SECOND, DONE, QUEUED, SECOND, DONE), "went on after its end"),
        ((QUEUED, FIRST, Sight("succeeded", "2-b", "2-b", images("1-a"))), "given up"),
    ],
)
def test_every_broken_promise_is_seen(sights: tuple[Sight, ...], fault: str) -> None:
    assert any(fault in violation for violation in verdict(*sights).violations)


def test_a_job_whose_worker_was_killed_each_time_may_fail() -> None:
    assert verdict(QUEUED, FIRST, EXHAUSTED, deaths=3).violations == []


@pytest.mark.parametrize("seconds", [None, 20.1])
def test_a_late_recovery_is_seen(seconds: float | None) -> None:
    late = verdict(QUEUED, SECOND, DONE, orphaned=(Orphaned("job", "1-a", 0, seconds),))
    assert len(late.violations) == 1


@pytest.mark.parametrize(("done", "faults"), [(1000, 0), (1019, 0), (1021, 1)])
def test_steps_that_are_done_twice_are_seen(done: int, faults: int) -> None:
    good = verdict(QUEUED, FIRST, QUEUED, SECOND, DONE)
    good.count_steps(done, 1000)
    assert len(good.violations) == faults
