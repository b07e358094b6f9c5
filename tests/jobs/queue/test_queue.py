from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from redis import Redis

from jobs.db.scripts import PREFIX, Scripts
from jobs.errors import IdempotencyConflictError, InvalidRequestError, QueueFullError, UnknownJobError
from jobs.queue.leases import Leases, Standing
from jobs.queue.ledger import Ledger
from jobs.queue.queue import JobQueue
from jobs.queue.reaper import Reaper
from jobs.queue.submission import IDEMPOTENCY_TTL_S
from jobs.queue.tickets import Tickets
from jobs.requests.request import GenerateRequest
from jobs.status.job import JobError, JobStatus, Progress
from tests.jobs.samples import ORIGINAL, RESOLVED, claimed, pictures_of, resolved, submission, waiting_tickets


def submit(queue: JobQueue, count: int) -> list[str]:
    """Ids of new jobs, oldest first."""
    return [queue.submit(resolved(f"picture {number}")).job.id for number in range(count)]


def test_a_new_job_waits_and_says_all_that_is_known(queue: JobQueue) -> None:
    submission = queue.submit(RESOLVED)
    job = submission.job
    assert not submission.replayed
    assert job.status is JobStatus.QUEUED
    assert job.request == RESOLVED
    assert job.queue_position == 0
    assert abs(datetime.now(UTC) - job.created_at) < timedelta(seconds=5)
    assert (job.attempts, job.images, job.error, job.started_at, job.finished_at) == (0, (), None, None, None)
    assert job.urls == {
        "self": f"/v1/jobs/{job.id}",
        "cancel": f"/v1/jobs/{job.id}/cancel",
        "events": f"/v1/jobs/{job.id}/events",
    }
    assert queue.get(job.id) == job


def test_a_new_job_gets_one_ticket(queue: JobQueue, tickets: Tickets) -> None:
    job_id = queue.submit(RESOLVED).job.id
    assert waiting_tickets(tickets) == [job_id]


def test_ids_cannot_be_guessed(queue: JobQueue) -> None:
    ids = submit(queue, 20)
    by_chance = {job_id[12:] for job_id in ids}
    assert len(by_chance) == 20
    assert all(len(digits) == 16 and int(digits, 16) for digits in by_chance)
    assert len({job_id[:12] for job_id in ids}) > 1  # the milliseconds in which they came
    assert [job_id[:12] for job_id in ids] == sorted(job_id[:12] for job_id in ids)


def test_an_unknown_job_is_told_from_a_waiting_one(queue: JobQueue) -> None:
    for ask in (queue.get, queue.images, queue.cancel, queue.delete):
        with pytest.raises(UnknownJobError, match="there is no job 'nobody'"):
            ask("nobody")


def test_a_queued_job_knows_how_many_wait_before_it(queue: JobQueue, leases: Leases) -> None:
    ids = submit(queue, 3)
    assert [queue.get(job_id).queue_position for job_id in ids] == [0, 1, 2]
    claimed(leases, ids[0])
    assert [queue.get(job_id).queue_position for job_id in ids] == [None, 0, 1]
    queue.cancel(ids[1])
    assert [queue.get(job_id).queue_position for job_id in ids] == [None, None, 0]


def test_a_full_queue_refuses_naming_its_limit_and_takes_again_when_one_leaves(
    redis: Redis, leases: Leases
) -> None:
    queue = JobQueue(redis, max_queued=2)
    first, _ = submit(queue, 2)
    with pytest.raises(QueueFullError, match="2 jobs are waiting already"):
        queue.submit(RESOLVED)
    assert len(queue.list().data) == 2
    claimed(leases, first)
    queue.submit(RESOLVED)


def test_a_full_queue_still_replays(redis: Redis) -> None:
    queue = JobQueue(redis, max_queued=1)
    first = queue.submit(RESOLVED, idempotency_key="key")
    assert queue.submit(RESOLVED, idempotency_key="key").job.id == first.job.id


