"""How jobs end and go, read from the stream of all jobs' events."""

import pytest
from redis import Redis

from jobs.db import keys
from jobs.errors import JobFailedError
from jobs.events.endings import Ending, Endings
from jobs.events.event_log import KEPT_OF_ALL, START, EventsMissedError
from jobs.queue.leases import Leases
from jobs.queue.queue import JobQueue
from tests.jobs.samples import RESOLVED, claimed, pictures_of


def test_ends_and_deletions_come_once_and_in_their_order(
    redis: Redis, queue: JobQueue, leases: Leases
) -> None:
    endings = Endings(redis)
    assert endings.cursor() == START
    kept, failed, canceled = (queue.submit(RESOLVED).job.id for _ in range(3))
    lease = claimed(leases, kept)
    leases.succeed(lease, pictures_of(lease))
    leases.fail(claimed(leases, failed), JobFailedError("no"))
    queue.cancel(canceled)
    queue.delete(kept)
    portion = endings.after(START)
    assert portion.endings == (
        Ending(kept, True),
        Ending(failed, False),
        Ending(canceled, False),
        Ending(kept, False),
    )
    assert portion.is_last
    assert portion.cursor == endings.cursor()
    assert endings.after(portion.cursor).endings == ()


def test_the_execution_of_a_job_is_the_one_that_has_settled_it(
    redis: Redis, queue: JobQueue, leases: Leases
) -> None:
    endings = Endings(redis)
    kept, waiting, archived = (queue.submit(RESOLVED).job.id for _ in range(3))
    lease, other = claimed(leases, kept), claimed(leases, archived)
    for each in (lease, other):
        leases.succeed(each, pictures_of(each))
    redis.hset(keys.job(archived), "archived", 1)
    assert endings.executions([kept, waiting, archived, "gone"]) == [lease.fence, None, "", None]
    redis.hset(keys.job(kept), "kind", "query")  # makes no pictures
    assert endings.executions([kept]) == [None]


def fill(redis: Redis, number: int) -> list[str]:
    """Add events that end nothing; their ids."""
    with redis.pipeline(transaction=False) as pipeline:
        for _ in range(number):
            pipeline.xadd(keys.events(None), {"job_id": "0", "type": "queued", "reason": "submitted"})
        return [str(each) for each in pipeline.execute()]


def test_a_long_stream_is_read_in_portions(redis: Redis) -> None:
    ids, endings = fill(redis, 2500), Endings(redis)
    cursor, portions = START, 0
    while True:
        portion = endings.after(cursor)
        cursor, portions = portion.cursor, portions + 1
        if portion.is_last:
            break
    assert (cursor, portions) == (ids[-1], 3)


def test_events_that_were_trimmed_are_missed(redis: Redis) -> None:
    ids = fill(redis, KEPT_OF_ALL + 50)
    redis.xtrim(keys.events(None), maxlen=KEPT_OF_ALL, approximate=False)
    endings = Endings(redis)
    for missed in (ids[10], START, "x", "9999999999999-0"):
        with pytest.raises(EventsMissedError):
            endings.after(missed)
    assert endings.after(ids[50]).cursor == ids[1050]
