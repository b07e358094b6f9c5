"""Any order of events ends every job exactly once."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
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

from jobs.db.scripts import PREFIX
from jobs.errors import JobFailedError, JobNotWaitingError, LeaseLostError, UnknownJobError
from jobs.queue.attempts import MAX_ATTEMPTS, MAX_STARTS
from jobs.queue.leases import Lease, Leases, Standing
from jobs.queue.order import cost_of
from jobs.queue.priority import Priorities
from jobs.queue.queue import JobQueue
from jobs.queue.reaper import Reaper
from jobs.queue.retention import Retention
from jobs.queue.tickets import Tickets
from jobs.requests.request import Priority
from jobs.status.job import JobStatus, Progress
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.job_files import BroughtFiles, JobFiles
from tests.jobs.queue.earlier_scripts import AlternatingScripts
from tests.jobs.samples import RESOLVED, pictures_of, put_first

EXAMPLES = 25
EXAMPLES_OF_TWO = 10
STEPS = 30
FEW = 3  # jobs at a time, so that many things happen to each
WORKERS = ("one", "two")
INPUT = "ab" * 32  # digest of a picture that every job keeps
UNREADABLE = '{"prompt": "new", "unheard_of": 1}'


class Lifecycle(RuleBasedStateMachine):
    """Callers, workers that live or die, a reaper and a retention sweep, in any order, over a real server.

    Leases are kept after they were settled, given up or lost: whoever holds one may try anything with it at any time.
    """

    jobs = Bundle("jobs")
    leases = Bundle("leases")

    redis: Redis
    queue: JobQueue
    workers: dict[str, Leases]
    reaper: Reaper
    tickets: Tickets
    artifacts: ArtifactStore
    scripts: AlternatingScripts | None = None
    """Of two versions; None for this one alone."""

    @initialize()
    def start(self) -> None:
        self.redis.flushall()
        self.workers = {
            name: Leases(self.redis, worker=name, lease_s=60, model_patience_s=0) for name in WORKERS
        }
        self.retention = Retention(self.redis, JobFiles(self.artifacts), keep_s=3600)
        self.priorities = Priorities(self.redis)
        self._let_run(self.queue, self.reaper, self.retention, self.priorities, *self.workers.values())
        self.accepted: set[str] = set()
        self.ended: dict[str, JobStatus] = {}
        self.published: dict[str, str] = {}

    @precondition(lambda self: len(self.accepted) < FEW)
    @rule(target=jobs, caller=st.sampled_from(("", "a", "b")), priority=st.sampled_from(Priority))
    def submit(self, caller: str, priority: Priority) -> str:
        return self._accept(caller, priority)

    @precondition(lambda self: len(self.accepted) < FEW)
    @rule(target=jobs)
    def submit_and_die_before_the_ticket(self) -> str:
        job_id = self._accept("", Priority.NORMAL)
        self.tickets.discard([f"{job_id}-first"])
        return job_id

    @rule(target=leases, name=st.sampled_from(WORKERS))
    def claim(self, name: str) -> Lease | MultipleResults[Lease]:
        held = self._held(name)
        quarantined = any(self._field(job_id, "suspect") for job_id in held)
        lease = self.workers[name].claim_next(("pocket",))
        if lease is None:
            return multiple()
        # A quarantined job is alone with its worker, from beginning to end.
        assert not quarantined
        assert not (lease.alone and held)
        return lease

    @rule(target=leases, name=st.sampled_from(WORKERS), job_id=jobs)
    def claim_with_this_one_first(self, name: str, job_id: str) -> Lease | MultipleResults[Lease]:
        put_first(self.redis, job_id)
        lease = self.workers[name].claim_next()
        return multiple() if lease is None else lease

    @rule(target=leases, name=st.sampled_from(WORKERS))
    def claim_once_more_because_the_answer_was_lost(self, name: str) -> Lease | MultipleResults[Lease]:
        leases = self.workers[name]
        answers = [
            leases._scripts("claim", name, 60_000, f"token{len(self.accepted)}", 0, 0) for _ in range(2)
        ]
        assert (answers[0] is None) is (answers[1] is None)
        if answers[0] is None:
            return multiple()
        # An earlier version's answer ends before the place in a trace.
        assert answers[0][:5] == answers[1][:5]
        job_id, fence, _request, alone, tenant, *_ = answers[0]
        return Lease(job_id, fence, RESOLVED, bool(alone), tenant)

    @rule(name=st.sampled_from(WORKERS))
    def a_worker_dies_with_all_it_holds(self, name: str) -> None:
        held = self._held(name)
        before = {job_id: self.queue.get(job_id) for job_id in held}
        alone = {job_id for job_id in held if self._field(job_id, "suspect")}
        for job_id in held:
            self.redis.zadd(PREFIX + "leases", {job_id: 0})
        self.reaper.sweep()
        for job_id, job in before.items():
            after = self.queue.get(job_id)
            if len(held) > 1 and job.starts < MAX_STARTS:
                assert after.status in {JobStatus.QUEUED, JobStatus.CANCELED}
                assert after.attempts == job.attempts - 1
                assert not alone
            else:
                assert after.attempts in {job.attempts, job.attempts - 1}

    @rule()
    def take_a_ticket_and_die(self) -> None:
        self.tickets.queue.lmove(self.tickets.queue.connection, self.tickets.queue.key, None)

    @rule()
    def all_tickets_are_lost(self) -> None:
        self.tickets.discard(self.tickets.queue.get_job_ids())

    @rule(lease=leases)
    def renew(self, lease: Lease) -> None:
        owned = self._owns(lease)
        standing = self.workers["one"].renew(lease, Progress(step=1, steps=2, eta_s=1))
        assert (standing is not Standing.LOST) == owned

    @rule(lease=leases)
    def one_lease_ends(self, lease: Lease) -> None:
        self.redis.zadd(PREFIX + "leases", {lease.job_id: 0}, xx=True)

    @rule(lease=leases)
    def succeed(self, lease: Lease) -> None:
        self.artifacts.put(f"{lease.artifact_prefix}/0.png", b"picture")
        self._settle(lease, lambda: self.workers["one"].succeed(lease, pictures_of(lease)))

    @rule(lease=leases)
    def store_and_die(self, lease: Lease) -> None:
        self.artifacts.put(f"{lease.artifact_prefix}/0.png", b"picture")
        self.redis.zadd(PREFIX + "leases", {lease.job_id: 0}, xx=True)

    @rule(lease=leases)
    def fail(self, lease: Lease) -> None:
        self._settle(lease, lambda: self.workers["one"].fail(lease, JobFailedError("no luck")))

    @rule(lease=leases)
    def stop(self, lease: Lease) -> None:
        self._settle(lease, lambda: self.workers["one"].cancel(lease))

    @rule(lease=leases)
    def release(self, lease: Lease) -> None:
        self.workers["one"].release(lease)
        assert not self._owns(lease)

    @rule(lease=leases)
    def hand_over(self, lease: Lease) -> None:
        self.artifacts.put(f"{lease.artifact_prefix}/state", b"state")
        self.workers["one"].release(lease, ("state", Progress(step=1, steps=2)))
        assert not self._owns(lease)

    @rule(lease=leases)
    def surrender(self, lease: Lease) -> None:
        self.workers["one"].surrender(lease)
        assert not self._owns(lease)

    @rule(job_id=jobs)
    def a_newer_version_wrote_it_and_an_older_worker_meets_it(self, job_id: str) -> None:
        key = f"{PREFIX}job:{job_id}"
        if put_first(self.redis, job_id):
            self.redis.hset(key, "request", UNREADABLE)
            old = Leases(self.redis, worker="old")
            self._let_run(old)
            answer = old._claim((), ())
            assert answer is not None
            assert (answer[0], old._read(*answer)) == (job_id, None)
            assert self.redis.hget(key, "status") == JobStatus.QUEUED
            self.redis.hset(key, "request", RESOLVED.model_dump_json())

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        if job_id in self.accepted:
            self.queue.cancel(job_id)

    @rule(job_id=jobs, priority=st.sampled_from(Priority))
    def prioritize(self, job_id: str, priority: Priority) -> None:
        waits = self._field(job_id, "status") == JobStatus.QUEUED
        if job_id not in self.accepted:
            return
        try:
            self.priorities.change(job_id, priority)
        except JobNotWaitingError:
            assert not waits
        else:
            assert waits
            assert str(self._field(job_id, "flow")).endswith(f":{priority}")

    @rule(job_id=jobs)
    def delete(self, job_id: str) -> None:
        if job_id in self.accepted:
            self.artifacts.delete(job_id)
            self.queue.delete(job_id)
            self._forget(job_id)

    @rule(job_id=jobs)
    def expire(self, job_id: str) -> None:
        self.redis.zadd(PREFIX + "finished", {job_id: 1}, xx=True)
        gone = set(self._index("finished")) & {job_id}
        self.retention.sweep()
        for each in gone:
            assert self.ended[each].is_terminal
            assert self.artifacts.keys(each) == []
            self._forget(each)

    @rule()
    def collect_orphans(self) -> None:
        for place in self._index("orphans"):
            self.redis.zadd(PREFIX + "orphans", {place: 1})
        self.retention.sweep()
        assert self._index("orphans") == set()

    @rule()
    def sweep(self) -> None:
        self.reaper.sweep()
        # A lease that had ended is gone, and there is a ticket for whatever waits.
        assert self.tickets.count() >= len(self._index("waiting"))

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
    def the_other_indexes_agree_with_the_statuses(self) -> None:
        running, queued = self._index("status:running"), self._index("status:queued")
        assert self._index("leases") == running
        assert sorted(job_id for name in WORKERS for job_id in self._held(name)) == sorted(running)
        waiting, aside = self._index("waiting"), self._index("aside")
        assert waiting | aside == queued
        assert waiting & aside == set()
        assert self._index("finished") == self.accepted - running - queued
        assert self.queue.backlog().cost == len(waiting) * cost_of(RESOLVED)

    @invariant()
    def the_bytes_of_all_jobs_are_the_sum_of_each_ones(self) -> None:
        for key, field in (("kept_bytes", "bytes"), ("kept_file_bytes", "file_bytes")):
            total = int(self.redis.get(PREFIX + key) or 0)
            assert total == sum(int(self._field(job_id, field) or 0) for job_id in self.accepted)
        for job_id in self.accepted:
            assert job_id in self.redis.smembers(f"{PREFIX}inputs:{INPUT}")
        assert self.redis.scard(f"{PREFIX}inputs:{INPUT}") == len(self.accepted)

    @invariant()
    def an_outcome_never_changes(self) -> None:
        for job in self.queue.list(limit=1000).data:
            assert self.ended.get(job.id, job.status) is job.status
            assert bool(job.images) == (job.status is JobStatus.SUCCEEDED)
            assert (job.error is not None) == (job.status is JobStatus.FAILED)
            assert 0 <= job.attempts <= MAX_ATTEMPTS
            assert job.attempts <= job.starts
            if job.status.is_terminal:
                self.ended[job.id] = job.status
            if job.images:
                (image,) = self.queue.images(job.id)
                assert self.published.setdefault(job.id, image.key) == image.key
                assert self.artifacts.get(image.key) == b"picture"

    @invariant()
    def the_state_that_a_job_names_is_there_until_its_end(self) -> None:
        for job_id in self.accepted:
            state = self._field(job_id, "state")
            if state:
                assert self.artifacts.get(f"{job_id}/{state}") == b"state"
                assert self.scripts or not self.queue.get(job_id).status.is_terminal

    @invariant()
    def virtual_time_never_passes_what_waits(self) -> None:
        now = float(self.redis.get(PREFIX + "virtual_time") or 0)
        assert now >= getattr(self, "virtual_time", 0.0)
        self.virtual_time = now

    def teardown(self) -> None:
        """Every worker dies, and new ones take what they find until nothing is left."""
        if not hasattr(self, "accepted"):
            return
        for job_id in self._index("leases"):
            self.redis.zadd(PREFIX + "leases", {job_id: 0})
        self.reaper.sweep()
        last = Leases(self.redis, worker="last", model_patience_s=0)
        self._let_run(last)
        while (lease := last.claim_next()) is not None:
            self.artifacts.put(f"{lease.artifact_prefix}/0.png", b"picture")
            last.succeed(lease, pictures_of(lease))
        self.every_job_is_in_exactly_one_status_and_says_so()
        self.the_other_indexes_agree_with_the_statuses()
        self.an_outcome_never_changes()
        assert set(self.ended) == self.accepted
        self._nothing_is_left_over()

    def _nothing_is_left_over(self) -> None:
        self.reaper.sweep()
        self.reaper.sweep()
        assert list(self.redis.scan_iter("{lodestar}:rq:job:*")) == []
        assert self.tickets.taken() == set() == set(self.tickets.queue.get_job_ids())
        assert list(self.redis.scan_iter(PREFIX + "held:*")) == []

    def _let_run(self, *holders: Any) -> None:
        """Have these run the scripts of both versions."""
        for holder in holders if self.scripts else ():
            holder._scripts = self.scripts

    def _accept(self, caller: str, priority: Priority) -> str:
        request = RESOLVED.model_copy(update={"priority": priority})
        files = BroughtFiles(inputs=(INPUT,), inputs_bytes=700, uploads_bytes=30)
        job_id = self.queue.submit(request, caller=caller, files=files).job.id
        self.accepted.add(job_id)
        return job_id

    def _forget(self, job_id: str) -> None:
        self.accepted.remove(job_id)
        self.ended.pop(job_id, None)
        self.published.pop(job_id, None)

    def _settle(self, lease: Lease, settle: Callable[[], JobStatus]) -> None:
        owned = self._owns(lease)
        settled = self._field(lease.job_id, "settled_by") == lease.fence
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
        return running and self._field(lease.job_id, "fence") == lease.fence

    def _field(self, job_id: str, name: str) -> str | None:
        value = self.redis.hget(f"{PREFIX}job:{job_id}", name)
        return None if value is None else str(value)

    def _held(self, name: str) -> list[str]:
        return [str(job_id) for job_id in self.redis.smembers(f"{PREFIX}held:{name}")]

    def _index(self, name: str) -> set[str]:
        return {str(member) for member, _ in self.redis.zscan_iter(PREFIX + name)}


def run_through(machine: type[Lifecycle], examples: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(420)  # shrinking a failure takes minutes, and Hypothesis stops it after five
def test_every_accepted_job_ends_exactly_once_whatever_happens(
    redis: Redis, queue: JobQueue, reaper: Reaper, tickets: Tickets, tmp_path: Path
) -> None:
    class Here(Lifecycle):
        pass

    Here.redis, Here.queue, Here.reaper, Here.tickets = redis, queue, reaper, tickets
    Here.artifacts = ArtifactStore(str(tmp_path / "artifacts"))
    run_through(Here, EXAMPLES)


@pytest.mark.timeout(420)
def test_so_does_each_job_while_processes_of_two_versions_run_together(
    redis: Redis, queue: JobQueue, reaper: Reaper, tickets: Tickets, tmp_path: Path
) -> None:
    class Here(Lifecycle):
        pass

    Here.redis, Here.queue, Here.reaper, Here.tickets = redis, queue, reaper, tickets
    Here.artifacts = ArtifactStore(str(tmp_path / "artifacts"))
    Here.scripts = AlternatingScripts(redis, random.Random(7))
    run_through(Here, EXAMPLES_OF_TWO)
    assert min(Here.scripts.run.values()) > 20
