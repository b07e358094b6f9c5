"""Numbers for Prometheus: jobs and workers as Redis knows them, and this process's own request times."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from jobs.errors import QueueUnavailableError
from jobs.events.webhooks import WebhookQueue
from jobs.queue.queue import JobQueue
from jobs.queue.workers import WorkerRegistry

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS_S = (
    0.002,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
    30,
    60,
)  # 60 is the longest wait


class Metrics:
    """The metrics of one app, in a registry of its own, so that several apps can live in one process."""

    def __init__(self, queue: JobQueue, workers: WorkerRegistry, webhooks: WebhookQueue) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_QueueCollector(queue, workers, webhooks))
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._requests = Histogram(
            "lodestar_http_request_duration_seconds",
            "Time from a request's arrival to the end of its answer.",
            ("method", "route", "status"),
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self.webhook_attempts = Counter(
            "lodestar_webhook_attempts",
            "Attempts to deliver a webhook message, by what became of it.",
            ("outcome",),  # delivered, retried (to be tried again) or failed (given up)
            registry=self._registry,
        )
        self.event_streams = Gauge(
            "lodestar_event_streams", "Streams of events that are open.", registry=self._registry
        )

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request; ``route`` is the path's template, so that there are few of them."""
        # A client may send any word as its method, and each would be a time series.
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route, str(status)).observe(seconds)

    def exposition(self) -> bytes:
        """All metrics in the text format."""
        return generate_latest(self._registry)


class _QueueCollector(Collector):
    """Asks Redis at each scrape. While Redis is away, it exports ``lodestar_redis_up`` alone."""

    def __init__(self, queue: JobQueue, workers: WorkerRegistry, webhooks: WebhookQueue) -> None:
        self._queue = queue
        self._workers = workers
        self._webhooks = webhooks

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("lodestar_redis_up", "1 if Redis answered this scrape, else 0.")
        try:
            counts = self._queue.counts()
            backlog = self._queue.backlog()
            alive = self._workers.alive()
            owed = self._webhooks.pending()
        except QueueUnavailableError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        jobs = GaugeMetricFamily("lodestar_jobs", "Jobs that are kept, by status.", labels=["status"])
        for status, number in counts.items():
            jobs.add_metric([status], number)
        yield jobs
        yield GaugeMetricFamily(
            "lodestar_waiting_work", "Units of work that the waiting jobs need.", value=backlog.cost
        )
        if backlog.pace is not None:
            yield GaugeMetricFamily(
                "lodestar_speed", "Units of work that all workers do in a second.", value=backlog.pace.speed
            )
        yield GaugeMetricFamily(
            "lodestar_workers", "Workers heard of within the last 15 s.", value=len(alive)
        )
        yield GaugeMetricFamily(
            "lodestar_webhook_messages", "Webhook messages that are to be delivered.", value=owed
        )
