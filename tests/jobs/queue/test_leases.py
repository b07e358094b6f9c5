from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from redis import Redis

from jobs.db import keys
from jobs.db.scripts import PREFIX, Scripts
from jobs.db.times import now_us
from jobs.errors import JobFailedError, LeaseLostError
from jobs.queue.attempts import MAX_STARTS
from jobs.queue.leases import Lease, Leases, Standing
from jobs.queue.queue import JobQueue
from jobs.queue.reaper import Reaper
from jobs.queue.tickets import Tickets
from jobs.status.candidates import load_candidates
from jobs.status.job import GuidedStep, JobStatus, Progress
from tests.jobs.samples import RESOLVED, claimed, pictures_of, waiting_tickets


@pytest.fixture
def job_id(queue: JobQueue) -> str:
    """A waiting job."""
    return queue.submit(RESOLVED).job.id


def is_due(redis: Redis, lease: Lease) -> bool | None:
    """Whether the files of an execution are to be deleted now; None if they stay."""
    at = redis.zscore(PREFIX + "orphans", lease.artifact_prefix)
    return None if at is None else at <= now_us()


class TestClaim:
    def test_it_tells_what_to_do_and_starts_the_job(
        self, queue: JobQueue, leases: Leases, job_id: str
    ) -> None:
        lease = claimed(leases, job_id)
        assert (lease.job_id, lease.request) == (job_id, RESOLVED)
        assert lease.artifact_prefix == f"{job_id}/{lease.fence}"
        job = queue.get(job_id)
        assert (job.status, job.attempts, job.worker) == (JobStatus.RUNNING, 1, "steady")
        assert job.started_at is not None
        assert job.started_at >= job.created_at
        assert job.metrics.queue_s is not None

    def test_of_20_threads_one_gets_the_job(self, queue: JobQueue, redis: Redis, job_id: str) -> None:
        workers = [Leases(redis, worker=f"worker {number}") for number in range(20)]
        with ThreadPoolExecutor(20) as pool:
            won = [lease for lease in pool.map(lambda worker: worker.claim_next(), workers) if lease]
        assert len(won) == 1
        assert queue.get(job_id).attempts == 1

    def test_there_is_nothing_to_claim_of_a_job_that_does_not_wait(
        self, queue: JobQueue, leases: Leases, job_id: str
    ) -> None:
        lease = claimed(leases, job_id)
        assert leases.claim_next() is None
        leases.succeed(lease, pictures_of(lease))
        assert leases.claim_next() is None

    def test_every_execution_has_its_own_fence(
        self, doomed: Leases, leases: Leases, reaper: Reaper, job_id: str
    ) -> None:
        first = claimed(doomed, job_id)
        reaper.sweep()
        second = claimed(leases, job_id)
        assert first.fence != second.fence
        assert first.artifact_prefix != second.artifact_prefix

    def test_a_claim_that_a_failover_forgot_does_not_share_its_fence_with_the_next_one(
        self, redis: Redis, leases: Leases, queue: JobQueue, job_id: str
    ) -> None:
        forgotten = {key: redis.dump(key) for key in (keys.job(job_id), keys.WAITING)}
        old = claimed(leases, job_id)
        for key, replica in forgotten.items():
            assert replica is not None
            redis.restore(key, 0, replica, replace=True)
        redis.zrem(PREFIX + "leases", job_id)
        new = claimed(leases, job_id)
        assert leases.renew(old) is Standing.LOST
        assert leases.renew(new) is Standing.HELD

    def test_the_same_claim_again_gets_the_same_lease(
        self, scripts: Scripts, queue: JobQueue, job_id: str
    ) -> None:
        later = queue.submit(RESOLVED).job.id
        answers = [scripts("claim", "steady", 60_000, "token", 0, 0) for _ in range(2)]
        assert answers[0] == answers[1]
        assert answers[0][0] == job_id
        assert queue.get(job_id).attempts == 1
        assert scripts("claim", "steady", 60_000, "other", 0, 0)[0] == later
        assert scripts("claim", "steady", 60_000, "third", 0, 0) is None

    def test_a_request_of_another_version_goes_on_waiting(
        self, redis: Redis, leases: Leases, queue: JobQueue, tickets: Tickets, job_id: str
    ) -> None:
        key = f"{PREFIX}job:{job_id}"
        redis.hset(key, "request", '{"prompt": "new", "unheard_of": 1}')
        assert leases.claim_next() is None
        assert redis.hmget(key, ["status", "attempts", "starts"]) == ["queued", "0", "0"]
        redis.hset(key, "request", RESOLVED.model_dump_json())
        assert Leases(redis, worker="newer").claim_next() is not None


