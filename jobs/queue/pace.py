"""The workers' total speed, and the time to the end of a waiting job."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from redis import Redis
from redis.client import Pipeline

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
        """Write the sum over the workers; without any speed nothing is written, and the last pace soon expires.

        A drained worker does nothing of what waits.
        """
        known = [worker for worker in workers if worker.speed is not None]
        takers = [worker for worker in known if not worker.draining]
        if known:
            pace = Pace(
                speed=sum(worker.speed or 0.0 for worker in takers),
                load=sum(worker.load for worker in takers),
            )
            self._redis.set(keys.PACE, pace.model_dump_json(), ex=PACE_TTL_S)
            # Kept when the last worker of a pool is gone, to tell how many are to come.
            self._redis.hset(keys.POOL_SPEEDS, mapping=_speeds(known))

    def backlog(self) -> Backlog:
        """The waiting jobs now."""
        with self._redis.pipeline(transaction=False) as pipeline:
            self.ask(pipeline)
            return self.read(*pipeline.execute())

    @staticmethod
    def ask(pipeline: Pipeline) -> None:
        """Ask for it as part of a pipeline, whose last two answers are for ``read``."""
        pipeline.zcard(keys.WAITING)
        pipeline.mget(keys.WAITING_COST, keys.PACE)

    @staticmethod
    def read(jobs: int, values: Sequence[str | None]) -> Backlog:
        """The waiting jobs of two answers."""
        cost, pace = values
        known = None if pace is None else Pace.model_validate_json(pace)
        return Backlog(jobs=jobs, cost=int(cost or 0), pace=known)

    def ask_of(self, pipeline: Pipeline, job_id: str) -> None:
        """Ask for a job, and when it will start, as part of a pipeline, whose last four answers are for ``read_of``."""
        pipeline.hgetall(keys.job(job_id))
        pipeline.zrank(keys.WAITING, job_id)
        self.ask(pipeline)

    def read_of(self, answers: Sequence[Any]) -> tuple[dict[str, str], int | None, float | None]:
        """The record of the job, its place in the queue, and the seconds until its start as far as they are known."""
        record, position, *backlog = answers
        return record, position, self.read(*backlog).eta_of(record, position)


def _speeds(workers: Iterable[WorkerInfo]) -> dict[Any, Any]:
    """The mean speed of a worker of each pool."""
    speeds: defaultdict[str, list[float]] = defaultdict(list)
    for worker in workers:
        speeds[worker.pool].append(worker.speed or 0.0)
    return {pool: fmean(each) for pool, each in speeds.items()}
