"""Bells that ring for the events of jobs, on a real stream."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from redis import Redis

from app.api.operation.wakeups import Wakeups, wake_readers
from jobs.db import keys
from jobs.db.connection import connect_async
from jobs.events.event_log import KEPT_OF_ALL
from jobs.events.events import FINAL_TYPES

Write = Callable[[list[tuple[str, str]]], None]


@pytest.fixture
def write(redis: Redis) -> Write:
    """Append events in one step, as one job's script cannot but a busy second of many can."""

    def append(events: list[tuple[str, str]]) -> None:
        with redis.pipeline(transaction=True) as pipeline:
            for job_id, kind in events:
                fields: Any = {"job_id": job_id, "type": kind}
                pipeline.xadd(keys.events(None), fields, maxlen=KEPT_OF_ALL, approximate=False)
            pipeline.execute()

    return append


async def ring(url: str, write: Write, events: list[tuple[str, str]], types: frozenset[str] | None) -> bool:
    """Whether a bell of job ``mine`` is set by these events."""
    wakeups, redis = Wakeups(), connect_async(url, max_connections=2)
    reading = asyncio.create_task(wake_readers(redis, wakeups))
    try:
        with wakeups.listening("mine", types) as bell:
            async with asyncio.timeout(10):
                await bell.wait()  # all bells ring when the loop has begun
            bell.clear()
            await asyncio.to_thread(write, events)
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await bell.wait()
            return bell.is_set()
    finally:
        while not reading.done():  # redis-py may swallow a cancel: see app.api.main
            reading.cancel()
            await asyncio.wait([reading], timeout=0.5)
        await redis.aclose()


@pytest.mark.parametrize(
    ("events", "types", "rings"),
    [
        ([("mine", "progress")], None, True),
        ([("another", "done")], None, False),
        ([("mine", "progress"), ("mine", "preview")], FINAL_TYPES, False),
        ([("mine", "done")], FINAL_TYPES, True),
        ([("mine", "deleted")], FINAL_TYPES, True),
    ],
)
def test_a_bell_rings_for_the_events_that_it_was_hung_up_for(
    events: list[tuple[str, str]],
    types: frozenset[str] | None,
    rings: bool,
    redis_url: str,
    write: Write,
) -> None:
    assert asyncio.run(ring(redis_url, write, events, types)) is rings


def test_events_that_were_cut_off_before_they_were_read_ring_every_bell(redis_url: str, write: Write) -> None:
    events = [("mine", "done")] + [("another", "progress")] * KEPT_OF_ALL
    assert asyncio.run(ring(redis_url, write, events, FINAL_TYPES))
