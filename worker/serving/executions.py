"""A worker's executions: claimed, run by the engine, and settled."""

import threading
import time
from collections.abc import Callable

import structlog
from redis.exceptions import RedisError

from jobs.queue.interrupts import Interrupts
from jobs.queue.leases import Lease, Leases
from jobs.queue.order import weight_of
from jobs.queue.workers import WorkerRegistry
from jobs.requests.request import ResolvedRequest
from jobs.requests.tasks import EnlargeTask
from jobs.storage.artifacts import ArtifactStore
from worker.engine.engine import Engine
from worker.engine.runner import Runner
from worker.engine.work import Finished, Outcome, Work
from worker.events import Preview
from worker.models.registry import ModelRegistry
from worker.pictures.picture import Picture
from worker.pictures.writer import PictureWriter
from worker.serving.enlarger import Enlarger
from worker.serving.enlarging import Enlarging
from worker.serving.handover.taking import Taking
from worker.serving.heartbeat import Heartbeat, Member
from worker.serving.held_jobs import Execution, HeldJobs
from worker.serving.preparing import Preparing
from worker.serving.previews import Previews
from worker.serving.publisher import Publisher
from worker.serving.settling import Settling
from worker.serving.watchdog import Watchdog
from worker.telemetry.metrics import WorkerMetrics
from worker.telemetry.telemetry import Telemetry

ALONE = Member()
HAND_OVER_S = 10.0  # for the steps that are being taken at the close
UNFIT_S = 2.0  # for what is left to be settled by a worker that computes no more
LEAVE_S = 0.5  # for all other threads after that; their results no longer count
LISTEN_S = 0.25
RECONNECT_S = 1.0

log = structlog.get_logger(__name__)