class TestRenew:
    def test_progress_is_seen_by_everyone(self, queue: JobQueue, leases: Leases, job_id: str) -> None:
        lease = claimed(leases, job_id)
        assert leases.renew(lease, Progress(step=5, steps=20, eta_s=1.5)) is Standing.HELD
        progress = queue.get(job_id).progress
        assert (progress.step, progress.steps, progress.eta_s, progress.fraction) == (5, 20, 1.5, 0.25)

    def test_without_progress_it_leaves_the_last_one(
        self, queue: JobQueue, leases: Leases, job_id: str
    ) -> None:
        lease = claimed(leases, job_id)
        leases.renew(lease, Progress(step=5, steps=20, eta_s=1.5))
        leases.renew(lease)
        assert queue.get(job_id).progress == Progress(step=5, steps=20, eta_s=1.5)

    def test_an_estimate_that_is_not_known_any_more_is_not_shown(
        self, queue: JobQueue, leases: Leases, job_id: str
    ) -> None:
        lease = claimed(leases, job_id)
        leases.renew(lease, Progress(step=5, steps=20, eta_s=1.5))
        leases.renew(lease, Progress(step=6, steps=20))
        assert queue.get(job_id).progress == Progress(step=6, steps=20)

    def test_it_keeps_the_job_beyond_the_first_lease(
        self, redis: Redis, queue: JobQueue, reaper: Reaper, job_id: str
    ) -> None:
        minute = Leases(redis, worker="minute", lease_s=60)
        lease = claimed(minute, job_id)
        for _ in range(4):
            redis.zincrby(PREFIX + "leases", -40e6, job_id)  # the same to it as if 40 s went by
            assert minute.renew(lease) is Standing.HELD
            reaper.sweep()
        assert queue.get(job_id).status is JobStatus.RUNNING

    def test_it_tells_of_a_cancel(self, queue: JobQueue, leases: Leases, job_id: str) -> None:
        lease = claimed(leases, job_id)
        queue.cancel(job_id)
        assert leases.renew(lease) is Standing.CANCELED

    def test_it_tells_of_the_loss(self, leases: Leases, doomed: Leases, reaper: Reaper, job_id: str) -> None:
        lease = claimed(doomed, job_id)
        reaper.sweep()
        assert doomed.renew(lease) is Standing.LOST
        claimed(leases, job_id)
        assert doomed.renew(lease) is Standing.LOST

    def test_a_late_one_saves_a_job_that_nobody_has_taken_yet(
        self, queue: JobQueue, leases: Leases, doomed: Leases, reaper: Reaper, job_id: str
    ) -> None:
        lease = claimed(doomed, job_id)
        assert leases.renew(lease) is Standing.HELD
        reaper.sweep()
        assert queue.get(job_id).status is JobStatus.RUNNING


class TestSettling:
    def test_success_publishes_the_pictures(self, queue: JobQueue, leases: Leases, job_id: str) -> None:
        lease = claimed(leases, job_id)
        assert leases.succeed(lease, pictures_of(lease)) is JobStatus.SUCCEEDED
        job = queue.get(job_id)
        assert job.status is JobStatus.SUCCEEDED
        assert [(image.url, image.seed, image.clip_score) for image in job.images] == [
            (f"/v1/jobs/{job_id}/images/0", 7, 0.25)
        ]
        assert job.metrics.execution_s is not None

    def test_failure_tells_the_reason(self, queue: JobQueue, leases: Leases, job_id: str) -> None:
        lease = claimed(leases, job_id)
        assert leases.fail(lease, JobFailedError("no luck")) is JobStatus.FAILED
        error = queue.get(job_id).error
        assert error is not None
        assert (error.type, error.message) == ("job_failed", "no luck")

    def test_a_cancel_that_came_first_wins(self, queue: JobQueue, leases: Leases, job_id: str) -> None:
        lease = claimed(leases, job_id)
        queue.cancel(job_id)
        assert leases.succeed(lease, pictures_of(lease)) is JobStatus.CANCELED
        job = queue.get(job_id)
        assert (job.status, job.images) == (JobStatus.CANCELED, ())

    def test_a_cancel_that_came_second_changes_nothing(
        self, queue: JobQueue, leases: Leases, job_id: str
    ) -> None:
        lease = claimed(leases, job_id)
        leases.succeed(lease, pictures_of(lease))
        assert queue.cancel(job_id).status is JobStatus.SUCCEEDED

    def test_a_cancel_that_races_the_result_leaves_one_outcome(self, queue: JobQueue, leases: Leases) -> None:
        ids = [queue.submit(RESOLVED).job.id for _ in range(20)]
        held = [claimed(leases, job_id) for job_id in ids]
        with ThreadPoolExecutor(8) as pool:
            told = [pool.submit(leases.succeed, lease, pictures_of(lease)) for lease in held]
            for job_id in ids:
                pool.submit(queue.cancel, job_id)
        for job_id, outcome in zip(ids, told, strict=True):
            job = queue.get(job_id)
            assert job.status is outcome.result()
            assert bool(job.images) == (job.status is JobStatus.SUCCEEDED)

    def test_a_result_whose_answer_was_lost_may_be_sent_again(
        self, queue: JobQueue, leases: Leases, job_id: str
    ) -> None:
        lease = claimed(leases, job_id)
        leases.succeed(lease, pictures_of(lease))
        job = queue.get(job_id)
        assert leases.succeed(lease, pictures_of(lease)) is JobStatus.SUCCEEDED
        assert queue.get(job_id) == job

    def test_the_first_outcome_stays(self, queue: JobQueue, leases: Leases, job_id: str) -> None:
        lease = claimed(leases, job_id)
        leases.fail(lease, JobFailedError("no luck"))
        assert leases.succeed(lease, pictures_of(lease)) is JobStatus.FAILED
        assert queue.get(job_id).images == ()


