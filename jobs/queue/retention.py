"""Forgets jobs that ended long ago, or the oldest if all take too much, and clears away files that no job owns."""

from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import cast

import structlog
from redis import Redis

from jobs.db.connection import translates_redis_errors
from jobs.db.scripts import PREFIX, Scripts
from jobs.storage.artifacts import ArtifactStore

PORTION = 200  # jobs or places dealt with in one sweep
FAILURES_BORNE = 3  # a store that fails this often in one sweep is left alone until the next

log = structlog.get_logger(__name__)


class Retention:
    """One ``sweep`` deletes a portion; call it every few seconds. Safe to run in several processes at once."""

    def __init__(
        self,
        redis: Redis,
        artifacts: ArtifactStore,
        *,
        keep_s: float,
        max_kept_bytes: int = 0,
        beside: Sequence[str] = (),
    ) -> None:
        """Make one.

        Args:
            redis: that keeps the jobs.
            artifacts: where their pictures are.
            keep_s: seconds that a job is kept after its end; 0 keeps it until somebody deletes it.
            max_kept_bytes: of all jobs, as ``JobQueue`` has it. Ended ones go, the oldest first, from three quarters of
                it on, so that there is room for the next.
            beside: further folders of the store that hold something of jobs, and of executions, by their names.
        """
        self._redis = redis
        self._scripts = Scripts(redis)
        self._artifacts = artifacts
        self._keep_s = keep_s
        self._most_bytes = max_kept_bytes * 3 // 4
        self._all_weighed = False
        self._beside = tuple(beside)

    @translates_redis_errors
    def sweep(self) -> int:
        """Delete what is due; the number of jobs and places that were."""
        return self._expire() + self._make_room() + self._collect()

    def _expire(self) -> int:
        if self._keep_s == 0:
            return 0
        expired = self._due("finished", self._keep_s)
        # Pictures first: a job whose pictures could not be deleted is tried again.
        return self._delete(expired, lambda job_id: self._scripts("delete", job_id))

    def _make_room(self) -> int:
        if not self._most_bytes:
            return 0
        self._weigh_all()
        if not self._is_heavy():
            return 0
        oldest = cast("list[str]", self._redis.zrange(PREFIX + "finished", 0, PORTION - 1))
        return self._delete(
            takewhile(lambda _: self._is_heavy(), oldest), lambda job_id: self._scripts("delete", job_id)
        )

    def _is_heavy(self) -> bool:
        return int(cast("str | None", self._redis.get(PREFIX + "kept_bytes")) or 0) > self._most_bytes

    def _weigh_all(self) -> None:
        """Once: jobs that ended under an older version were never weighed."""
        if self._all_weighed:
            return
        ended = cast("list[str]", self._redis.zrange(PREFIX + "finished", 0, -1))
        for start in range(0, len(ended), PORTION):
            with self._redis.pipeline(transaction=False) as pipeline:
                for job_id in ended[start : start + PORTION]:
                    self._scripts.queue(pipeline, "weigh", job_id)
                pipeline.execute()
        self._all_weighed = True

    def _collect(self) -> int:
        """Delete what executions left behind that ended without a say; see ``collect_later`` in the scripts."""
        return self._delete(
            self._due("orphans", 0), lambda place: self._redis.zrem(PREFIX + "orphans", place)
        )

    def _due(self, index: str, age_s: float) -> list[str]:
        seconds, microseconds = self._redis.time()
        latest = seconds * 1_000_000 + microseconds - int(age_s * 1e6)
        found = self._redis.zrangebyscore(PREFIX + index, "-inf", latest, start=0, num=PORTION)
        return cast("list[str]", found)

    def _delete(self, places: Iterable[str], forget: Callable[[str], object]) -> int:
        deleted = failures = 0
        for place in places:
            try:
                for folder in self._beside:
                    self._artifacts.delete(f"{folder}/{place}")
                self._artifacts.delete(place)
            except OSError as error:
                failures += 1
                log.warning("artifacts could not be deleted", place=place, reason=str(error))
                if failures == FAILURES_BORNE:
                    break
            else:
                forget(place)
                deleted += 1
        return deleted