class Executions:
    """The executions of a worker, between the queue and the engine.

    Only model calls and the samplers' own computing run on the engine's thread. Beside it, ``Preparing`` reads inputs,
    ``Heartbeat`` renews leases, ``Enlarging`` upscales, ``Storing`` encodes and stores, ``Settling`` commits, the
    listener receives cancels, and one thread shows previews. Each of their queues is bounded: a job is held until it is
    settled, and begins no other picture while too many of its own wait to be stored.
    """

    def __init__(
        self,
        models: ModelRegistry,
        leases: Leases,
        workers: WorkerRegistry,
        artifacts: ArtifactStore,
        interrupts: Interrupts,
        *,
        name: str,
        capacity: int,
        member: Member = ALONE,
        telemetry: Telemetry | None = None,
        watchdog: Watchdog | None = None,
        writer: PictureWriter | None = None,
    ) -> None:
        self._models, self._leases, self._workers, self._interrupts = models, leases, workers, interrupts
        self._name, self._watchdog, self._member = name, watchdog, member
        self._telemetry = telemetry or Telemetry()
        metrics, traces = self._telemetry.metrics, self._telemetry.traces
        self._closing, self._unfit, self._ready = threading.Event(), threading.Event(), threading.Event()
        self._held = HeldJobs(capacity)
        self._heartbeat = Heartbeat(
            self._held, models, leases, workers, name=name, member=member, metrics=metrics
        )
        self._publisher = Publisher(leases, artifacts, models, self._wake, writer)
        self._previews = Previews(leases, writer)
        self._settling = Settling(
            self._held, leases, self._publisher, self.is_fit, self._heartbeat.send_notes, traces
        )
        enlarger = Enlarger(artifacts, models.device.threads)
        self._enlarging = Enlarging(self._publisher.enlarge, enlarger, self._settling.add)
        self._engine = self._new_engine(models, metrics)
        metrics.watch(self._heartbeat.info, lambda: self._engine.busy_s)
        taking = Taking(leases, artifacts, self._publisher.storing, models.device)
        self._preparing = Preparing(
            models, leases, artifacts, self._begin, self._settling.add, traces, taking
        )
        own = {"engine": self._compute, "heartbeat": self._heartbeat.beat, "listener": self._listen}
        self._threads = [_daemon(thread, target) for thread, target in own.items()]

    def _new_engine(self, models: ModelRegistry, metrics: WorkerMetrics) -> Engine:
        return Engine(
            Runner(models, metrics.note_batch),
            self._settle_later,
            self._preview_later,
            self._store_later,
            self._may_generate,
        )

    def start(self) -> None:
        """Start the threads, the engine's included."""
        for thread in self._threads:
            thread.start()
        if self._watchdog:
            self._watchdog.watch(self._sign_of_life)

    def wait_for_room(self, timeout_s: float) -> bool:
        """Whether another job may be claimed now, or within ``timeout_s``."""
        return self._held.wait_for_room(timeout_s)

    def admit(self) -> bool:
        """Claim and start the next job of the queue; False if there is none."""
        with self._telemetry.metrics.timing_command("claim"):
            lease = self._leases.claim_next(self._models.loaded())
        if lease is not None:
            self._start(lease)
        return lease is not None

    def _start(self, lease: Lease) -> None:
        work = Work(lease.job_id, lease.request, weight=weight_of(lease.request.priority))
        work.owner = execution = Execution(lease, work)
        self._telemetry.traces.begin(lease)
        self._held.add(execution)
        log.info("job started", job=lease.job_id, fence=lease.fence, alone=lease.alone)
        self._preparing.add(execution)

    def _begin(self, work: Work) -> None:
        """Begin a job whose inputs are read, in the engine or beside it."""
        execution: Execution = work.owner
        if isinstance(work.request, EnlargeTask):
            self._held.park(execution)
            self._enlarging.add_task(execution, work.request)
        else:
            self._engine.admit(work)

    def is_fit(self) -> bool:
        """Whether this worker can still compute; if not, the process must end."""
        return not self._unfit.is_set()

    def is_ready(self) -> bool:
        """Whether its first model is in memory."""
        return self._ready.is_set()

    def close(self, grace_s: float) -> None:
        """Finish jobs for ``grace_s``, hand the rest over to other workers, and deregister the worker."""
        self._held.drain()
        self._held.wait_until_empty(grace_s if self.is_fit() else 0)
        self._engine.hand_over()
        self._enlarging.close()
        self._held.wait_until_empty(HAND_OVER_S if self.is_fit() else UNFIT_S)
        self._engine.close()
        self._release_all()
        self._closing.set()
        if self._watchdog:
            self._watchdog.dismiss()
        self._heartbeat.close()
        end = time.monotonic() + LEAVE_S
        for part in (self._preparing, self._settling, self._publisher, self._previews):
            part.close(max(0.0, end - time.monotonic()))
        self._telemetry.traces.close()
        self._workers.leave(self._name)
        for thread in self._threads:
            # Only an engine that is stuck takes longer.
            thread.join(max(0.0, end - time.monotonic()))

    def _release_all(self) -> None:
        """Release the jobs of a long model call or a slow store; the queue will refuse their results."""
        try:
            for execution in self._held.all():
                self._settling.release(execution.lease)
        except RedisError:
            log.exception("jobs could not be released; their leases will run out")

    def _compute(self) -> None:
        # Most jobs want the first model: load it before they come.
        first = self._models.catalog.model(next(iter(self._member.serves), None))
        try:
            self._models.diffusion(first.id)
            self._models.clip(first.clip)
            self._ready.set()
        except Exception:
            log.exception("the first model cannot be loaded; jobs that need it will fail", model=first.id)
        try:
            self._engine.serve()
        except Exception:
            # The device is lost, or the loop is broken: the jobs of this worker would never end.
            log.exception("this worker can compute no more")
            self._unfit.set()

    def _listen(self) -> None:
        while not self._closing.is_set():
            try:
                job_id = self._interrupts.wait(LISTEN_S)
                if job_id and any(execution.lease.job_id == job_id for execution in self._held.all()):
                    # The heartbeat gets the job's standing: a message may be lost, and one place should decide.
                    self._heartbeat.wake()
            except Exception as error:
                log.warning("cancels are heard of late", error=str(error))
                self._closing.wait(RECONNECT_S)
        self._interrupts.close()

    def _wake(self) -> None:
        self._engine.wake()

    def _may_generate(self, work: Work) -> bool:
        return self._publisher.has_room(work.owner.lease)

    def _preview_later(self, work: Work, preview: Preview) -> None:
        self._previews.show(work.owner.lease, preview)

    def _store_later(self, work: Work, picture: Picture) -> Picture:
        return self._publisher.store(work.owner.lease, picture)

    def _settle_later(self, work: Work, outcome: Outcome) -> None:
        execution: Execution = work.owner
        request = work.request
        if isinstance(outcome, Finished) and isinstance(request, ResolvedRequest) and request.upscale:
            self._held.park(execution)
            self._enlarging.add(execution, outcome)
        else:
            self._settling.add(execution, outcome)

    def _sign_of_life(self) -> float:
        """A time that is constant only during one model call, or one tile."""
        begun = (self._engine.calling_since, self._enlarging.working_since)
        return min((since for since in begun if since is not None), default=time.monotonic())


def _daemon(name: str, target: Callable[[], None]) -> threading.Thread:
    return threading.Thread(target=target, name=name, daemon=True)
