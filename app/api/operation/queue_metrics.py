"""Numbers of the whole service, as Redis knows them: every API process exports the same ones."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from redis import Redis

from jobs.db.connection import translating_redis_errors
from jobs.errors import QueueUnavailableError
from jobs.events.webhooks import WebhookQueue
from jobs.queue.fleet.gauges import Gauges, read_gauges
from jobs.queue.fleet.pools import Pools
from jobs.queue.queue import JobQueue
from jobs.queue.workers import WorkerRegistry
from jobs.status.workers import PoolInfo


class QueueCollector(Collector):
    """Asks Redis at each scrape. While Redis is away, it exports ``lodestar_redis_up`` alone."""

    def __init__(
        self, redis: Redis, queue: JobQueue, workers: WorkerRegistry, webhooks: WebhookQueue, pools: Pools
    ) -> None:
        self._redis, self._queue, self._workers = redis, queue, workers
        self._webhooks, self.pools = webhooks, pools

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        try:
            known = list(self._known())
        except QueueUnavailableError:
            known = []
        yield _gauge("redis_up", "1 if Redis answered this scrape, else 0.", float(bool(known)))
        yield from known

    def _known(self) -> Iterator[Metric]:
        backlog, alive = self._queue.backlog(), self._workers.alive()
        yield _gauges("jobs", "Jobs that are kept, by status.", "status", self._queue.counts())
        yield _gauge("waiting_work", "Units of work that the waiting jobs need.", backlog.cost)
        if backlog.pace is not None:
            yield _gauge("speed", "Units of work that all workers do in a second.", backlog.pace.speed)
        yield _gauge("workers", "Workers heard of within the last 15 s.", len(alive))
        owed = self._webhooks.pending()
        yield _gauge("webhook_messages", "Webhook messages that are to be delivered.", owed)
        with translating_redis_errors():
            gauges, pools = read_gauges(self._redis), self.pools.read(alive)
        yield from _of_queue(gauges)
        yield from _of_pools(pools)
        told = "Executions that ended with their worker."
        yield CounterMetricFamily("lodestar_executions_lost", told, value=gauges.lost)


def _of_queue(gauges: Gauges) -> Iterator[Metric]:
    yield _gauges(
        "queue_oldest_age_seconds",
        "Time since the submission of the oldest waiting job, 0 if none waits.",
        "priority",
        gauges.oldest_s,
    )
    yield _gauges(
        "model_waiting_work",
        "Units of work that wait for a model, or for a CLIP alone.",
        "model",
        gauges.work_for,
    )
    yield _gauge(
        "parked_jobs", "Jobs that no worker could read so far: they need a newer one.", gauges.parked
    )
    yield _gauge("kept_bytes", "Bytes that all jobs take in Redis.", gauges.kept_bytes)
    yield _gauge("kept_file_bytes", "Bytes of the files that were sent for jobs.", gauges.kept_file_bytes)
    if gauges.memory_bytes is not None:
        yield _gauge("redis_memory_bytes", "Memory that Redis uses.", gauges.memory_bytes)
    if gauges.max_memory_bytes is not None:
        told = "Memory that Redis may use; 0 without a limit."
        yield _gauge("redis_max_memory_bytes", told, gauges.max_memory_bytes)


def _of_pools(pools: Iterable[PoolInfo]) -> Iterator[Metric]:
    told = "Seconds that one worker of a pool would need for its waiting and running work."
    yield _gauges("pool_work_seconds", told, "pool", {pool.name: pool.work_s for pool in pools})
    yield _gauges("pool_workers", "Workers of a pool.", "pool", {pool.name: pool.workers for pool in pools})
    running = {pool.name: pool.running_work for pool in pools}
    yield _gauges(
        "running_work", "Units of work that the running jobs of a pool still need.", "pool", running
    )
    speeds = {pool.name: pool.worker_speed for pool in pools if pool.worker_speed is not None}
    told = "Units of work that one worker of a pool does in a second, as measured last."
    yield _gauges("worker_speed", told, "pool", speeds)


def _gauge(name: str, told: str, value: float) -> Metric:
    return GaugeMetricFamily(f"lodestar_{name}", told, value=value)


def _gauges(name: str, told: str, label: str, values: Mapping[Any, float]) -> Metric:
    family = GaugeMetricFamily(f"lodestar_{name}", told, labels=[label])
    for of, value in values.items():
        family.add_metric([str(of)], value)
    return family