def settle_as_success(leases: Leases, lease: Lease) -> None:
    leases.succeed(lease, pictures_of(lease))


def settle_as_failure(leases: Leases, lease: Lease) -> None:
    leases.fail(lease, JobFailedError("stale"))


def settle_as_canceled(leases: Leases, lease: Lease) -> None:
    leases.cancel(lease)


class TestStaleExecution:
    @pytest.fixture
    def stale(self, doomed: Leases, reaper: Reaper, job_id: str) -> Lease:
        """An execution that was given up."""
        lease = claimed(doomed, job_id)
        reaper.sweep()
        return lease

    @pytest.mark.parametrize("settle", [settle_as_success, settle_as_failure, settle_as_canceled])
    def test_it_can_settle_nothing(
        self,
        stale: Lease,
        leases: Leases,
        queue: JobQueue,
        job_id: str,
        settle: Callable[[Leases, Lease], None],
    ) -> None:
        waiting = queue.get(job_id)
        with pytest.raises(LeaseLostError, match=job_id):
            settle(leases, stale)
        assert queue.get(job_id) == waiting
        successor = claimed(leases, job_id)
        running = queue.get(job_id)
        with pytest.raises(LeaseLostError, match=stale.fence):
            settle(leases, stale)
        assert queue.get(job_id) == running
        leases.succeed(successor, pictures_of(successor))
        done = queue.get(job_id)
        with pytest.raises(LeaseLostError):
            settle(leases, stale)
        assert queue.get(job_id) == done
        assert queue.images(job_id)[0].key.startswith(successor.artifact_prefix)

    def test_it_can_give_nothing_back(
        self, stale: Lease, leases: Leases, queue: JobQueue, job_id: str, tickets: Tickets
    ) -> None:
        claimed(leases, job_id)
        running, in_line = queue.get(job_id), tickets.queue.get_job_ids()
        leases.release(stale)
        assert queue.get(job_id) == running
        assert tickets.queue.get_job_ids() == in_line

    def test_it_can_write_no_progress(
        self, stale: Lease, leases: Leases, queue: JobQueue, job_id: str
    ) -> None:
        claimed(leases, job_id)
        leases.renew(stale, Progress(step=9, steps=9))
        assert queue.get(job_id).progress == Progress()

    def test_it_can_settle_nothing_after_the_reaper_has_failed_the_job(
        self, redis: Redis, doomed: Leases, queue: JobQueue, job_id: str
    ) -> None:
        lease = claimed(doomed, job_id)
        Reaper(redis, max_attempts=1, outage_grace_s=0).sweep()
        with pytest.raises(LeaseLostError):
            doomed.succeed(lease, pictures_of(lease))
        assert queue.get(job_id).status is JobStatus.FAILED


