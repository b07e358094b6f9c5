"""What a worker tells of itself, in one hand."""

from dataclasses import dataclass, field

from worker.telemetry.metrics import WorkerMetrics
from worker.telemetry.traces import ExecutionTraces


@dataclass(frozen=True)
class Telemetry:
    """Its metrics and its traces."""

    metrics: WorkerMetrics = field(default_factory=WorkerMetrics)
    traces: ExecutionTraces = field(default_factory=ExecutionTraces)
