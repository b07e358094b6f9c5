"""Pools of workers: which models' jobs each takes, and how much work waits for it."""

from collections import Counter
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from typing import cast

from redis import Redis

from jobs.catalog.catalog import Catalog
from jobs.db import keys
from jobs.errors import ConfigurationError
from jobs.status.pools import EVERYTHING, PoolPlan
from jobs.status.workers import PoolInfo, WorkerInfo

SPEED_UNKNOWN_WORK_S = 1.0


def require_models(planned: tuple[PoolPlan, ...], known: Container[str]) -> tuple[PoolPlan, ...]:
    """The pools, if every model that they take is known.

    Raises:
        ConfigurationError: one is not.
    """
    for pool in planned:
        if unknown := [model for model in pool.models if model not in known]:
            raise ConfigurationError(
                f"pool {pool.name} takes jobs of models that the catalog lacks: {', '.join(unknown)}",
                field="pools",
            )
    return planned


class Pools:
    """Reads how much work the pools have."""

    def __init__(
        self, redis: Redis, planned: Sequence[PoolPlan] = EVERYTHING, clips: Collection[str] = ()
    ) -> None:
        """Make one.

        Args:
            redis: the server.
            planned: by the operator. Pools that only their workers know are shown too.
            clips: of the catalog. Every worker takes the tasks that need one of them alone.
        """
        self._redis = redis
        self._planned, self._clips = tuple(planned), clips

    def read(self, workers: Iterable[WorkerInfo]) -> tuple[PoolInfo, ...]:
        """The pools now, those that are planned first.

        Args:
            workers: that are alive.
        """
        with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.hgetall(keys.WORK_FOR)
            pipeline.hgetall(keys.POOL_SPEEDS)
            work, speeds = cast("list[dict[str, str]]", pipeline.execute())
        costs: Counter[str] = Counter()
        for model, cost in work.items():
            costs["" if model in self._clips else model] += int(cost)
        return pools_of(self._planned, tuple(workers), costs, speeds)


def pools_of_catalog(redis: Redis, planned: tuple[PoolPlan, ...], catalog: Catalog) -> Pools:
    """The pools of an installation; ConfigurationError if the catalog lacks a model that one takes."""
    known = require_models(planned, {card.id for card in catalog.models})
    return Pools(redis, known, {card.id for card in catalog.clips})


def pools_of(
    planned: Sequence[PoolPlan],
    workers: Sequence[WorkerInfo],
    work_for: Mapping[str, int],
    speeds: Mapping[str, str],
) -> tuple[PoolInfo, ...]:
    """The pools, from what is planned and what Redis knows.

    Args:
        planned: by the operator.
        workers: that are alive.
        work_for: units of work that wait, by model; '' is the work that every worker takes.
        speeds: units a second of one worker of each pool, as measured last.
    """
    known = {pool.name: pool for pool in planned}
    for worker in sorted(workers, key=lambda each: each.pool):
        known.setdefault(worker.pool, PoolPlan(name=worker.pool, models=worker.serves))
    parts = _parts(tuple(known.values()), work_for)
    return tuple(
        _info(pool, [worker for worker in workers if worker.pool == name], parts[name], speeds.get(name))
        for name, pool in known.items()
    )


def _parts(pools: Sequence[PoolPlan], work_for: Mapping[str, int]) -> dict[str, float]:
    """The work of each pool: equal parts of that of each model. What every worker takes is the first pool's."""
    parts = {pool.name: 0.0 for pool in pools}
    for model, work in work_for.items():
        takers = [pool for pool in pools if not pool.models or model in pool.models]
        if not model:
            takers = list(pools[:1])
        for pool in takers:
            parts[pool.name] += max(0, work) / len(takers)
    return parts


def _info(pool: PoolPlan, workers: Sequence[WorkerInfo], waiting: float, speed: str | None) -> PoolInfo:
    running, known = sum(worker.load for worker in workers), float(speed or 0)
    work = waiting + running
    return PoolInfo(
        name=pool.name,
        models=pool.models,
        workers=len(workers),
        worker_speed=round(known, 3) or None,
        waiting_work=round(waiting, 3),
        running_work=round(running, 3),
        work_s=round(work / known if known else SPEED_UNKNOWN_WORK_S * (work > 0), 3),
    )
