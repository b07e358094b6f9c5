"""Numbers for Prometheus: jobs and workers as Redis knows them, and this process's own request times."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from app.api.operation.job_metrics import JobCollector
from app.api.operation.queue_metrics import QueueCollector
from jobs.status.tallies import Tallies

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


_REDIS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)


class RedisTimes:
    """How long calls to Redis take, for ``jobs.db.connection.connect``; streams of events, which wait, are not told."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self._seconds = Histogram(
            "lodestar_redis_command_seconds",
            "Time of calls to Redis, waiting for it included, by the name of the script or command.",
            ("command",),
            buckets=_REDIS_S,
            registry=None,
        )
        self._failures = Counter("lodestar_redis_failures", "Calls to Redis that failed.", registry=None)

    def note(self, name: str, seconds: float, failed: bool) -> None:
        """Count a call."""
        self._seconds.labels(name).observe(seconds)
        if failed:
            self._failures.inc()

    def register(self, registry: CollectorRegistry) -> None:
        """Export them there."""
        registry.register(self._seconds)
        registry.register(self._failures)


class Metrics:
    """The metrics of one app, in a registry of its own, so that several apps can live in one process."""

    def __init__(self, of_queue: QueueCollector, tallies: Tallies, redis_times: RedisTimes) -> None:
        """Make them.

        Args:
            of_queue: what Redis knows of the queue.
            tallies: of ended jobs.
            redis_times: of this process's calls.
        """
        self.pools = of_queue.pools
        self._registry = CollectorRegistry()
        redis_times.register(self._registry)
        self._registry.register(of_queue)
        self._registry.register(JobCollector(tallies))
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
        self._rejections = Counter(
            "lodestar_rejections",
            "Requests that were answered with an error, by its type.",
            ("reason",),
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

    def count_rejection(self, reason: str) -> None:
        """Count a request that was answered with an error of this type."""
        self._rejections.labels(reason).inc()

    def exposition(self) -> bytes:
        """All metrics in the text format."""
        return generate_latest(self._registry)
