"""Nights as callers see them: begin, get, list, finish, cancel, delete."""

from copy import copy
from typing import cast

from redis import Redis

from jobs.db import keys
from jobs.db.connection import translates_redis_errors
from jobs.db.scripts import Scripts
from jobs.errors import IdempotencyConflictError, QueueFullError, UnknownNightError
from jobs.nights.plan import NightPlan
from jobs.nights.record import NightRecord
from jobs.nights.store import NightStore
from jobs.status.night import Night, NightStatus, RacePoint
from jobs.status.view import WHOLE, View

MOST_OPEN = 5  # nights of a tenant at a time
MOST_LISTED = 100  # nights of a tenant; when more have begun, the oldest that have ended are forgotten
BEST_OF_LIST = 3
DELETED_WITHIN_S = 2.0  # whoever tends the nights does it every second


class Nights:
    """The nights that a view shows. All methods raise QueueUnavailableError when Redis is away."""

    def __init__(self, redis: Redis, view: View = WHOLE) -> None:
        self._redis, self._scripts, self._view = redis, Scripts(redis), view
        self._store = NightStore(redis)

    def seen_by(self, view: View) -> "Nights":
        """The same as somebody sees them: to this one, nights outside of the view do not exist."""
        seen = copy(self)
        seen._view = view
        return seen

    @translates_redis_errors
    def begin(self, night_id: str, plan: NightPlan) -> bool:
        """Begin a night; False if the same one has begun already.

        Raises:
            QueueFullError: as many are open as a tenant may have, or the pictures of one of this id are being deleted.
            IdempotencyConflictError: another one has this id.
        """
        fields = [each for pair in plan.dump().items() for each in pair]
        outcome = self._scripts(
            "night_begin", night_id, plan.tenant, MOST_OPEN, repr(plan.hours * 3600), *fields
        )
        if outcome == "full":
            raise QueueFullError(f"{MOST_OPEN} nights are under way already, and no more are begun")
        if outcome == "deleted":
            raise QueueFullError(
                "the night of this idempotency key is being deleted, and its key is free in a moment",
                field="Idempotency-Key",
                retry_after_s=DELETED_WITHIN_S,
            )
        if outcome == "known" and self.record(night_id).digest != plan.digest:
            raise IdempotencyConflictError(
                "this idempotency key was used with a different request", field="Idempotency-Key"
            )
        self._forget_oldest(plan.tenant)
        return bool(outcome == "begun")

    @translates_redis_errors
    def record(self, night_id: str) -> NightRecord:
        """The record of a night.

        Raises:
            UnknownNightError: there is none of this id, or the view does not show it.
        """
        found = self._store.find(night_id)
        if found is None or found.is_deleted or not self._view.shows_tenant(found.tenant):
            raise UnknownNightError(
                f"there is no night {night_id!r}: it never existed, was deleted, or has expired"
            )
        self._view.notice(night_id, found.tenant)
        return found

    @translates_redis_errors
    def get(self, night_id: str) -> Night:
        """The night now; raises as ``record``."""
        record = self.record(night_id)
        race = cast("dict[str, str]", self._redis.hgetall(keys.night_race(night_id)))
        points = sorted(
            (_point(int(number), told) for number, told in race.items()),
            key=lambda point: (point.at_s, point.number),
        )
        return record.show(
            self._store.pending(night_id), self._store.held(night_id), points, self._store.now_us()
        )

    @translates_redis_errors
    def list(self) -> tuple[Night, ...]:
        """The nights, newest first, without what is long of them."""
        index = keys.NIGHTS if self._view.is_whole else keys.nights_of(self._view.tenant)
        now, shown = self._store.now_us(), []
        for night_id in cast("list[str]", self._redis.zrevrange(index, 0, MOST_LISTED - 1)):
            found = self._store.find(night_id)
            if found is None:
                self._redis.zrem(index, night_id)  # it has expired
            elif not found.is_deleted:
                self._view.notice(night_id, found.tenant)
                held = self._store.held(night_id)
                shown.append(found.show(self._store.pending(night_id), held, (), now, BEST_OF_LIST))
        return tuple(shown)

    @translates_redis_errors
    def finish(self, night_id: str, goal: NightStatus = NightStatus.SUCCEEDED) -> Night:
        """Draw no more; the night after that. One that has ended does not change.

        Args:
            night_id: of the night.
            goal: the status that it is to have in the end: what is canceled enlarges nothing.

        Raises:
            UnknownNightError: as for ``record``.
        """
        self.record(night_id)
        self._store.move(night_id, NightStatus.FINISHING, goal)
        return self.get(night_id)

    @translates_redis_errors
    def delete(self, night_id: str) -> None:
        """Show a night no more. Its jobs and pictures are deleted by whoever tends the nights.

        Raises:
            UnknownNightError: as for ``record``.
        """
        record = self.record(night_id)
        with self._redis.pipeline() as pipeline:
            pipeline.hset(keys.night(night_id), "deleted", "1")
            pipeline.persist(keys.night(night_id))
            pipeline.zadd(keys.OPEN_NIGHTS, {night_id: 0})
            pipeline.zrem(keys.NIGHTS, night_id)
            pipeline.zrem(keys.nights_of(record.tenant), night_id)
            pipeline.execute()

    def _forget_oldest(self, tenant: str) -> None:
        index = keys.nights_of(tenant)
        oldest = cast("list[str]", self._redis.zrange(index, 0, -MOST_LISTED - 1))
        for night_id in oldest:
            if self._redis.zscore(keys.OPEN_NIGHTS, night_id) is None:
                self._store.forget(night_id, tenant)


def _point(number: int, told: str) -> RacePoint:
    ms, score, threshold = told.split(" ")
    return RacePoint(
        number=number,
        at_s=int(ms) / 1000,
        score=float(score),
        threshold=float(threshold) if threshold else None,
    )
