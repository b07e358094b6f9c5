"""Jobs that were parked because the worker that claimed them could not read their requests."""

import time

from pydantic import ValidationError
from redis import Redis

from jobs.db import keys
from jobs.requests.tasks import read_request

LOOK_EVERY_S = 5.0
LOOK_AT = 64  # jobs at a time


class ParkedJobs:
    """The parked jobs that this version can read."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._readable: list[str] = []
        self._cursor = 0
        self._look_at = 0.0

    def readable(self) -> list[str]:
        """Ids that the last portion held; calls every few seconds go through all parked jobs in portions."""
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_EVERY_S
            self._cursor, found = self._redis.zscan(keys.PARKED, cursor=self._cursor, count=LOOK_AT)
            ids = [str(job_id) for job_id, _ in found]
            self._readable = [job_id for job_id in ids if self._is_readable(job_id)][:LOOK_AT]
        return self._readable

    def _is_readable(self, job_id: str) -> bool:
        request = self._redis.hget(keys.job(job_id), "request")
        try:
            read_request(str(request))
        except ValidationError:
            return False
        return True