class TestIdempotency:
    def test_the_same_key_and_request_replay_the_first_job(self, queue: JobQueue, tickets: Tickets) -> None:
        first = queue.submit(RESOLVED, idempotency_key="key", original=ORIGINAL)
        other_seed = RESOLVED.model_copy(update={"seed": 8})
        again = queue.submit(other_seed, idempotency_key="key", original=ORIGINAL)
        assert again.replayed
        assert again.job == first.job
        assert waiting_tickets(tickets) == [first.job.id]

    def test_the_same_key_with_another_request_conflicts(self, queue: JobQueue) -> None:
        queue.submit(RESOLVED, idempotency_key="key", original=ORIGINAL)
        with pytest.raises(IdempotencyConflictError) as caught:
            queue.submit(RESOLVED, idempotency_key="key", original=GenerateRequest(prompt="a blue pear"))
        assert caught.value.field == "Idempotency-Key"
        assert len(queue.list().data) == 1

    def test_other_keys_and_none_are_other_jobs(self, queue: JobQueue) -> None:
        keys = ["one", "two", None, None]
        assert len({queue.submit(RESOLVED, idempotency_key=key).job.id for key in keys}) == 4

    def test_a_finished_job_is_replayed_without_a_new_ticket(
        self, queue: JobQueue, leases: Leases, tickets: Tickets
    ) -> None:
        job_id = queue.submit(RESOLVED, idempotency_key="key").job.id
        lease = claimed(leases, job_id)
        leases.succeed(lease, pictures_of(lease))
        tickets.discard([f"{job_id}-first"])
        again = queue.submit(RESOLVED, idempotency_key="key")
        assert (again.replayed, again.job.status) == (True, JobStatus.SUCCEEDED)
        assert waiting_tickets(tickets) == []

    def test_the_key_of_a_deleted_job_is_free(self, queue: JobQueue) -> None:
        first = queue.submit(RESOLVED, idempotency_key="key").job.id
        queue.delete(first)
        again = queue.submit(resolved("something else"), idempotency_key="key")
        assert not again.replayed
        assert again.job.id != first

    def test_keys_are_kept_for_a_day(self, queue: JobQueue, redis: Redis) -> None:
        queue.submit(RESOLVED, idempotency_key="key")
        kept_s = redis.ttl(f"{PREFIX}idempotency:key")
        assert isinstance(kept_s, int)
        assert IDEMPOTENCY_TTL_S - 60 < kept_s <= IDEMPOTENCY_TTL_S == 24 * 3600

    def test_a_key_belongs_to_its_caller(self, queue: JobQueue) -> None:
        callers = ["", "alice", "bob", "alice:key"]
        jobs = {
            caller: queue.submit(resolved(caller or "x"), idempotency_key="key", caller=caller)
            for caller in callers
        }
        assert not any(submission.replayed for submission in jobs.values())
        assert len({submission.job.id for submission in jobs.values()}) == 4
        for caller, first in jobs.items():
            again = queue.submit(resolved(caller or "x"), idempotency_key="key", caller=caller)
            assert (again.replayed, again.job.id) == (True, first.job.id)

    def test_no_key_of_one_caller_can_be_spelled_as_another_s(self, queue: JobQueue, redis: Redis) -> None:
        queue.submit(RESOLVED, idempotency_key="key", caller="alice")
        (place,) = (str(name) for name in redis.scan_iter(f"{PREFIX}idempotency*"))
        for spelled in (place, place.removeprefix(PREFIX), place.partition(":")[2].partition(":")[2]):
            assert not queue.submit(resolved("other"), idempotency_key=spelled).replayed

    def test_an_owner_of_a_key_may_be_another_than_the_caller(self, queue: JobQueue) -> None:
        first = queue.submit(RESOLVED, idempotency_key="key", key_owner="a1111")
        assert not queue.submit(RESOLVED, idempotency_key="key").replayed
        again = queue.submit(RESOLVED, idempotency_key="key", key_owner="a1111", caller="alice")
        assert again.job.id == first.job.id

    def test_50_threads_under_one_key_make_one_job(self, queue: JobQueue, tickets: Tickets) -> None:
        with ThreadPoolExecutor(50) as pool:
            submissions = list(
                pool.map(
                    lambda _: queue.submit(RESOLVED, idempotency_key="key", original=ORIGINAL), range(50)
                )
            )
        assert len({submission.job.id for submission in submissions}) == 1
        assert [submission.replayed for submission in submissions].count(False) == 1
        assert len(queue.list().data) == 1
        assert len(waiting_tickets(tickets)) == 1


class TestSubmitterThatDiedBeforeWritingItsTicket:
    @pytest.fixture
    def job_id(self, queue: JobQueue, tickets: Tickets) -> str:
        """A job stored by a submitter that got no further."""
        job_id = queue.submit(RESOLVED, idempotency_key="key").job.id
        tickets.discard([f"{job_id}-first"])
        assert waiting_tickets(tickets) == []
        return job_id

    def test_the_stored_job_is_complete(self, scripts: Scripts, queue: JobQueue, tickets: Tickets) -> None:
        assert scripts("submit", *submission("id")) == ["accepted", "id"]
        assert queue.get("id").request == RESOLVED
        assert waiting_tickets(tickets) == []

    def test_the_replay_writes_the_ticket(self, job_id: str, queue: JobQueue, tickets: Tickets) -> None:
        assert queue.submit(RESOLVED, idempotency_key="key").job.id == job_id
        assert waiting_tickets(tickets) == [job_id]

    def test_the_reaper_writes_the_ticket(self, job_id: str, reaper: Reaper, tickets: Tickets) -> None:
        reaper.sweep()
        assert waiting_tickets(tickets) == [job_id]


