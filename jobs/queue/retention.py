"""Deletes jobs that ended long ago, the oldest jobs if all take too much, expired uploads, and files of nobody."""

from collections.abc import Callable, Iterable
from itertools import takewhile
from typing import cast

import structlog
from redis import Redis

from jobs.db import keys
from jobs.db.connection import translates_redis_errors
from jobs.db.scripts import Scripts
from jobs.storage.archive import MARK, JobArchive
from jobs.storage.job_files import JobFiles

PORTION = 200  # jobs or places dealt with in one sweep
FAILURES_BORNE = 3  # a store that fails this often in one sweep is left alone until the next

log = structlog.get_logger(__name__)


class Retention:
    """One ``sweep`` deletes a portion; call it every few seconds. Safe to run in several processes at once."""

    def __init__(
        self,
        redis: Redis,
        files: JobFiles,
        *,
        keep_s: float,
        max_kept_bytes: int = 0,
        max_kept_file_bytes: int = 0,
        archive: JobArchive | None = None,
        archive_after_s: float = 0,
    ) -> None:
        """Make one.

        Args:
            redis: the server.
            files: of the jobs.
            keep_s: seconds that a job is kept after its end; 0 keeps it until somebody deletes it.
            max_kept_bytes: of all jobs, as ``JobQueue`` has it. From three quarters of it on, ended jobs go, the oldest
                first, so that there is room for the next.
            max_kept_file_bytes: likewise of their files.
            archive: takes the records of jobs that ended long enough ago; None archives none.
            archive_after_s: seconds after a job's end; 0 archives none.
        """
        self._redis = redis
        self._scripts = Scripts(redis)
        self._files = files
        self._keep_s = keep_s
        self._archive, self._archive_after_s = archive, archive_after_s
        self._most_bytes = {
            key: most * 3 // 4
            for key, most in ((keys.KEPT_BYTES, max_kept_bytes), (keys.KEPT_FILE_BYTES, max_kept_file_bytes))
            if most
        }
        self._all_weighed = False

    @translates_redis_errors
    def sweep(self) -> int:
        """Delete the jobs, uploads and places that are due, and archive what is; their number."""
        deleted = self._expire() + self._make_room() + self._expire_uploads() + self._collect()
        return deleted + self._archive_ended()

    def _expire(self) -> int:
        if self._keep_s == 0:
            return 0
        return self._delete(self._due(keys.FINISHED, self._keep_s), self._forget)

    def _make_room(self) -> int:
        if not self._most_bytes:
            return 0
        self._weigh_all()
        if not self._is_heavy():
            return 0
        oldest = cast("list[str]", self._redis.zrange(keys.FINISHED, 0, PORTION - 1))
        return self._delete(takewhile(lambda _: self._is_heavy(), oldest), self._forget)

    def _archive_ended(self) -> int:
        """Write records of jobs that ended a while ago to the store, and cut them down in Redis.

        Several processes may write the same one. A store that is away ends it, to be tried again.
        """
        if self._archive is None or not self._archive_after_s:
            return 0
        since = cast("str | None", self._redis.get(keys.ARCHIVED_UNTIL))
        rows = self._due_rows(keys.FINISHED, self._archive_after_s, f"({since}" if since else "-inf")
        for job_id, ended in rows:
            record = cast("dict[str, str]", self._redis.hgetall(keys.job(job_id)))
            if record and MARK not in record:
                try:
                    self._archive.write(job_id, record)
                except OSError as error:
                    log.warning("a job could not be archived", job=job_id, reason=str(error))
                    return 0
                if self._scripts("archive", job_id) == -1:  # deleted meanwhile
                    self._files.delete(job_id)
            self._redis.set(keys.ARCHIVED_UNTIL, f"{ended:.0f}")
        return len(rows)

    def _forget(self, job_id: str) -> None:
        self._scripts("delete", job_id)

    def _is_heavy(self) -> bool:
        kept = cast("list[str | None]", self._redis.mget(list(self._most_bytes)))
        return any(
            int(bytes or 0) > most for bytes, most in zip(kept, self._most_bytes.values(), strict=True)
        )

    def _weigh_all(self) -> None:
        """Record the size of jobs that ended under an older version, once."""
        if self._all_weighed:
            return
        ended = cast("list[str]", self._redis.zrange(keys.FINISHED, 0, -1))
        for start in range(0, len(ended), PORTION):
            with self._redis.pipeline(transaction=False) as pipeline:
                for job_id in ended[start : start + PORTION]:
                    self._scripts.queue(pipeline, "weigh", job_id)
                pipeline.execute()
        self._all_weighed = True

    def _expire_uploads(self) -> int:
        return int(self._scripts("expire_uploads", PORTION))

    def _collect(self) -> int:
        """Delete the files of executions that were lost; see ``collect_later`` in the scripts."""
        return self._delete(self._due(keys.ORPHANS, 0), lambda place: self._redis.zrem(keys.ORPHANS, place))

    def _due(self, index: str, age_s: float) -> list[str]:
        return [member for member, _ in self._due_rows(index, age_s, "-inf")]

    def _due_rows(self, index: str, age_s: float, first: str) -> list[tuple[str, float]]:
        seconds, microseconds = self._redis.time()
        latest = seconds * 1_000_000 + microseconds - int(age_s * 1e6)
        found = self._redis.zrangebyscore(index, first, latest, start=0, num=PORTION, withscores=True)
        return cast("list[tuple[str, float]]", found)

    def _delete(self, places: Iterable[str], forget: Callable[[str], object]) -> int:
        deleted = failures = 0
        for place in places:
            try:
                self._files.delete_before(place, forget)
            except OSError as error:
                failures += 1
                log.warning("artifacts could not be deleted", place=place, reason=str(error))
                if failures == FAILURES_BORNE:
                    break
            else:
                deleted += 1
        return deleted
