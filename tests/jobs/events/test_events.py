"""The events that the scripts leave, one for each change, and how they are read."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any, TypeVar

import pytest
from redis import Redis

from jobs.db import keys
from jobs.db.connection import connect_async
from jobs.errors import LeaseLostError, QueueUnavailableError, UnknownJobError
from jobs.events import event_log
from jobs.events.event_log import EventLog, EventsMissedError
from jobs.events.events import CandidateEvent, DoneEvent, read_event
from jobs.events.webhooks import WebhookQueue
from jobs.queue.leases import Leases
from jobs.queue.queue import JobQueue
from jobs.queue.reaper import Reaper
from jobs.requests.delivery.webhook import Webhook
from jobs.status.job import JobStatus, Progress
from jobs.status.view import WHOLE, View
from tests.jobs.samples import ORIGINAL, RESOLVED, claimed, pictures_of

T = TypeVar("T")


def told(redis: Redis, job_id: str) -> list[str]:
    """The events of a job's own stream, which must equal those of the stream of all jobs but for the progress."""
    rows: Any = redis.xrange(f"{{lodestar}}:events:{job_id}")
    of_all: Any = redis.xrange("{lodestar}:events")
    own = [fields for _, fields in rows]
    assert [{**fields, "job_id": job_id} for fields in own if fields["type"] != "progress"] == [
        fields for _, fields in of_all if fields["job_id"] == job_id
    ]
    return [fields["type"] for fields in own]


def reading(url: str, read: Callable[[EventLog], Awaitable[T]]) -> T:
    """The result of a reader."""

    async def read_once() -> T:
        client = connect_async(url, max_connections=2)
        try:
            return await read(EventLog(client))
        finally:
            await client.aclose()

    return asyncio.run(read_once())


def test_each_change_is_told_once_however_often_it_is_repeated(
    queue: JobQueue, leases: Leases, redis: Redis
) -> None:
    for _ in range(3):
        job_id = queue.submit(RESOLVED, idempotency_key="k", original=ORIGINAL).job.id
    lease = claimed(leases, job_id)
    assert leases.claim_next() is None
    for _ in range(3):
        leases.renew(lease, Progress(step=1, steps=2))
        leases.renew(lease)
    leases.renew(lease, Progress(step=2, steps=2))
    for _ in range(3):
        queue.cancel(job_id)
    for _ in range(3):
        assert leases.succeed(lease, pictures_of(lease)) is JobStatus.CANCELED
    queue.cancel(job_id)
    assert told(redis, job_id) == ["queued", "started", "progress", "progress", "canceling", "done"]


def test_a_job_that_waits_has_no_stream_and_its_readers_do_not_notice(
    queue: JobQueue, leases: Leases, redis: Redis, redis_url: str
) -> None:
    job_id = queue.submit(RESOLVED).job.id
    assert redis.exists(keys.events(job_id)) == 0
    (waiting,) = reading(redis_url, lambda log: log.after(job_id, event_log.START))
    _, seen = reading(redis_url, lambda log: log.look(job_id))
    assert (waiting.id, waiting.event and waiting.event.type) == (seen, "queued")
    assert reading(redis_url, lambda log: log.after(job_id, seen)) == []
    assert [event.type for event in reading(redis_url, lambda log: log.kept(job_id))] == ["queued"]
    claimed(leases, job_id)
    first, second = reading(redis_url, lambda log: log.after(job_id, event_log.START))
    assert first == waiting  # at the same time, under the same id
    (after,) = reading(redis_url, lambda log: log.after(job_id, seen))
    assert after == second


@pytest.mark.parametrize("end", ["cancel", "delete"])
def test_a_job_that_ends_while_it_waits_has_both_events(
    end: str, queue: JobQueue, redis: Redis, redis_url: str
) -> None:
    job_id = queue.submit(RESOLVED).job.id
    getattr(queue, end)(job_id)
    assert told(redis, job_id) == ["queued", "done" if end == "cancel" else "deleted"]


def test_the_progress_of_another_tenant_is_not_shown(redis_url: str) -> None:
    async def shown(log: EventLog) -> list[bool]:
        views = View("studio", is_whole=False), View(is_whole=False), WHOLE
        return [log.seen_by(view).admits(tenant) for view in views for tenant in ("studio", "")]

    assert reading(redis_url, shown) == [True, False, False, True, True, True]