class TestSubmissionWhoseAnswerWasLost:
    """redis-py sends a command again when the connection breaks before its answer."""

    def test_it_is_accepted_once(self, scripts: Scripts, queue: JobQueue) -> None:
        arguments = submission("id", most=1, key="key")
        assert scripts("submit", *arguments) == ["accepted", "id"]
        stored = queue.get("id")
        assert scripts("submit", *arguments) == ["accepted", "id"]
        assert queue.get("id") == stored
        assert queue.counts()[JobStatus.QUEUED] == 1

    def test_it_does_not_take_a_job_from_its_worker(
        self, scripts: Scripts, queue: JobQueue, leases: Leases
    ) -> None:
        arguments = submission("id")
        scripts("submit", *arguments)
        lease = claimed(leases, "id")
        scripts("submit", *arguments)
        assert queue.get("id").status is JobStatus.RUNNING
        assert leases.renew(lease) is Standing.HELD


class TestList:
    def test_it_is_newest_first(self, queue: JobQueue) -> None:
        ids = submit(queue, 3)
        page = queue.list()
        assert [job.id for job in page.data] == ids[::-1]
        assert page.next_cursor is None
        assert [job.queue_position for job in page.data] == [2, 1, 0]

    def test_an_empty_queue_has_one_empty_page(self, queue: JobQueue) -> None:
        assert queue.list().data == ()
        assert queue.list().next_cursor is None

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 50])
    def test_cursors_walk_over_every_job_once(self, queue: JobQueue, limit: int) -> None:
        ids = submit(queue, 7)
        seen: list[str] = []
        cursor: str | None = None
        while True:
            page = queue.list(cursor=cursor, limit=limit)
            assert len(page.data) <= limit
            seen += [job.id for job in page.data]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert seen == ids[::-1]

    def test_jobs_that_come_or_go_between_pages_do_not_shift_them(self, queue: JobQueue) -> None:
        ids = submit(queue, 4)
        first = queue.list(limit=2)
        submit(queue, 2)
        queue.delete(ids[3])
        second = queue.list(limit=2, cursor=first.next_cursor)
        assert [job.id for job in second.data] == [ids[1], ids[0]]

    def test_a_status_filters(self, queue: JobQueue, leases: Leases) -> None:
        waiting, running, done, failed, gone = submit(queue, 5)
        claimed(leases, running)
        lease = claimed(leases, done)
        leases.succeed(lease, pictures_of(lease))
        leases.fail(claimed(leases, failed), QueueFullError("no"))
        queue.cancel(gone)
        expected = zip(JobStatus, (waiting, running, done, failed, gone), strict=True)
        for status, job_id in expected:
            assert [job.id for job in queue.list(status=status).data] == [job_id]
        assert queue.counts() == dict.fromkeys(JobStatus, 1)

    def test_a_status_and_a_cursor_go_together(self, queue: JobQueue) -> None:
        ids = submit(queue, 4)
        queue.cancel(ids[2])
        first = queue.list(status=JobStatus.QUEUED, limit=2)
        second = queue.list(status=JobStatus.QUEUED, limit=2, cursor=first.next_cursor)
        assert [job.id for page in (first, second) for job in page.data] == [ids[3], ids[1], ids[0]]

    @pytest.mark.parametrize(
        "cursor", ["", "x", "-1", "1.5", "1e3", "inf", "+inf", " 1", "1_0", "١", "9" * 18]
    )
    def test_a_cursor_that_is_none_of_ours_is_refused(self, queue: JobQueue, cursor: str) -> None:
        with pytest.raises(InvalidRequestError, match="next_cursor") as caught:
            queue.list(cursor=cursor)
        assert caught.value.field == "cursor"

    @pytest.mark.parametrize("limit", [0, -1])
    def test_a_limit_below_one_is_refused(self, queue: JobQueue, limit: int) -> None:
        with pytest.raises(InvalidRequestError, match="at least 1") as caught:
            queue.list(limit=limit)
        assert caught.value.field == "limit"

    def test_no_two_jobs_share_a_place_even_when_the_clock_is_set_back(
        self, queue: JobQueue, redis: Redis
    ) -> None:
        early = queue.submit(RESOLVED).job
        an_hour_ahead = (early.created_at + timedelta(hours=1)).timestamp() * 1e6
        for index in ("jobs", "status:queued"):
            redis.zadd(PREFIX + index, {early.id: an_hour_ahead})
        late = queue.submit(RESOLVED).job
        assert [job.id for job in queue.list().data] == [late.id, early.id]
        assert late.queue_position == 1


