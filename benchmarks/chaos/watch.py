"""Looks at every accepted job in Redis while parts of the service are killed."""

import threading
import time
from typing import cast

from redis import Redis
from redis.exceptions import RedisError

from benchmarks.chaos.verdict import TERMINAL, Orphaned, Sight, Story, last_of
from jobs.db.scripts import PREFIX
from jobs.status.job import JobStatus

LOOK_EVERY_S = 0.2


class Watch:
    """Looks at every accepted job in Redis again and again, on a thread of its own."""

    def __init__(self, redis: Redis) -> None:
        self.stories: dict[str, Story] = {}
        self.orphaned: list[Orphaned] = []
        self.stop = threading.Event()
        self._redis = redis
        self._thread = threading.Thread(target=self._look_on, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Look once more and stop."""
        self.stop.set()
        self._thread.join()
        self.look()

    def accepted(self, job_id: str) -> None:
        """A job was acknowledged."""
        self.stories.setdefault(job_id, Story())

    def killed(self, worker: str, at: float) -> None:
        """A worker was killed: note what it held."""
        for job_id in cast("set[str]", self._redis.smembers(f"{PREFIX}held:{worker}")):
            sight = self._sight(job_id)
            if sight.status == JobStatus.RUNNING:
                self.orphaned.append(Orphaned(job_id, sight.fence, at))
                self.stories.setdefault(job_id, Story()).deaths += 1

    def look(self) -> None:
        """Look at everything that may still change."""
        for job_id, story in list(self.stories.items()):
            story.see(self._sight(job_id))
        for each in self.orphaned:
            if each.recovered_after_s is None:
                sight = self._sight(each.job_id)
                if sight.status != JobStatus.RUNNING or sight.fence != each.fence:
                    each.recovered_after_s = time.monotonic() - each.killed_at

    def all_ended(self) -> bool:
        """Whether nothing is left to do."""
        return all(
            last_of(story).status in {"unknown", *TERMINAL} and story.sights
            for story in self.stories.values()
        )

    def _look_on(self) -> None:
        while not self.stop.wait(LOOK_EVERY_S):
            try:
                self.look()
            except RedisError:
                continue  # it was killed

    def _sight(self, job_id: str) -> Sight:
        fields = ("status", "fence", "settled_by", "images", "error")
        values = cast("list[str | None]", self._redis.hmget(f"{PREFIX}job:{job_id}", list(fields)))
        return Sight(*(value or "" for value in values)) if values[0] else Sight("unknown")
