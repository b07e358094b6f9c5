import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis
from rq.executions import Execution

from jobs.leases import Leases, Standing
from jobs.queue import JobQueue
from jobs.reaper import MAX_ATTEMPTS, SWEEP_EVERY_S, TICKET_GRACE_S, Reaper
from jobs.scripts import PREFIX
from jobs.state import JobError, JobStatus, Progress
from jobs.tickets import TICKET_TIMEOUT_S, Tickets, job_of
from tests.jobs.samples import RESOLVED, claimed, pictures_of


@pytest.fixture
def job_id(queue: JobQueue) -> str:
    """A waiting job."""
    return queue.submit(RESOLVED).job.id


def in_line(tickets: Tickets) -> list[str]:
    """Ids of the jobs whose tickets wait, the next one first."""
    return [job_of(ticket_id) for ticket_id in tickets.queue.get_job_ids()]


def take(tickets: Tickets) -> str:
    """What an RQ worker does first: move the next ticket aside. Its id."""
    taken = tickets.queue.lmove(tickets.queue.connection, tickets.queue.key, None)
    assert taken is not None
    return str(taken[1].decode())


class TestAbandonedJob:
    def test_it_waits_again_at_the_front_with_a_ticket(
        self, job_id: str, queue: JobQueue, doomed: Leases, reaper: Reaper, tickets: Tickets
    ) -> None:
        later = queue.submit(RESOLVED).job.id
        tickets.discard([take(tickets)])
        doomed.renew(claimed(doomed, job_id), Progress(step=5, steps=20, eta_s=1.5))
        reaper.sweep()
        job = queue.get(job_id)
        assert (job.status, job.queue_position, job.attempts) == (JobStatus.QUEUED, 0, 1)
        assert job.progress == Progress()
        assert in_line(tickets) == [job_id, later]

    def test_its_next_worker_finishes_it(
        self, job_id: str, queue: JobQueue, doomed: Leases, leases: Leases, reaper: Reaper
    ) -> None:
        claimed(doomed, job_id)
        reaper.sweep()
        lease = claimed(leases, job_id)
        leases.succeed(lease, pictures_of(lease))
        job = queue.get(job_id)
        assert (job.status, job.attempts, job.worker) == (JobStatus.SUCCEEDED, 2, "steady")

    def test_the_third_loss_is_the_last(
        self, job_id: str, queue: JobQueue, doomed: Leases, reaper: Reaper, tickets: Tickets
    ) -> None:
        for _ in range(MAX_ATTEMPTS):
            claimed(doomed, job_id)
            reaper.sweep()
        job = queue.get(job_id)
        assert (job.status, job.attempts) == (JobStatus.FAILED, 3)
        assert job.error == JobError(
            type="attempts_exhausted", message="its worker was lost in each of 3 attempts"
        )
        assert doomed.claim(job_id) is None
        reaper.sweep()
        assert in_line(tickets) == []

    def test_a_cancel_that_its_worker_never_saw_is_carried_out(
        self, job_id: str, queue: JobQueue, doomed: Leases, reaper: Reaper
    ) -> None:
        claimed(doomed, job_id)
        queue.cancel(job_id)
        reaper.sweep()
        assert queue.get(job_id).status is JobStatus.CANCELED

    def test_a_good_lease_is_left_alone(
        self, job_id: str, queue: JobQueue, leases: Leases, reaper: Reaper
    ) -> None:
        lease = claimed(leases, job_id)
        reaper.sweep()
        assert queue.get(job_id).status is JobStatus.RUNNING
        assert leases.renew(lease) is Standing.HELD

    def test_a_lease_without_its_job_is_dropped(self, redis: Redis, reaper: Reaper) -> None:
        redis.zadd(PREFIX + "leases", {"nobody": 1})
        reaper.sweep()
        assert redis.zcard(PREFIX + "leases") == 0

    def test_ten_reapers_at_once_recover_it_once(
        self, job_id: str, redis: Redis, queue: JobQueue, doomed: Leases, tickets: Tickets
    ) -> None:
        tickets.discard([take(tickets)])
        claimed(doomed, job_id)
        reapers = [Reaper(redis) for _ in range(10)]
        with ThreadPoolExecutor(10) as pool:
            list(pool.map(Reaper.sweep, reapers))
        assert (queue.get(job_id).status, queue.get(job_id).attempts) == (JobStatus.QUEUED, 1)
        assert in_line(tickets) == [job_id]