def test_one_renewal_is_of_all_jobs_of_a_worker_and_each_gets_its_own_answer(
    queue: JobQueue, leases: Leases, doomed: Leases, reaper: Reaper, redis: Redis
) -> None:
    held = [claimed(leases, queue.submit(RESOLVED).job.id) for _ in range(3)]
    lost = claimed(doomed, queue.submit(RESOLVED).job.id)
    reaper.sweep()
    queue.cancel(held[1].job_id)
    progress = Progress(step=1, steps=4, eta_s=2.5)
    standings = leases.renew_all([(held[0], progress), (held[1], None), (lost, progress), (held[2], None)])
    assert [str(each) for each in standings] == ["held", "canceled", "lost", "held"]
    assert queue.get(held[0].job_id).progress == progress
    assert queue.get(held[2].job_id).progress == Progress()
    assert leases.renew_all([]) == []


def test_nothing_is_told_of_a_plan_that_is_not_made_yet(
    queue: JobQueue, leases: Leases, redis: Redis
) -> None:
    lease = claimed(leases, queue.submit(RESOLVED).job.id)
    leases.renew(lease, Progress())
    leases.renew(lease, Progress(step=0, steps=25))
    assert told(redis, lease.job_id) == ["queued", "started", "progress"]


def test_an_execution_that_lost_its_job_can_tell_nothing(
    queue: JobQueue, leases: Leases, doomed: Leases, reaper: Reaper, redis: Redis
) -> None:
    stale = claimed(doomed, queue.submit(RESOLVED).job.id)
    reaper.sweep()
    before = told(redis, stale.job_id)
    assert before == ["queued", "started", "queued"]
    doomed.renew(stale, Progress(step=1, steps=2))
    doomed.log(stale, "still here")
    doomed.note(stale, "something was left out")
    doomed.preview(stale, 0, 1, b"")
    doomed.show(stale, pictures_of(stale)[0])
    with pytest.raises(LeaseLostError):
        doomed.succeed(stale, pictures_of(stale))
    assert told(redis, stale.job_id) == before


def test_a_note_is_kept_and_told_of_once_whoever_says_it(
    queue: JobQueue, leases: Leases, doomed: Leases, reaper: Reaper, redis: Redis
) -> None:
    first = claimed(doomed, queue.submit(RESOLVED).job.id)
    doomed.note(first, "half of the prompt was left out")
    reaper.sweep()
    again = claimed(leases, first.job_id)
    for sentence in ("half of the prompt was left out", "half of the prompt", "half of the prompt"):
        leases.note(again, sentence)
    doomed.note(first, "who am I")
    job = queue.get(first.job_id)
    assert job.notes == ("half of the prompt was left out", "half of the prompt")
    rows: Any = redis.xrange(f"{{lodestar}}:events:{job.id}")
    logged = [fields for _, fields in rows if fields["type"] == "log"]
    assert [(fields["level"], fields["message"]) for fields in logged] == [
        ("warning", note) for note in job.notes
    ]
    leases.succeed(again, pictures_of(again))
    assert queue.get(first.job_id).notes == job.notes


def test_a_candidate_is_told_of_with_its_scores(queue: JobQueue, leases: Leases, redis: Redis) -> None:
    lease = claimed(leases, queue.submit(RESOLVED).job.id)
    (picture,) = pictures_of(lease)
    leases.show(lease, picture.model_copy(update={"index": 3, "aesthetic_score": -1.25}))
    assert told(redis, lease.job_id) == ["queued", "started", "candidate"]
    rows: Any = redis.xrevrange(f"{{lodestar}}:events:{lease.job_id}", count=1)
    ((stream_id, fields),) = rows
    event = read_event(stream_id, fields, lease.job_id)
    assert isinstance(event, CandidateEvent)
    assert (event.index, event.seed, event.clip_score, event.aesthetic_score) == (3, 7, 0.25, -1.25)
    assert event.url == f"/v1/jobs/{lease.job_id}/images/3"


