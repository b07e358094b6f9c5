"""Wakes the readers of events when there is something for them.

One loop in each API process waits at the stream of all jobs' events, on one connection. It hands nothing on but the
news that there is something: each reader then reads its own job's stream at its own pace, and a slow one needs no
buffer.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from jobs.db.scripts import PREFIX

BLOCK_MS = 5000  # below the client's socket timeout
RECONNECT_S = 0.5
_ALL = PREFIX + "events"

log = structlog.get_logger(__name__)


class Wakeups:
    """Who sleeps until something happens to which job."""

    def __init__(self) -> None:
        self._sleepers: defaultdict[str | None, set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def listening(self, job_id: str | None) -> Iterator[asyncio.Event]:
        """An event that is set whenever something happened to the job, or to any job if None."""
        bell = asyncio.Event()
        self._sleepers[job_id].add(bell)
        try:
            yield bell
        finally:
            self._sleepers[job_id].discard(bell)
            if not self._sleepers[job_id]:
                del self._sleepers[job_id]

    def wake(self, job_ids: set[str]) -> None:
        """Wake those who sleep for one of these jobs, and those who sleep for all."""
        for job_id in (*job_ids, None):
            for bell in self._sleepers.get(job_id, ()):
                bell.set()

    def wake_all(self) -> None:
        """Wake everybody: something may have happened that nobody was told of."""
        for bells in self._sleepers.values():
            for bell in bells:
                bell.set()


async def wake_readers(redis: Redis, wakeups: Wakeups) -> None:
    """Wait for events and wake their readers, until cancelled; after an outage of Redis everybody is woken."""
    while True:
        try:
            await _follow(redis, wakeups)
        except RedisError as error:
            log.debug("no events can be read", reason=str(error))
            await asyncio.sleep(RECONNECT_S)


async def _follow(redis: Redis, wakeups: Wakeups) -> None:
    newest: Any = await redis.xrevrange(_ALL, count=1)
    seen = newest[0][0] if newest else "0-0"
    wakeups.wake_all()
    while True:
        answer: Any = await redis.xread({_ALL: seen}, count=1000, block=BLOCK_MS)
        for _, rows in answer or ():
            seen = rows[-1][0]
            wakeups.wake({fields["job_id"] for _, fields in rows})