class TestLostTicket:
    def test_it_is_written_again_only_after_the_grace(
        self, job_id: str, redis: Redis, tickets: Tickets
    ) -> None:
        reaper = Reaper(redis, ticket_grace_s=0.3)
        tickets.discard([take(tickets)])
        reaper.sweep()
        assert in_line(tickets) == []
        time.sleep(0.35)
        reaper.sweep()
        assert in_line(tickets) == [job_id]
        reaper.sweep()
        assert in_line(tickets) == [job_id]

    def test_one_that_a_worker_took_and_never_used_counts_as_lost_after_the_grace(
        self, job_id: str, redis: Redis, tickets: Tickets
    ) -> None:
        reaper = Reaper(redis, ticket_grace_s=0.3)
        taken = take(tickets)
        reaper.sweep()
        assert (in_line(tickets), tickets.taken()) == ([], {taken})
        time.sleep(0.35)
        reaper.sweep()
        assert (in_line(tickets), tickets.taken()) == ([job_id], set())

    def test_the_oldest_job_comes_first_again(
        self, queue: JobQueue, reaper: Reaper, tickets: Tickets
    ) -> None:
        ids = [queue.submit(RESOLVED).job.id for _ in range(4)]
        tickets.queue.connection.delete(tickets.queue.key)
        reaper.sweep()
        assert in_line(tickets) == ids

    def test_ten_reapers_at_once_write_it_once(self, job_id: str, redis: Redis, tickets: Tickets) -> None:
        tickets.discard([take(tickets)])
        reapers = [Reaper(redis, ticket_grace_s=0.5) for _ in range(10)]
        with ThreadPoolExecutor(10) as pool:
            list(pool.map(Reaper.sweep, reapers))
            time.sleep(0.55)
            list(pool.map(Reaper.sweep, reapers))
        assert in_line(tickets) == [job_id]

    def test_the_grace_is_longer_than_two_sweeps(self) -> None:
        assert TICKET_GRACE_S > 2 * SWEEP_EVERY_S


class TestLeftovers:
    """Nothing that RQ keeps of a ticket may outlive it, or Redis fills up."""

    def test_tickets_of_jobs_that_wait_no_more_are_removed(
        self, redis: Redis, queue: JobQueue, leases: Leases, reaper: Reaper, tickets: Tickets
    ) -> None:
        canceled, deleted, running, waiting = (queue.submit(RESOLVED).job.id for _ in range(4))
        queue.cancel(canceled)
        queue.delete(deleted)
        claimed(leases, running)
        reaper.sweep()
        assert in_line(tickets) == [waiting]
        assert list(redis.scan_iter("rq:job:*")) == [f"rq:job:{waiting}-first"]

    def test_a_taken_ticket_whose_record_is_gone_is_removed(
        self, job_id: str, redis: Redis, queue: JobQueue, reaper: Reaper, tickets: Tickets
    ) -> None:
        redis.delete(f"rq:job:{take(tickets)}")
        queue.delete(job_id)
        reaper.sweep()
        assert tickets.taken() == set()

    def test_a_ticket_that_a_worker_died_on_is_no_work_in_progress_for_ever(
        self, job_id: str, redis: Redis, leases: Leases, reaper: Reaper, tickets: Tickets
    ) -> None:
        ticket = tickets.queue.fetch_job(take(tickets))
        assert ticket is not None
        with tickets.queue.connection.pipeline() as pipeline:
            Execution.create(ticket, ttl=TICKET_TIMEOUT_S, pipeline=pipeline)
            ticket.prepare_for_execution("died", pipeline=pipeline)
            pipeline.execute()
        claimed(leases, job_id)
        reaper.sweep()
        assert redis.zcard("rq:wip:lodestar") == 1
        for member, _ in redis.zscan_iter("rq:wip:lodestar"):
            redis.zadd("rq:wip:lodestar", {member: 1})  # its worker is silent for good
        reaper.sweep()
        assert redis.zcard("rq:wip:lodestar") == 0
        assert tickets.taken() == set()
        assert all(0 < redis.ttl(key) <= 3600 for key in redis.scan_iter("rq:job:*"))

    def test_a_whole_life_leaves_only_the_job_itself(
        self, job_id: str, redis: Redis, leases: Leases, doomed: Leases, reaper: Reaper, tickets: Tickets
    ) -> None:
        claimed(doomed, job_id)
        reaper.sweep()
        leases.release(claimed(leases, job_id))
        lease = claimed(leases, job_id)
        leases.succeed(lease, pictures_of(lease))
        reaper.sweep()
        expected = {PREFIX + f"job:{job_id}", PREFIX + "jobs", PREFIX + "status:succeeded", "rq:queues"}
        expected |= {PREFIX + "events", PREFIX + f"events:{job_id}"}
        assert 0 < redis.ttl(PREFIX + f"events:{job_id}") <= 3600
        assert {key for key in redis.scan_iter("*") if ":reissued:" not in key} == expected


def test_a_sweep_of_a_full_queue_is_quick(
    queue: JobQueue, redis: Redis, reaper: Reaper, tickets: Tickets
) -> None:
    job_id = queue.submit(RESOLVED).job.id
    with redis.pipeline(transaction=False) as pipeline:
        for number in range(10_000):
            pipeline.zadd(PREFIX + "status:queued", {f"{number:024}": number})
            pipeline.rpush("rq:queue:lodestar", f"{number:024}-first")
        pipeline.execute()
    start = time.perf_counter()
    reaper.sweep()
    assert time.perf_counter() - start < SWEEP_EVERY_S / 2
    assert job_id in tickets.waiting()