def test_previews_go_with_the_job(queue: JobQueue, leases: Leases, redis: Redis) -> None:
    ended, deleted = (claimed(leases, queue.submit(RESOLVED).job.id) for _ in range(2))
    for lease in (ended, deleted):
        leases.preview(lease, 0, 1, b"jpeg")
        assert redis.ttl(f"{{lodestar}}:previews:{lease.job_id}") > 60
    leases.succeed(ended, pictures_of(ended))
    queue.delete(deleted.job_id)
    assert 0 < redis.ttl(f"{{lodestar}}:previews:{ended.job_id}") <= 60
    assert redis.exists(f"{{lodestar}}:previews:{deleted.job_id}") == 0
    assert 0 < redis.ttl(f"{{lodestar}}:events:{deleted.job_id}") <= 60


def test_the_reader_knows_how_many_events_the_scripts_keep() -> None:
    prelude = (files("jobs.db") / "lua" / "prelude.lua").read_text()
    caps = [int(cap) for cap in re.findall(r"'MAXLEN', '~', (\d+)", prelude)]
    assert len(caps) == 4
    assert set(caps) == {event_log.KEPT_OF_A_JOB, event_log.KEPT_OF_ALL}


def test_reading_goes_on_where_it_was_left_in_portions(
    queue: JobQueue, leases: Leases, redis_url: str, redis: Redis
) -> None:
    lease = claimed(leases, queue.submit(RESOLVED).job.id)
    for step in range(1, 30):
        leases.renew(lease, Progress(step=step, steps=30))
    leases.succeed(lease, pictures_of(lease))

    async def read_all(log: EventLog) -> list[event_log.Entry]:
        entries: list[event_log.Entry] = []
        seen = event_log.START
        while portion := await log.after(lease.job_id, seen, limit=7):
            entries += portion
            seen = portion[-1].id
        return entries

    entries = reading(redis_url, read_all)
    assert [entry.event.type for entry in entries if entry.event] == told(redis, lease.job_id)
    last = entries[-1].event
    assert isinstance(last, DoneEvent)
    assert last.job == queue.get(lease.job_id)


def test_an_event_of_a_newer_version_is_passed_over(
    queue: JobQueue, leases: Leases, redis: Redis, redis_url: str
) -> None:
    job_id = claimed(leases, queue.submit(RESOLVED).job.id).job_id
    redis.xadd(f"{{lodestar}}:events:{job_id}", {"type": "applause", "hands": 2})
    redis.xadd(f"{{lodestar}}:events:{job_id}", {"type": "canceling"})
    entries = reading(redis_url, lambda log: log.after(job_id, event_log.START))
    told = [entry.event.type if entry.event else None for entry in entries]
    assert told == ["queued", "started", None, "canceling"]


def test_what_lies_in_the_future_is_no_place_to_resume(queue: JobQueue, redis_url: str) -> None:
    job_id = queue.submit(RESOLVED).job.id
    for wrong in ("99999999999999-0", "soon", "", "1"):
        with pytest.raises(EventsMissedError):
            reading(redis_url, lambda log, wrong=wrong: log.after(job_id, wrong))  # type: ignore[misc]


def test_a_reader_of_nothing_and_one_without_redis_are_told_so(redis_url: str) -> None:
    with pytest.raises(UnknownJobError):
        reading(redis_url, lambda log: log.look("nope"))
    with pytest.raises(QueueUnavailableError):
        reading("unix:///nowhere.sock", lambda log: log.look("nope"))


def test_a_message_is_owed_exactly_when_the_job_has_ended(
    queue: JobQueue, leases: Leases, redis: Redis
) -> None:
    owed = WebhookQueue(redis)
    wanted = ORIGINAL.model_copy(update={"webhook": Webhook.model_validate({"url": "https://a.example"})})
    lease = claimed(leases, queue.submit(RESOLVED, original=wanted).job.id)
    assert owed.take() is None
    for _ in range(3):
        leases.succeed(lease, pictures_of(lease))
    assert owed.pending() == 1
    first = owed.take()
    assert first is not None
    assert (first.job_id, first.event, first.attempt) == (lease.job_id, "done", 1)
    assert owed.take() is None  # it is being delivered
    owed.retry(first, 0, "not now")
    second = owed.take()
    assert second is not None
    assert (second.message_id, second.attempt) == (first.message_id, 2)
    owed.delivered(first)  # by one that was too slow, and whose word counts no more
    assert owed.pending() == 1
    owed.delivered(second)
    assert owed.pending() == 0
    webhook = queue.get(lease.job_id).webhook
    assert webhook is not None
    assert (webhook.status, webhook.attempts, webhook.last_error) == ("delivered", 2, None)
