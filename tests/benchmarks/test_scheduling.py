"""The simulated engine, against times that can be worked out by hand."""

import pytest

from benchmarks.scheduling.costs import seconds
from benchmarks.scheduling.policies import MAX_BATCH, POLICIES
from benchmarks.scheduling.simulation import ITERATION_S, Engine, SimulatedJob, run_whole
from worker.engine.fairness import FairScheduler

# A batch costs 0.1 s and 0.1 s for each of its calls; texts and the end of a picture cost nothing.
STEP = {1: 0.2, 2: 0.3}
CURVES = {
    name: STEP if name in ("Denoise", "Guide") else {1: 0.0, 2: 0.0}
    for name in ("EncodeText", "EmbedText", "Denoise", "Guide", "Decode", "EmbedImage")
}


BETWEEN_S = 40 * ITERATION_S


def job(steps: int, *, cutouts: int = 0, arrival_s: float = 0.0) -> SimulatedJob:
    return SimulatedJob(arrival_s, steps, cutouts, cost=steps)


def ends(*jobs: SimulatedJob, capacity: int = 6) -> list[float]:
    Engine(FairScheduler(MAX_BATCH), CURVES, capacity).run(list(jobs))
    return [each.end_s for each in jobs]


def test_a_batch_between_two_measured_sizes_costs_in_proportion() -> None:
    assert seconds({1: 1.0, 4: 4.0, 8: 6.0}, 6) == 5.0
    assert seconds({1: 1.0, 4: 4.0, 8: 6.0}, 10) == 7.0


def test_a_job_alone_takes_what_its_calls_take() -> None:
    assert ends(job(5)) == pytest.approx([1.0], abs=BETWEEN_S)
    assert ends(job(5, cutouts=8)) == pytest.approx([2.0], abs=BETWEEN_S)


def test_jobs_that_share_their_batches_end_together() -> None:
    assert ends(job(10), job(10)) == pytest.approx([3.0, 3.0], abs=BETWEEN_S)


def test_a_job_beyond_the_capacity_waits_for_a_place() -> None:
    assert ends(job(10), job(10), capacity=1) == pytest.approx([2.0, 4.0], abs=BETWEEN_S)


def test_whole_requests_wait_for_the_batch_before_and_end_with_their_own() -> None:
    jobs = [job(10), job(5, arrival_s=0.5), job(10, arrival_s=0.6)]
    run_whole(jobs, CURVES)
    assert [round(each.end_s) for each in jobs] == [2, 5, 5]


def test_no_policy_loses_a_job_or_does_its_work_twice() -> None:
    for policy in POLICIES.values():
        jobs = [job(5 + number, cutouts=8 * (number % 2), arrival_s=0.3 * number) for number in range(8)]
        Engine(policy(MAX_BATCH), CURVES).run(jobs)
        assert all(each.at == len(each.calls) for each in jobs)
        alone_s = [0.2 * (5 + number) * (1 + number % 2) for number in range(8)]
        assert all(each.latency_s >= least for each, least in zip(jobs, alone_s, strict=True))


def test_the_time_between_batches_counts() -> None:
    (single,) = jobs = [job(50)]
    Engine(FairScheduler(MAX_BATCH), CURVES).run(jobs)
    assert single.end_s == pytest.approx(50 * 0.2 + len(single.calls) * ITERATION_S)
