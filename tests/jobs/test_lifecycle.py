"""Any order of events ends every job exactly once."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis import Redis

from jobs.errors import JobFailedError, LeaseLostError, UnknownJobError
from jobs.leases import Lease, Leases, Standing
from jobs.queue import JobQueue
from jobs.reaper import MAX_ATTEMPTS, Reaper
from jobs.scripts import PREFIX
from jobs.state import JobStatus, Progress
from jobs.tickets import Tickets, job_of
from tests.jobs.samples import RESOLVED, pictures_of

EXAMPLES = 20
STEPS = 25
FEW = 2  # jobs at a time, so that many things happen to each


class Lifecycle(RuleBasedStateMachine):
    """Callers, workers that live or die, and a reaper, in any order, over a real server.

    Leases are kept after they were settled, given up or lost: whoever holds one may try anything with it at any time.
    """

    jobs = Bundle("jobs")
    leases = Bundle("leases")

    redis: Redis
    queue: JobQueue
    steady: Leases
    doomed: Leases
    reaper: Reaper
    tickets: Tickets

    @initialize()
    def start(self) -> None:
        self.redis.flushall()
        self.accepted: set[str] = set()
        self.ended: dict[str, JobStatus] = {}

    @precondition(lambda self: len(self.accepted) < FEW)
    @rule(target=jobs)
    def submit(self) -> str:
        return self._accept()

    @precondition(lambda self: len(self.accepted) < FEW)
    @rule(target=jobs)
    def submit_and_die_before_the_ticket(self) -> str:
        job_id = self._accept()
        self.tickets.discard([f"{job_id}-first"])
        return job_id

    @rule(target=leases, job_id=jobs)
    def claim(self, job_id: str) -> Lease | MultipleResults[Lease]:
        lease = self.steady.claim(job_id)
        return multiple() if lease is None else lease

    @rule(target=leases, job_id=jobs)
    def claim_and_die(self, job_id: str) -> Lease | MultipleResults[Lease]:
        lease = self.doomed.claim(job_id)
        return multiple() if lease is None else lease

    @rule(target=leases, lease=leases)
    def die_and_have_another_worker_take_over(self, lease: Lease) -> Lease | MultipleResults[Lease]:
        self.doomed.renew(lease)
        self.reaper.sweep()
        successor = self.steady.claim(lease.job_id)
        return multiple() if successor is None else successor

    @rule()
    def take_a_ticket_and_die(self) -> None:
        self.tickets.queue.lmove(self.tickets.queue.connection, self.tickets.queue.key, None)

    @rule(lease=leases)
    def renew(self, lease: Lease) -> None:
        owned = self._owns(lease)
        standing = self.steady.renew(lease, Progress(step=1, steps=2, eta_s=1))
        assert (standing is not Standing.LOST) == owned

    @rule(lease=leases)
    def die(self, lease: Lease) -> None:
        self.doomed.renew(lease)

    @rule(lease=leases)
    def succeed(self, lease: Lease) -> None:
        self._settle(lease, lambda: self.steady.succeed(lease, pictures_of(lease)))

    @rule(lease=leases)
    def fail(self, lease: Lease) -> None:
        self._settle(lease, lambda: self.steady.fail(lease, JobFailedError("no luck")))

    @rule(lease=leases)
    def stop(self, lease: Lease) -> None:
        self._settle(lease, lambda: self.steady.cancel(lease))

    @rule(lease=leases)
    def release(self, lease: Lease) -> None:
        self.steady.release(lease)
        assert not self._owns(lease)

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        if job_id in self.accepted:
            self.queue.cancel(job_id)

    @rule(job_id=jobs)
    def delete(self, job_id: str) -> None:
        if job_id in self.accepted:
            self.queue.delete(job_id)
            self.accepted.remove(job_id)
            self.ended.pop(job_id, None)

    @rule()
    def sweep(self) -> None:
        self.reaper.sweep()
        # A lease that had ended is gone, and whatever waits has a ticket.
        assert self._index("status:queued") <= self.tickets.waiting()

    @invariant()
    def every_job_is_in_exactly_one_status_and_says_so(self) -> None:
        seen: list[str] = []
        for status in JobStatus:
            for job_id in self._index(f"status:{status}"):
                assert self.redis.hget(f"{PREFIX}job:{job_id}", "status") == status
                seen.append(job_id)
        assert sorted(seen) == sorted(self.accepted)
        assert self._index("jobs") == self.accepted

    @invariant()
    def only_running_jobs_are_leased(self) -> None:
        assert self._index("leases") == self._index("status:running")

    @invariant()
    def an_outcome_never_changes(self) -> None:
        for job in self.queue.list(limit=1000).data:
            assert self.ended.get(job.id, job.status) is job.status
            assert bool(job.images) == (job.status is JobStatus.SUCCEEDED)
            assert (job.error is not None) == (job.status is JobStatus.FAILED)
            assert job.attempts <= MAX_ATTEMPTS
            if job.status.is_terminal:
                self.ended[job.id] = job.status

    def teardown(self) -> None:
        """Every worker dies, and a new one takes what it finds in the queue until nothing is left."""
        if not hasattr(self, "accepted"):
            return
        for job_id in self._index("leases"):
            self.redis.zadd(PREFIX + "leases", {job_id: 0})
        self.reaper.sweep()
        for ticket_id in self.tickets.queue.get_job_ids():
            lease = self.steady.claim(job_of(ticket_id))
            if lease is not None:
                self.steady.succeed(lease, pictures_of(lease))
        self.every_job_is_in_exactly_one_status_and_says_so()
        self.only_running_jobs_are_leased()
        self.an_outcome_never_changes()
        assert set(self.ended) == self.accepted
        self.reaper.sweep()
        assert list(self.redis.scan_iter("rq:job:*")) == []
        assert self.tickets.taken() == self.tickets.waiting() == set()

    def _accept(self) -> str:
        job_id = self.queue.submit(RESOLVED).job.id
        self.accepted.add(job_id)
        return job_id

    def _settle(self, lease: Lease, settle: Callable[[], JobStatus]) -> None:
        owned = self._owns(lease)
        settled = self.redis.hget(f"{PREFIX}job:{lease.job_id}", "settled_by") == lease.fence
        try:
            status = settle()
        except LeaseLostError:
            assert not owned
            assert not settled
        else:
            assert owned or settled
            assert self.queue.get(lease.job_id).status is status

    def _owns(self, lease: Lease) -> bool:
        try:
            running = self.queue.get(lease.job_id).status is JobStatus.RUNNING
        except UnknownJobError:
            return False
        return running and self.redis.hget(f"{PREFIX}job:{lease.job_id}", "fence") == lease.fence

    def _index(self, name: str) -> set[str]:
        return {str(member) for member, _ in self.redis.zscan_iter(PREFIX + name)}


@pytest.mark.timeout(420)  # shrinking a failure takes minutes, and Hypothesis stops it after five
def test_every_accepted_job_ends_exactly_once_whatever_happens(
    redis: Redis, queue: JobQueue, leases: Leases, doomed: Leases, reaper: Reaper, tickets: Tickets
) -> None:
    class Here(Lifecycle):
        pass

    Here.redis, Here.queue, Here.steady, Here.doomed = redis, queue, leases, doomed
    Here.reaper, Here.tickets = reaper, tickets
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
