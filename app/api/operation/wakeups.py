"""Wakes clients that wait for events of jobs.

One loop in each API process reads the stream of all jobs' events, on one connection. It passes on no event, only
a signal: each reader then reads its own job at its own pace, and a slow reader needs no buffer. A second loop hears the
progress of running jobs, which that stream does not have: a follower of all jobs gets the latest of each.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from jobs.db import keys
from jobs.events.advances import Advance, read_advances
from jobs.events.event_log import START

BLOCK_MS = 5000  # below the client's socket timeout
RECONNECT_S = 0.5
READ_AT_A_TIME = 1000  # a tenth of what the stream keeps

log = structlog.get_logger(__name__)


@dataclass(frozen=True, eq=False)
class _Sleeper:
    types: frozenset[str] | None
    advances: dict[str, Advance] | None
    bell: asyncio.Event = field(default_factory=asyncio.Event)


class Wakeups:
    """The bells of waiting clients, by job."""

    def __init__(self) -> None:
        self._sleepers: defaultdict[str | None, set[_Sleeper]] = defaultdict(set)

    @contextmanager
    def listening(
        self,
        job_id: str | None,
        types: frozenset[str] | None = None,
        advances: dict[str, Advance] | None = None,
    ) -> Iterator[asyncio.Event]:
        """A bell that rings at a job's events.

        Args:
            job_id: of the job; None for any job.
            types: of the events that set the bell; None for all.
            advances: gets the latest progress of each job, if ``job_id`` is None.
        """
        sleeper = _Sleeper(types, advances)
        self._sleepers[job_id].add(sleeper)
        try:
            yield sleeper.bell
        finally:
            self._sleepers[job_id].discard(sleeper)
            if not self._sleepers[job_id]:
                del self._sleepers[job_id]

    def wake(self, happened: Iterable[tuple[str, str]]) -> None:
        """Set the bells for these events, each a job's id and the event's type."""
        for job_id, kind in happened:
            for sleeper in (*self._sleepers.get(job_id, ()), *self._sleepers.get(None, ())):
                if sleeper.types is None or kind in sleeper.types:
                    sleeper.bell.set()

    def advance(self, news: Iterable[Advance]) -> None:
        """Set the bells for progress, and leave it with those who follow all jobs."""
        for advance in news:
            job_id = advance.event.job_id
            for sleeper in self._sleepers.get(None, ()):
                if sleeper.advances is not None:
                    sleeper.advances[job_id] = advance
            self.wake([(job_id, "progress")])

    def wake_all(self) -> None:
        """Set every bell, because events may have been missed."""
        for sleepers in self._sleepers.values():
            for sleeper in sleepers:
                sleeper.bell.set()


async def wake_readers(redis: Redis, wakeups: Wakeups) -> None:
    """Read events and set the bells for them, until canceled; after an outage of Redis, set all."""
    await _forever(_follow, redis, wakeups)


async def hear_advances(redis: Redis, wakeups: Wakeups) -> None:
    """Hear of progress and pass it on, until canceled. What is told during an outage is not heard."""
    await _forever(_hear, redis, wakeups)


async def _forever(
    follow: Callable[[Redis, Wakeups], Awaitable[None]], redis: Redis, wakeups: Wakeups
) -> None:
    while True:
        try:
            await follow(redis, wakeups)
        except RedisError as error:
            log.debug("no events can be read", reason=str(error))
            await asyncio.sleep(RECONNECT_S)


async def _follow(redis: Redis, wakeups: Wakeups) -> None:
    stream = keys.events(None)
    newest: Any = await redis.xrevrange(stream, count=1)
    seen = newest[0][0] if newest else START
    wakeups.wake_all()
    while True:
        answer: Any = await redis.xread({stream: seen}, count=READ_AT_A_TIME, block=BLOCK_MS)
        for _, rows in answer or ():
            seen = rows[-1][0]
            if len(rows) == READ_AT_A_TIME:
                wakeups.wake_all()  # so far behind that the stream may have been cut meanwhile
            wakeups.wake((fields["job_id"], fields["type"]) for _, fields in rows)


async def _hear(redis: Redis, wakeups: Wakeups) -> None:
    async with redis.pubsub(ignore_subscribe_messages=True) as channel:
        await channel.subscribe(keys.ADVANCES)
        while True:
            message = await channel.get_message(timeout=BLOCK_MS / 1000)
            if message is not None:
                try:
                    wakeups.advance(read_advances(message["data"]))
                except ValueError as error:  # also ValidationError: of another version
                    log.warning("progress could not be read", reason=str(error))