class TestCancel:
    def test_a_waiting_job_is_canceled_at_once(self, queue: JobQueue, leases: Leases) -> None:
        job_id = queue.submit(RESOLVED).job.id
        job = queue.cancel(job_id)
        assert job.status is JobStatus.CANCELED
        assert job.finished_at is not None
        assert leases.claim_next() is None

    def test_a_running_job_is_told_to_stop(self, queue: JobQueue, leases: Leases) -> None:
        job_id = queue.submit(RESOLVED).job.id
        lease = claimed(leases, job_id)
        job = queue.cancel(job_id)
        assert (job.status, job.cancel_requested) == (JobStatus.RUNNING, True)
        assert leases.renew(lease) is Standing.CANCELED
        assert leases.cancel(lease) is JobStatus.CANCELED
        job = queue.get(job_id)
        assert (job.status, job.cancel_requested, job.error) == (JobStatus.CANCELED, False, None)

    def test_it_may_be_asked_for_twice(self, queue: JobQueue) -> None:
        job_id = queue.submit(RESOLVED).job.id
        assert queue.cancel(job_id) == queue.cancel(job_id)

    def test_a_finished_job_stays_as_it_is(self, queue: JobQueue, leases: Leases) -> None:
        done, failed = submit(queue, 2)
        lease = claimed(leases, done)
        leases.succeed(lease, pictures_of(lease))
        leases.fail(claimed(leases, failed), QueueFullError("no"))
        for job_id in (done, failed):
            before = queue.get(job_id)
            assert queue.cancel(job_id) == before


class TestDelete:
    def test_a_job_of_any_status_is_forgotten(self, queue: JobQueue, leases: Leases, redis: Redis) -> None:
        ids = submit(queue, 5)
        claimed(leases, ids[1])
        lease = claimed(leases, ids[2])
        leases.succeed(lease, pictures_of(lease))
        leases.fail(claimed(leases, ids[3]), QueueFullError("no"))
        queue.cancel(ids[4])
        for job_id in ids:
            queue.delete(job_id)
            with pytest.raises(UnknownJobError):
                queue.get(job_id)
        assert queue.list().data == ()
        assert queue.counts() == dict.fromkeys(JobStatus, 0)
        # What is left is of a fixed size, expires, or says what is to be collected.
        kept = {key.removeprefix(PREFIX) for key in redis.scan_iter(PREFIX + "*")}
        kept = {key for key in kept if not key.startswith("rq:")}  # its tickets
        # What those who follow the jobs are still to be told stays for a minute, and the last events of all jobs stay.
        streams = {f"events:{job_id}" for job_id in ids}
        used = f"usage:default:{Ledger(redis).month()}"
        assert kept == {
            "virtual_time",
            "waiting_cost",
            "tallies",
            "kept_bytes",
            "flows",
            "claimed:steady",
            "orphans",
            "events",
            used,
            *streams,
        }
        assert all(0 < redis.ttl(PREFIX + stream) <= 60 for stream in streams)
        assert redis.get(PREFIX + "waiting_cost") == "0"
        assert redis.zrange(PREFIX + "orphans", 0, -1) == [ids[1]]

    def test_its_worker_finds_the_lease_lost(self, queue: JobQueue, leases: Leases) -> None:
        job_id = queue.submit(RESOLVED).job.id
        lease = claimed(leases, job_id)
        queue.delete(job_id)
        assert leases.renew(lease, Progress(step=1, steps=2)) is Standing.LOST
        with pytest.raises(UnknownJobError):
            queue.get(job_id)

    def test_its_ticket_is_worth_nothing(self, queue: JobQueue, leases: Leases) -> None:
        job_id = queue.submit(RESOLVED).job.id
        queue.delete(job_id)
        assert leases.claim_next() is None

    def test_only_once(self, queue: JobQueue) -> None:
        job_id = queue.submit(RESOLVED).job.id
        queue.delete(job_id)
        with pytest.raises(UnknownJobError):
            queue.delete(job_id)


def test_pictures_can_be_looked_up_once_the_job_has_succeeded(queue: JobQueue, leases: Leases) -> None:
    job_id = queue.submit(RESOLVED).job.id
    assert queue.images(job_id) == ()
    lease = claimed(leases, job_id)
    assert queue.images(job_id) == ()
    leases.succeed(lease, pictures_of(lease))
    assert queue.images(job_id) == pictures_of(lease)


def test_a_failed_job_says_why(queue: JobQueue, leases: Leases) -> None:
    job_id = queue.submit(RESOLVED).job.id
    leases.fail(claimed(leases, job_id), QueueFullError("it was too much"))
    assert queue.get(job_id).error == JobError(type="queue_full", message="it was too much")


def test_check_is_silent_while_all_is_well(queue: JobQueue) -> None:
    queue.check()