class TestRelease:
    def test_the_job_waits_again_at_its_old_place(
        self, queue: JobQueue, leases: Leases, tickets: Tickets, job_id: str
    ) -> None:
        later = [queue.submit(RESOLVED).job.id for _ in range(2)]
        tickets.discard([f"{job_id}-first"])  # a worker took it
        lease = claimed(leases, job_id)
        leases.renew(lease, Progress(step=5, steps=20, eta_s=1.5))
        leases.release(lease)
        job = queue.get(job_id)
        assert (job.status, job.queue_position, job.attempts) == (JobStatus.QUEUED, 0, 0)
        assert job.progress == Progress()
        assert set(waiting_tickets(tickets)) == {job_id, *later}

    def test_the_execution_that_gave_it_back_owns_it_no_more(self, leases: Leases, job_id: str) -> None:
        lease = claimed(leases, job_id)
        leases.release(lease)
        assert leases.renew(lease) is Standing.LOST
        assert claimed(leases, job_id).fence != lease.fence

    def test_it_never_uses_up_the_attempts(self, queue: JobQueue, leases: Leases, job_id: str) -> None:
        for _ in range(5):
            leases.release(claimed(leases, job_id))
        claimed(leases, job_id)
        assert queue.get(job_id).attempts == 1

    def test_the_next_execution_learns_of_the_state_that_it_leaves(
        self, queue: JobQueue, leases: Leases, redis: Redis, job_id: str
    ) -> None:
        first = claimed(leases, job_id)
        assert first.state == ""
        leases.release(first, ("a", Progress(step=3, steps=25)))
        progress = queue.get(job_id).progress
        assert (progress.step, progress.steps) == (3, 25)
        second = claimed(leases, job_id)
        assert second.state == f"{first.fence}/a"
        leases.release(second)  # it has done nothing
        third = claimed(leases, job_id)
        assert third.state == f"{first.fence}/a"
        leases.release(third, ("b", Progress(step=4, steps=25)))
        assert claimed(leases, job_id).state == f"{third.fence}/b"
        assert is_due(redis, first)
        assert is_due(redis, second) is False  # it may still store pictures
        assert is_due(redis, third) is None

    def test_a_state_is_due_for_deletion_when_its_job_ends(
        self, leases: Leases, redis: Redis, job_id: str
    ) -> None:
        first = claimed(leases, job_id)
        leases.release(first, ("a", Progress(step=3, steps=25)))
        lease = claimed(leases, job_id)
        leases.succeed(lease, pictures_of(lease))
        assert is_due(redis, first)
        assert redis.hget(f"{PREFIX}job:{job_id}", "state") is None

    def test_a_job_that_is_handed_over_may_start_as_often_as_before(
        self, queue: JobQueue, leases: Leases, job_id: str
    ) -> None:
        for number in range(2 * MAX_STARTS):
            leases.release(claimed(leases, job_id), ("state", Progress(step=number, steps=25)))
        for _ in range(MAX_STARTS - 1):
            leases.release(claimed(leases, job_id))
        assert queue.get(job_id).status is JobStatus.QUEUED
        leases.release(claimed(leases, job_id))
        assert queue.get(job_id).status is JobStatus.FAILED

    def test_nothing_is_started_more_than_ten_times_however_its_executions_end(
        self, queue: JobQueue, leases: Leases, doomed: Leases, reaper: Reaper, redis: Redis, job_id: str
    ) -> None:
        for number in range(MAX_STARTS):
            if number % 3 == 2:
                redis.hset(f"{PREFIX}job:{job_id}", "attempts", 0)  # as if it had been co-held
                claimed(doomed, job_id)
                reaper.sweep()
            else:
                leases.release(claimed(leases, job_id))
        job = queue.get(job_id)
        assert (job.status, job.starts) == (JobStatus.FAILED, MAX_STARTS)
        assert job.error is not None
        assert (job.error.type, "stopped in the last of 10 starts" in job.error.message) == (
            "attempts_exhausted",
            True,
        )
        assert leases.claim_next() is None

    def test_parking_a_job_is_no_start(
        self, redis: Redis, queue: JobQueue, leases: Leases, job_id: str
    ) -> None:
        redis.hset(f"{PREFIX}job:{job_id}", mapping={"starts": MAX_STARTS - 1, "request": '{"new": 1}'})
        assert leases.claim_next() is None
        assert redis.hmget(f"{PREFIX}job:{job_id}", ["status", "starts"]) == ["queued", str(MAX_STARTS - 1)]

    def test_a_job_that_was_told_to_stop_is_canceled_instead(
        self, queue: JobQueue, leases: Leases, job_id: str
    ) -> None:
        lease = claimed(leases, job_id)
        queue.cancel(job_id)
        leases.release(lease)
        assert queue.get(job_id).status is JobStatus.CANCELED


class TestShow:
    def test_what_is_kept_of_a_candidate_leaves_its_trace_out(
        self, redis: Redis, leases: Leases, job_id: str
    ) -> None:
        lease = claimed(leases, job_id)
        (image,) = pictures_of(lease)
        step = GuidedStep(step=0, loss=0.5, losses=(0.5,), gradient_rms=1.0, skipped=False)
        leases.show(lease, image.model_copy(update={"trace": (step,) * 250}))
        record: Any = redis.hgetall(f"{PREFIX}job:{job_id}")
        assert load_candidates(record) == (image,)
        assert len(record["candidate:0"]) < 500
