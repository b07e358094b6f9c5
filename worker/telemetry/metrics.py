"""Numbers for Prometheus that only a worker knows. Redis counts the jobs and their times (``lua/prelude.lua``)."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from jobs.status.workers import WorkerInfo

_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)
_LOAD_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_FILE_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_COMMAND_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30)


class WorkerMetrics:
    """The metrics of one worker, in a registry of its own. Any thread may note something."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._rows = self._histogram(
            "batch_rows", "Rows of the batches of model calls, by the kind of call.", "call", _ROWS
        )
        self._loads = self._histogram(
            "model_load_seconds", "Time of loading a model into memory, by its kind.", "kind", _LOAD_S
        )
        self._files = self._histogram(
            "artifact_seconds", "Time of calls to the artifact store, failed ones included.", "op", _FILE_S
        )
        self._commands = self._histogram(
            "redis_command_seconds", "Time of calls to Redis, waiting for it included.", "command", _COMMAND_S
        )
        self._redis_failures = Counter(
            "lodestar_redis_failures", "Calls to Redis that failed.", registry=self._registry
        )

    def note_batch(self, call: str, rows: int) -> None:
        """Note a batch of model calls."""
        self._rows.labels(call).observe(rows)

    def note_load(self, kind: str, seconds: float) -> None:
        """Note that a model was loaded."""
        self._loads.labels(kind).observe(seconds)

    @contextmanager
    def timing_file(self, op: str) -> Iterator[None]:
        """Note the time of a call to the artifact store."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._files.labels(op).observe(time.perf_counter() - began)

    @contextmanager
    def timing_command(self, command: str) -> Iterator[None]:
        """Note the time of a call to Redis, and its failure."""
        began = time.perf_counter()
        try:
            yield
        except Exception:
            self._redis_failures.inc()
            raise
        finally:
            self._commands.labels(command).observe(time.perf_counter() - began)

    def watch(self, info: Callable[[], WorkerInfo], model_seconds: Callable[[], float]) -> None:
        """Export what the worker says of itself, asked at each scrape.

        Args:
            info: of the worker now.
            model_seconds: that it has spent in model calls.
        """
        self._registry.register(_WorkerCollector(info, model_seconds))

    def exposition(self) -> bytes:
        """All metrics in the text format."""
        return generate_latest(self._registry)

    def _histogram(self, name: str, told: str, label: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"lodestar_{name}", told, (label,), buckets=buckets, registry=self._registry)


class _WorkerCollector(Collector):
    def __init__(self, info: Callable[[], WorkerInfo], model_seconds: Callable[[], float]) -> None:
        self._info, self._model_seconds = info, model_seconds

    def collect(self) -> Iterator[Metric]:
        info = self._info()
        about = GaugeMetricFamily(
            "lodestar_worker_info",
            "1 for this worker.",
            labels=("worker", "pool", "device", "dtype", "attention"),
        )
        about.add_metric([info.name, info.pool, info.device, info.dtype, info.attention], 1)
        yield about
        yield GaugeMetricFamily("lodestar_worker_held_jobs", "Jobs that it runs.", value=len(info.jobs))
        yield GaugeMetricFamily("lodestar_worker_room", "Jobs that it would take now.", value=info.room)
        yield CounterMetricFamily(
            "lodestar_model_seconds", "Time spent in model calls.", value=self._model_seconds()
        )
        models = GaugeMetricFamily("lodestar_loaded_models", "1 for each model in memory.", labels=("model",))
        for model in info.models:
            models.add_metric([model], 1)
        yield models
        memory = GaugeMetricFamily(
            "lodestar_device_memory_bytes", "Memory of its device: what it uses, and all.", labels=("kind",)
        )
        known = {"used": info.memory_used_bytes, "total": info.memory_total_bytes}
        for kind, value in known.items():
            if value is not None:
                memory.add_metric([kind], value)
        yield memory
