"""The workers' total speed, and the time to the end of a waiting job."""

from collections.abc import Iterable, Mapping
from typing import cast

from redis import Redis

from jobs.db import keys
from jobs.status.workers import WorkerInfo
from jobs.wire import Wire

PACE_TTL_S = 30


class Pace(Wire):
    """All live workers together.

    Attributes:
        speed: units of work (see ``jobs.queue.order.cost_of``) in a second.
        load: units that the jobs they run still need.
    """

    speed: float
    load: float


class Backlog(Wire):
    """The waiting jobs as a whole, at one moment.

    Attributes:
        jobs: how many wait.
        cost: units of work that they need together.
        pace: of the workers; None until one has measured its own.
    """

    jobs: int
    cost: int
    pace: Pace | None

    def eta_s(self, jobs_before: float, own_cost: int = 0) -> float | None:
        """Seconds until a waiting job is done; None when no speed is known.

        The jobs before it count at the average cost: the true sum would take time in proportion to the queue.
        """
        if self.pace is None or self.pace.speed <= 0:
            return None
        mean = self.cost / self.jobs if self.jobs else 0.0
        return round((self.pace.load + jobs_before * mean + own_cost) / self.pace.speed, 1)

    def eta_of(self, record: Mapping[str, str], position: int | None) -> float | None:
        """Seconds until the job of this record is done; None also for one that does not wait."""
        return None if position is None else self.eta_s(position, int(record["cost"]))


class PaceBook:
    """Keeps the pace in Redis: the reaper writes it, and every answer about a waiting job reads it."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def note(self, workers: Iterable[WorkerInfo]) -> None:
        """Write the sum over the workers; without any speed nothing is written, and the last pace soon expires."""
        known = [worker for worker in workers if worker.speed is not None]
        if known:
            pace = Pace(
                speed=sum(worker.speed or 0.0 for worker in known), load=sum(worker.load for worker in known)
            )
            self._redis.set(keys.PACE, pace.model_dump_json(), ex=PACE_TTL_S)

    def backlog(self) -> Backlog:
        """The waiting jobs now."""
        with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.zcard(keys.WAITING)
            pipeline.mget(keys.WAITING_COST, keys.PACE)
            jobs, (cost, pace) = cast("tuple[int, list[str | None]]", tuple(pipeline.execute()))
        return Backlog(
            jobs=jobs, cost=int(cost or 0), pace=None if pace is None else Pace.model_validate_json(pace)
        )
