"""Reads the inputs of claimed jobs, beside the engine."""

from collections.abc import Callable
from contextlib import suppress

import structlog
import torch
from redis.exceptions import RedisError

from jobs.errors import JobFailedError
from jobs.queue.leases import Leases
from jobs.queue.order import cost_of
from jobs.requests.enlarging import NETWORKS
from jobs.requests.pictures import pictures_in
from jobs.requests.request import ResolvedRequest
from jobs.requests.tasks import DescribeTask, EmbeddingTask, EnlargeTask, QueryTask, ScoreTask, Task
from jobs.storage.artifacts import ArtifactStore
from worker.engine.work import Failed, Work, as_failure
from worker.models.footprint import taking_memory
from worker.models.registry import ModelRegistry
from worker.pictures.inputs import read_inputs
from worker.pictures.upscaling import require_upscaler
from worker.serving.handover.taking import Taking
from worker.serving.held_jobs import Execution
from worker.serving.lane import Lane
from worker.telemetry.traces import ExecutionTraces

AT_ONCE = 2  # jobs without pictures to read, and as many with
READING_NICENESS = 5  # pictures may be large; the engine goes first
_CPU = torch.device("cpu")

log = structlog.get_logger(__name__)


class Preparing:
    """Prepares executions on threads of its own. Jobs with pictures to read do not delay the others."""

    def __init__(
        self,
        models: ModelRegistry,
        leases: Leases,
        artifacts: ArtifactStore,
        on_ready: Callable[[Work], None],
        on_failed: Callable[[Execution, Failed], None],
        traces: ExecutionTraces,
        taking: Taking,
    ) -> None:
        """Start no thread yet.

        Args:
            models: those in memory.
            leases: of the executions.
            artifacts: holds the inputs.
            on_ready: called with the work of an execution whose inputs are read.
            on_failed: called with an execution whose inputs cannot be read.
            traces: of the executions.
            taking: takes over what other workers have left.
        """
        self._models = models
        self._leases = leases
        self._artifacts = artifacts
        self._on_ready = on_ready
        self._on_failed = on_failed
        self._traces = traces
        self._taking = taking
        self._starter = Lane("starter", AT_ONCE)
        self._reader = Lane("reader", AT_ONCE, niceness=READING_NICENESS)

    def add(self, execution: Execution) -> None:
        """Prepare an execution soon; returns at once."""
        lane = self._reader if _has_pictures(execution.work.request) else self._starter
        lane.submit(self._prepare, execution)

    def close(self, within_s: float) -> None:
        """Prepare no more; return when the threads have ended, or the time is over."""
        self._starter.close(within_s)
        self._reader.close(within_s)

    def _prepare(self, execution: Execution) -> None:
        """Read the inputs of a job. An error ends this job and no other."""
        work = execution.work
        try:
            execution.cost = cost_of(work.request)
            _require_upscalers(work.request)
            with self._traces.part(execution.lease, "prepare"), taking_memory(_CPU):
                work.inputs = read_inputs(work.id, work.request, self._artifacts, execution.lease.tenant)
                self._taking.take(execution.lease, work)
            execution.counted = work.progress.fraction
            work.cost = round(_engine_cost(work.request) * (1 - execution.counted))
        except OSError as error:
            log.exception("artifact store failed", job=work.id)
            reason = f"what the job needs could not be read: {error.strerror or type(error).__name__}"
            return self._on_failed(execution, Failed(JobFailedError(reason)))
        except Exception as error:
            return self._on_failed(execution, Failed(as_failure(error, work.id)))
        is_loaded = work.request.model in ("", *self._models.loaded())
        self._on_ready(work)
        if not is_loaded:
            with suppress(RedisError):
                self._leases.log(execution.lease, f"model {work.request.model} is being loaded")


def _engine_cost(request: ResolvedRequest | Task) -> int:
    """The cost of a job without its upscaling, which runs beside the engine."""
    return cost_of(
        request.model_copy(update={"upscale": None}) if isinstance(request, ResolvedRequest) else request
    )


def _require_upscalers(request: ResolvedRequest | Task) -> None:
    """Refuse a job that needs the extra ``upscale`` before it begins.

    Raises:
        MissingExtraError: it does, and the extra is not installed.
    """
    if isinstance(request, EnlargeTask):
        require_upscaler("upscaler")
    if not isinstance(request, ResolvedRequest):
        return
    if request.upscale is not None:
        require_upscaler()
    if request.hires is not None and request.hires.upscaler in NETWORKS:
        require_upscaler("hires.upscaler")


def _has_pictures(request: ResolvedRequest | Task) -> bool:
    """Whether a job reads pictures before it starts, or while it runs."""
    if isinstance(request, ResolvedRequest):
        return bool(pictures_in(request))
    return isinstance(request, EmbeddingTask | ScoreTask | QueryTask | DescribeTask)
