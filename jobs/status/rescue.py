"""Keeping a picture that a best-of-n job did not choose, while its file is there."""

from typing import cast

from redis import Redis

from jobs.db import keys
from jobs.db.connection import translates_redis_errors
from jobs.db.scripts import Scripts
from jobs.errors import UnknownImageError, unknown_job
from jobs.status.candidates import field_of, load_candidates
from jobs.status.records import load_images
from jobs.status.view import WHOLE, View


class Rescue:
    """Takes rejected candidates back."""

    def __init__(self, redis: Redis, view: View = WHOLE) -> None:
        self._redis = redis
        self._scripts = Scripts(redis)
        self._view = view

    def seen_by(self, view: View) -> "Rescue":
        """The same for somebody to whom jobs outside of the view do not exist."""
        return Rescue(self._redis, view)

    @translates_redis_errors
    def keep(self, job_id: str, index: int) -> None:
        """Keep a candidate too; nothing changes if it is kept.

        Raises:
            UnknownJobError: there is none of this id.
            UnknownImageError: the job has no such candidate, has not chosen yet, or its file is gone.
        """
        record = cast("dict[str, str]", self._redis.hgetall(keys.job(job_id)))
        if not record or not self._view.shows(record, job_id):
            raise unknown_job(job_id)
        if any(image.index == index for image in load_images(record)):
            return
        for image in load_candidates(record):
            place = field_of(image)
            if image.index == index and self._scripts("keep", job_id, place, record[place], image.key):
                return
        raise UnknownImageError(f"job {job_id} has no candidate {index} that can be kept, or no more")
