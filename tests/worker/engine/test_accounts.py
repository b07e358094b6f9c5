"""Which job is served first, and how long another waits for it at most."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.prompts.prompt import EMPTY, plain
from tests.worker.engine.test_fairness import denoise, idle
from worker.calls import Call, Decode, EncodeText
from worker.engine.accounts import COUNTED_WORK, MAX_LEAD_S, Account
from worker.engine.fairness import SHORT_CALL_S, FairScheduler, Trajectory

Waiting = list[Trajectory[str]]


def paced(max_batch: int = 1) -> FairScheduler:
    """A scheduler that takes a unit of work to last a second."""
    scheduler = FairScheduler(max_batch)
    scheduler.close(Account(charged_s=1.0, work=1.0))
    return scheduler


def trajectory(scheduler: FairScheduler, name: str, work: float, call: Call | None = None) -> Trajectory[str]:
    made: Trajectory[str] = Trajectory(name, scheduler.open(work=work), idle())
    made.wait_for(call or denoise())
    return made


def serve(scheduler: FairScheduler, waiting: Waiting, seconds: float) -> str:
    """Run the next batch; the name of its first job."""
    batch = scheduler.choose(waiting)
    scheduler.charge(batch, seconds)
    return batch[0].owner


def test_of_jobs_that_come_together_the_shortest_ends_first() -> None:
    scheduler = paced()
    waiting = [
        trajectory(scheduler, name, work) for name, work in (("long", 1.5), ("short", 0.5), ("mid", 1.0))
    ]
    served = []
    for _ in range(30):
        served.append(serve(scheduler, waiting, 0.1))
        waiting = [each for each in waiting if each.account.charged_s < each.account.work - 1e-9]
    assert served == ["short"] * 5 + ["mid"] * 10 + ["long"] * 15


def test_a_job_that_came_long_before_a_shorter_one_ends_first() -> None:
    scheduler = paced()
    waiting = [trajectory(scheduler, "old", 4.0)]
    for _ in range(30):
        serve(scheduler, waiting, 0.1)
    waiting.append(trajectory(scheduler, "new", 1.0))
    assert [serve(scheduler, waiting, 0.1) for _ in range(10)] == ["old"] * 10


def test_a_job_that_does_more_than_was_estimated_loses_its_place() -> None:
    scheduler = paced()
    waiting = [trajectory(scheduler, "more", 0.1), trajectory(scheduler, "as said", 1.0)]
    served = [serve(scheduler, waiting, 0.1) for _ in range(16)]
    assert served.count("as said") >= 8


def test_a_job_without_an_estimate_shares_the_time_equally_with_its_like() -> None:
    scheduler = paced()
    waiting = [trajectory(scheduler, name, 0.0) for name in "ab"]
    assert sorted(serve(scheduler, waiting, 0.1) for _ in range(10)) == ["a"] * 5 + ["b"] * 5


@pytest.mark.parametrize("call", [EncodeText("m", plain("a fox")), Decode("m", torch.zeros(1, 4, 8, 8))])
def test_a_short_call_goes_before_a_step_of_a_job_with_about_as_much_to_do(call: Call) -> None:
    scheduler = paced()
    waiting = [trajectory(scheduler, "step", 1.0), trajectory(scheduler, "short", 1.5, call)]
    assert scheduler.choose(waiting)[0].owner == "short"


def test_short_calls_do_not_hold_up_a_job_that_came_well_before() -> None:
    scheduler = paced()
    waiting = [trajectory(scheduler, "old", 1.0), trajectory(scheduler, "other", 100.0)]
    for _ in range(30):
        serve(scheduler, waiting[1:], 0.1)
    waiting.append(trajectory(scheduler, "short", 0.1, EncodeText("m", plain("a fox"))))
    assert scheduler.choose(waiting)[0].owner == "old"


@pytest.mark.parametrize("heavy_jobs", [1, 4, 10])
@pytest.mark.parametrize("heavy_work", [0.5, 50.0, 1000.0])
def test_a_light_job_waits_for_each_heavy_one_no_longer_than_the_lead_it_may_have(
    heavy_jobs: int, heavy_work: float
) -> None:
    scheduler, heavy_s, light_s, steps, elapsed_s = paced(), 0.5, 0.03, 20, 0.0
    heavy = [trajectory(scheduler, f"heavy {number}", heavy_work) for number in range(heavy_jobs)]
    for _ in range(50):
        serve(scheduler, heavy, heavy_s)
    light = trajectory(scheduler, "light", steps * light_s)
    while light.account.charged_s < steps * light_s - 1e-9:
        (served,) = scheduler.choose([*heavy, light])
        seconds = light_s if served is light else heavy_s
        scheduler.charge([served], seconds)
        elapsed_s += seconds
    assert elapsed_s <= (heavy_jobs + 1) * steps * light_s + heavy_jobs * (MAX_LEAD_S + heavy_s)


def test_a_newcomer_starts_at_the_mean_of_those_that_wait() -> None:
    scheduler = paced()
    waiting = [trajectory(scheduler, "one", 0.0), trajectory(scheduler, "other", 0.0)]
    serve(scheduler, waiting, 1.0)
    assert scheduler.open().virtual_s == pytest.approx(0.5)
    serve(scheduler, waiting, 3.0)
    assert scheduler.open().virtual_s == pytest.approx(2.0)


estimates = st.sampled_from([0.0, 0.01, 0.3, 1.0, 3.0])  # against the true work
newcomers = st.tuples(
    st.floats(0.05, 3.0),  # seconds of work
    estimates,
    st.floats(0.01, 0.5),  # seconds of a call
    st.booleans(),  # whether all its calls are short ones
)


@settings(deadline=None, max_examples=300)
@given(
    work_s=st.floats(0.5, 20.0),
    call_s=st.floats(0.05, 0.5),
    estimate=estimates,
    streams=st.lists(st.lists(newcomers, min_size=1, max_size=3), min_size=1, max_size=5),
)
def test_no_job_starves_however_many_others_come_after_it(
    work_s: float,
    call_s: float,
    estimate: float,
    streams: list[list[tuple[float, float, float, bool]]],
) -> None:
    """Each stream starts its next job as soon as one has ended, for ever, and none of them shares a batch."""
    scheduler = paced()
    patient = trajectory(scheduler, "patient", work_s * estimate)

    def newcomer(stream: int, number: int) -> tuple[Trajectory[str], float, float]:
        seconds, estimate, each_s, is_short = streams[stream][number % len(streams[stream])]
        call: Call = EncodeText(str(stream), EMPTY) if is_short else denoise(side=16 + stream)
        return trajectory(scheduler, str(stream), seconds * estimate, call), seconds, each_s

    running = [newcomer(stream, 0) for stream in range(len(streams))]
    started = [1] * len(streams)
    jobs, elapsed_s = len(streams) + 1, 0.0
    longest_s = max(call_s, *(each_s for stream in streams for _, _, each_s, _ in stream))
    place_s = max(COUNTED_WORK * estimate, 1 - estimate) * work_s + SHORT_CALL_S
    bound_s = jobs * (work_s + place_s + 2 * (MAX_LEAD_S + longest_s))
    while patient.account.charged_s < work_s:
        (served,) = scheduler.choose([patient, *(each for each, _, _ in running)])
        seconds = call_s if served is patient else next(s for each, _, s in running if each is served)
        scheduler.charge([served], seconds)
        elapsed_s += seconds
        assert elapsed_s <= bound_s + longest_s
        for stream, (each, work, _) in enumerate(running):
            if each.account.charged_s >= work:
                running[stream] = newcomer(stream, started[stream])
                started[stream] += 1
