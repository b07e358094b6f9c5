"""Nights in Redis, for what tends them: each change is one atomic script, which does nothing a second time."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from redis import Redis

from jobs.db import keys
from jobs.db.connection import translates_redis_errors
from jobs.db.scripts import PREFIX, Scripts
from jobs.nights.pieces import Flight, Held
from jobs.nights.record import NightRecord
from jobs.status.night import NightStatus

MOST_POINTS = 1000
_TURN_S = 20


class NightStore:
    """All nights. All methods raise QueueUnavailableError when Redis is away."""

    def __init__(self, redis: Redis) -> None:
        self._redis, self._scripts = redis, Scripts(redis)

    @translates_redis_errors
    def find(self, night_id: str) -> NightRecord | None:
        """The record of a night, also of one that is being deleted; None if there is none."""
        fields = cast("dict[str, str]", self._redis.hgetall(keys.night(night_id)))
        return NightRecord(night_id, fields) if fields else None

    def now_us(self) -> int:
        """The server's time."""
        seconds, microseconds = self._redis.time()
        return seconds * 1_000_000 + microseconds

    @translates_redis_errors
    def open(self) -> tuple[str, ...]:
        """Ids of the nights that want tending."""
        return tuple(cast("list[str]", self._redis.zrange(keys.OPEN_NIGHTS, 0, -1)))

    @contextmanager
    def turn(self, night_id: str) -> Iterator[bool]:
        """Within the block, no other process tends the night, unless the block takes long; whether it is ours.

        This only saves work: two that tend a night at a time do no harm.
        """
        place, token = f"{PREFIX}night_turn:{night_id}", secrets.token_hex(8)
        is_ours = bool(self._redis.set(place, token, nx=True, ex=_TURN_S))
        try:
            yield is_ours
        finally:
            if is_ours and self._redis.get(place) == token:
                self._redis.delete(place)

    @translates_redis_errors
    def flights(self, night_id: str) -> tuple[Flight, ...]:
        """Its jobs that have not been settled, the first reserved first."""
        noted = cast("dict[str, str]", self._redis.hgetall(keys.night_jobs(night_id)))
        with self._redis.pipeline(transaction=False) as pipeline:
            for job_id in noted.values():
                pipeline.hget(keys.job(job_id.removeprefix("?")), "status")
            statuses = cast("list[str | None]", pipeline.execute())
        found = [
            Flight(name, job_id.removeprefix("?"), job_id.startswith("?"), status)
            for (name, job_id), status in zip(noted.items(), statuses, strict=True)
        ]
        return tuple(sorted(found, key=lambda flight: flight.number))

    @translates_redis_errors
    def held(self, night_id: str, *, gone: bool = False) -> tuple[Held, ...]:
        """The pictures that it holds, best first: those that are kept, and those that may be kept again.

        Args:
            night_id: of the night.
            gone: whether to tell of those, in place of the others, whose jobs are gone, by deletion or expiry.
        """
        scored = cast(
            "list[tuple[str, float]]",
            self._redis.zrevrange(keys.night_scores(night_id), 0, -1, withscores=True),
        )
        if not scored:
            return ()
        places = self._redis.hmget(keys.night_pictures(night_id), [number for number, _ in scored])
        found = [
            Held.read(number, score, place)
            for (number, score), place in zip(scored, cast("list[str | None]", places), strict=True)
        ]
        with self._redis.pipeline(transaction=False) as pipeline:
            for each in found:
                pipeline.exists(keys.job(each.job_id or ""))
            are_there = pipeline.execute()
        return tuple(each for each, there in zip(found, are_there, strict=True) if bool(there) is not gone)

    def reserve(self, night_id: str, job_id: str, number: int | None = None) -> tuple[str, str] | None:
        """Note a job before it is submitted: what it is to make, and its id; None if nothing more is wanted.

        Args:
            night_id: of the night.
            job_id: a new one. If the same is reserved already, that one's id is returned.
            number: of the picture that is to be enlarged; None for the next candidate.
        """
        told: list[str] = self._scripts("night_reserve", night_id, "" if number is None else number, job_id)
        return (told[0], told[1]) if told else None

    def submitted(self, night_id: str, name: str, job_id: str) -> bool:
        """Note that a reserved job is in the queue; False if it was settled meanwhile and is nobody's."""
        return bool(self._scripts("night_submitted", night_id, name, job_id))

    def settle(
        self,
        night_id: str,
        flight: Flight,
        outcome: str,
        told: object = "",
        message: str = "",
        made_us: int = 0,
    ) -> int:
        """Note how a job ended, once; how many candidates have failed in a row. See the script."""
        scored = repr(told) if isinstance(told, float) else str(told)
        place = flight.name, flight.job_id
        note = outcome, scored, message, MOST_POINTS, made_us
        return int(self._scripts("night_settle", night_id, *place, *note))

    def drop(self, night_id: str, number: int) -> None:
        """Hold a picture no more, once its job is deleted."""
        with self._redis.pipeline() as pipeline:
            pipeline.zrem(keys.night_scores(night_id), number)
            pipeline.hdel(keys.night_pictures(night_id), str(number))
            pipeline.execute()

    def move(self, night_id: str, to: NightStatus, goal: NightStatus, *, keep_s: float = 0) -> None:
        """Change the status of a night; see the script."""
        self._scripts("night_move", night_id, to, goal, int(keep_s))

    def wait(self, night_id: str, reason: str, seconds: float) -> None:
        """Note why no further job is queued for a while."""
        until = self.now_us() + int(seconds * 1e6)
        waits: dict[Any, Any] = {"waits_for": reason, "waits_until_us": until}
        self._redis.hset(keys.night(night_id), mapping=waits)

    def note_error(self, night_id: str, kind: str, message: str) -> None:
        """Note why a night fails."""
        self._redis.hset(keys.night(night_id), mapping={"error_type": kind, "error": message})

    def forget(self, night_id: str, tenant: str) -> None:
        """Remove all that is kept of a night."""
        self._scripts("night_forget", night_id, tenant)

    def forget_open(self, night_id: str) -> None:
        """Tend a night no more that is not there."""
        self._redis.zrem(keys.OPEN_NIGHTS, night_id)

    def pending(self, night_id: str) -> int:
        """How many of its jobs have not ended."""
        return self._redis.hlen(keys.night_jobs(night_id))
