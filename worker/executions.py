"""A worker's jobs on their way: claimed, run, and settled when the engine is done with them."""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import structlog
from redis.exceptions import RedisError

from jobs.artifacts import ArtifactStore
from jobs.errors import DeviceLostError, JobFailedError, LeaseLostError, LodestarError
from jobs.interrupts import Interrupts
from jobs.leases import Lease, Leases, Standing
from jobs.order import cost_of, weight_of
from jobs.request import ResolvedRequest
from jobs.state import JobStatus
from jobs.workers import WorkerRegistry
from worker.calls import Preview
from worker.engine import Engine
from worker.held import Execution, Held
from worker.inputs import read_inputs
from worker.keeper import Keeper
from worker.models.registry import ModelRegistry
from worker.previews import Previews
from worker.publisher import Publisher
from worker.runner import Runner
from worker.sampler import Picture
from worker.tasks import Done
from worker.upscaling import require_upscaler
from worker.watchdog import Watchdog
from worker.work import Failed, Finished, Outcome, Stopped, Work

GIVE_BACK_S = 2.0  # for the call that the engine is in the middle of when it is closed
LISTEN_S = 0.5
RECONNECT_S = 1.0

log = structlog.get_logger(__name__)


class Executions:
    """Everything between the queue and the engine.

    Four threads beside the caller's, so that nothing but model calls runs on the engine's: the engine computes; the
    keeper renews leases; the publisher encodes, stores and settles, one job after another in the order in which they
    left the engine; the listener hears of cancels. What waits for the publisher is bounded, since a job counts as held
    until it is settled.
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
        watchdog: Watchdog | None = None,
    ) -> None:
        self._models = models
        self._leases = leases
        self._workers = workers
        self._artifacts = artifacts
        self._interrupts = interrupts
        self._name = name
        self._watchdog = watchdog
        self._held = Held(capacity)
        self._closing = threading.Event()
        self._unfit = threading.Event()
        self._keeper = Keeper(self._held, models, leases, workers, name=name)
        self._publisher = Publisher(leases, artifacts, models)
        self._previews = Previews(leases)
        self._outcomes: queue.SimpleQueue[tuple[Execution, Outcome]] = queue.SimpleQueue()
        self._engine = Engine(
            Runner(models), models.catalog, self._settle_later, self._preview_later, self._show_later
        )
        self._threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for name, target in (
                ("engine", self._compute),
                ("keeper", self._keeper.keep),
                ("publisher", self._publish),
                ("listener", self._listen),
            )
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()
        if self._watchdog:
            self._watchdog.watch(self._sign_of_life)

    def wait_for_room(self, timeout_s: float) -> bool:
        """Whether another job may be claimed now, or within ``timeout_s``."""
        return self._held.wait_for_room(timeout_s)

    def admit(self) -> bool:
        """Claim the job whose turn it is and start it; whether there was one."""
        lease = self._leases.claim_next(self._models.loaded())
        if lease is not None:
            self._start(lease)
        return lease is not None

    def _start(self, lease: Lease) -> None:
        work = Work(lease.job_id, lease.request, weight=weight_of(lease.request.priority))
        self._held.add(Execution(lease, work, cost_of(lease.request)))
        log.info("job started", job=lease.job_id, fence=lease.fence, alone=lease.alone)
        try:
            self._prepare(work)
        except OSError as error:
            log.exception("artifact store failed", job=lease.job_id)
            reason = f"what the job needs could not be read: {error.strerror or type(error).__name__}"
            return self._settle_later(work, Failed(JobFailedError(reason)))
        except LodestarError as error:
            return self._settle_later(work, Failed(error))
        is_loaded = lease.request.model in self._models.loaded()
        self._engine.admit(work)
        if not is_loaded:
            self._leases.log(lease, f"model {lease.request.model} is being loaded")

    def _prepare(self, work: Work) -> None:
        if isinstance(work.request, ResolvedRequest) and work.request.upscale is not None:
            require_upscaler()
        work.inputs = read_inputs(work.id, work.request, self._artifacts)

    def is_fit(self) -> bool:
        """Whether the device still works; without it the process has to end."""
        return not self._unfit.is_set()

    def close(self, grace_s: float) -> None:
        """Finish what can be finished within ``grace_s``, give the rest back to the queue, and say goodbye."""
        self._held.wait_until_empty(grace_s if self.is_fit() else 0)
        self._engine.close()
        self._held.wait_until_empty(GIVE_BACK_S)
        self._give_back_all()
        self._closing.set()
        self._keeper.close()
        self._previews.close()
        self._publisher.close()
        if self._watchdog:
            self._watchdog.dismiss()
        self._workers.leave(self._name)
        for thread in self._threads:
            # All but an engine that is stuck; none is worth waiting for any longer.
            thread.join(2 * LISTEN_S)

    def _give_back_all(self) -> None:
        """Where the engine is in the middle of a long call or the store is slow; what comes of it will be refused."""
        try:
            for execution in self._held.all():
                self._give_back(execution.lease)
        except RedisError:
            log.exception("jobs could not be given back; their leases will run out")

    def _compute(self) -> None:
        # The first model is the one that most jobs want: have it before they come.
        first = self._models.catalog.model(None)
        try:
            self._models.diffusion(first.id)
            self._models.clip(first.clip)
        except Exception:
            log.exception("the first model cannot be loaded; jobs that need it will fail", model=first.id)
        try:
            self._engine.serve()
        except DeviceLostError:
            log.exception("this worker can compute no more")
            self._unfit.set()

    def _listen(self) -> None:
        while not self._closing.is_set():
            try:
                told = self._interrupts.wait(LISTEN_S)
                if told and any(execution.lease.job_id == told for execution in self._held.all()):
                    # The keeper asks what it is about: a message may be lost, and one place should decide.
                    self._keeper.look()
            except RedisError as error:
                log.warning("cancels are heard of late", error=str(error))
                self._closing.wait(RECONNECT_S)
        self._interrupts.close()

    def _preview_later(self, work: Work, preview: Preview) -> None:
        self._previews.show(self._held.of(work).lease, preview)

    def _show_later(self, work: Work, picture: Picture) -> Picture:
        if not isinstance(work.request, ResolvedRequest) or work.request.select is None:
            return picture
        self._publisher.show(self._held.of(work).lease, picture)
        # Hundreds of candidates would fill the memory; they are in the store.
        return replace(picture, pixels=picture.pixels.new_empty(3, 0, 0))

    def _settle_later(self, work: Work, outcome: Outcome) -> None:
        self._outcomes.put((self._held.of(work), outcome))

    def _publish(self) -> None:
        while not self._closing.is_set():
            try:
                execution, outcome = self._outcomes.get(timeout=LISTEN_S)
            except queue.Empty:
                continue
            self._settle(execution, outcome)

    def _settle(self, execution: Execution, outcome: Outcome) -> None:
        lease = execution.lease
        try:
            status = self._conclude(execution, outcome)
            log.info("job settled", job=lease.job_id, fence=lease.fence, status=status)
        except LeaseLostError:
            log.warning(
                "job belongs to another execution; result dropped", job=lease.job_id, fence=lease.fence
            )
            self._publisher.discard(lease)
        except Exception:
            # The lease runs out, and the reaper gives the job to the next worker.
            log.exception("job could not be settled", job=lease.job_id, fence=lease.fence)
            self._publisher.forget(lease)
        finally:
            self._held.remove(execution)

    def _conclude(self, execution: Execution, outcome: Outcome) -> JobStatus:
        lease = execution.lease
        self._keeper.tell_notes(execution)
        match outcome:
            case Finished():
                self._leases.renew(lease, execution.work.progress)  # the last step, since the last look
                return self._publisher.publish(lease, outcome)
            case Done():
                return self._publisher.answer(lease, outcome)
            case Stopped() if execution.standing is Standing.CANCELED:
                status = self._leases.cancel(lease)
            case Stopped() if execution.standing is Standing.LOST:
                raise LeaseLostError(lease.job_id)
            case Failed() if self.is_fit():
                status = self._leases.fail(lease, outcome.error)
            case _:
                self._give_back(lease)
                status = JobStatus.QUEUED
        self._publisher.withdraw(lease)
        return status

    def _sign_of_life(self) -> float:
        """What stays the same only while a model call goes on."""
        return self._engine.calling_since or time.monotonic()

    def _give_back(self, lease: Lease) -> None:
        give_back: Callable[[Lease], None] = self._leases.release if self.is_fit() else self._leases.surrender
        give_back(lease)
