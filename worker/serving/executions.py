"""A worker's jobs on their way: claimed, run, and settled when the engine is done with them."""

import threading
import time
from contextlib import suppress
from dataclasses import replace

import structlog
import torch
from redis.exceptions import RedisError

from jobs.errors import JobFailedError
from jobs.queue.interrupts import Interrupts
from jobs.queue.leases import Lease, Leases
from jobs.queue.order import cost_of, weight_of
from jobs.queue.workers import WorkerRegistry
from jobs.requests.objectives import ImageObjective
from jobs.requests.request import ResolvedRequest
from jobs.requests.tasks import EmbeddingTask, QueryTask, ScoreTask, Task
from jobs.storage.artifacts import ArtifactStore
from worker.calls import Preview
from worker.engine.engine import Engine
from worker.engine.runner import Runner
from worker.engine.work import Failed, Finished, Outcome, Work, as_failure
from worker.models.footprint import taking_memory
from worker.models.registry import ModelRegistry
from worker.pictures.inputs import read_inputs
from worker.pictures.picture import Picture
from worker.pictures.upscaling import require_upscaler
from worker.serving.enlarging import Enlarging
from worker.serving.heartbeat import Keeper
from worker.serving.held_jobs import Execution, Held
from worker.serving.lane import Lane
from worker.serving.previews import Previews
from worker.serving.publisher import Publisher
from worker.serving.settling import Settling
from worker.serving.watchdog import Watchdog

_CPU = torch.device("cpu")
GIVE_BACK_S = 2.0  # for the call that the engine is in the middle of when it is closed
LEAVE_S = 0.5  # for what else goes on then; all of it is of no use any more
LISTEN_S = 0.25
RECONNECT_S = 1.0
PREPARING = 2  # jobs at a time whose inputs are read, and as many whose pictures are
READING_NICENESS = 5  # pictures may be large; the engine goes first

log = structlog.get_logger(__name__)


class Executions:
    """Everything between the queue and the engine.

    Nothing but model calls and what samplers do between them runs on the engine's thread. Beside it, starters and
    readers fetch what jobs need; the keeper renews leases; the upscaler makes pictures larger; the publishers encode,
    store and settle; the listener hears of cancels; candidates and previews are shown by one thread each. What waits
    for any of them is bounded, since a job is held until it is settled.
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
        self._publisher = Publisher(leases, artifacts, models, self._wake)
        self._previews = Previews(leases)
        self._starter = Lane("starter", PREPARING)
        self._reader = Lane("reader", PREPARING, niceness=READING_NICENESS)
        self._settling = Settling(self._held, leases, self._publisher, self.is_fit, self._keeper.tell_notes)
        self._enlarging = Enlarging(self._publisher.enlarge, self._settling.add)
        self._engine = Engine(
            Runner(models),
            models.catalog,
            self._settle_later,
            self._preview_later,
            self._show_later,
            self._may_draw,
        )
        self._threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for name, target in (
                ("engine", self._compute),
                ("keeper", self._keeper.keep),
                ("listener", self._listen),
            )
        ]

    def start(self) -> None:
        """Begin to compute what is admitted."""
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
        execution = Execution(lease, work)
        self._held.add(execution)
        log.info("job started", job=lease.job_id, fence=lease.fence, alone=lease.alone)
        lane = self._reader if _has_pictures(lease.request) else self._starter
        lane.submit(self._prepare, execution)

    def _prepare(self, execution: Execution) -> None:
        """Read what a job needs, and hand it to the engine. Whatever goes wrong is the job's end, and no one else's."""
        work = execution.work
        try:
            execution.cost = cost_of(work.request)
            if isinstance(work.request, ResolvedRequest) and work.request.upscale is not None:
                require_upscaler()
            with taking_memory(_CPU):
                work.inputs = read_inputs(work.id, work.request, self._artifacts)
        except OSError as error:
            log.exception("artifact store failed", job=work.id)
            reason = f"what the job needs could not be read: {error.strerror or type(error).__name__}"
            return self._settle_later(work, Failed(JobFailedError(reason)))
        except Exception as error:
            return self._settle_later(work, Failed(as_failure(error, work.id)))
        is_loaded = work.request.model in self._models.loaded()
        self._engine.admit(work)
        if not is_loaded:
            with suppress(RedisError):
                self._leases.log(execution.lease, f"model {work.request.model} is being loaded")

    def is_fit(self) -> bool:
        """Whether this worker can still compute; without that the process has to end."""
        return not self._unfit.is_set()

    def close(self, grace_s: float) -> None:
        """Finish what can be finished within ``grace_s``, give the rest back to the queue, and say goodbye."""
        self._held.wait_until_empty(grace_s if self.is_fit() else 0)
        self._engine.close()
        self._enlarging.close()
        self._held.wait_until_empty(GIVE_BACK_S)
        self._give_back_all()
        self._closing.set()
        if self._watchdog:
            self._watchdog.dismiss()
        self._keeper.close()
        end = time.monotonic() + LEAVE_S
        for part in (self._starter, self._reader, self._settling, self._publisher, self._previews):
            part.close(max(0.0, end - time.monotonic()))
        self._workers.leave(self._name)
        for thread in self._threads:
            # All but an engine that is stuck; none is worth waiting for any longer.
            thread.join(max(0.0, end - time.monotonic()))

    def _give_back_all(self) -> None:
        """Where the engine is in the middle of a long call or the store is slow; what comes of it will be refused."""
        try:
            for execution in self._held.all():
                self._settling.give_back(execution.lease)
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
        except Exception:
            # The device is lost, or the loop is broken: nobody would compute what this worker holds.
            log.exception("this worker can compute no more")
            self._unfit.set()

    def _listen(self) -> None:
        while not self._closing.is_set():
            try:
                told = self._interrupts.wait(LISTEN_S)
                if told and any(execution.lease.job_id == told for execution in self._held.all()):
                    # The keeper asks what it is about: a message may be lost, and one place should decide.
                    self._keeper.look()
            except Exception as error:
                log.warning("cancels are heard of late", error=str(error))
                self._closing.wait(RECONNECT_S)
        self._interrupts.close()

    def _wake(self) -> None:
        self._engine.wake()

    def _may_draw(self, work: Work) -> bool:
        return not _is_choosing(work) or self._publisher.has_room(self._held.of(work).lease)

    def _preview_later(self, work: Work, preview: Preview) -> None:
        self._previews.show(self._held.of(work).lease, preview)

    def _show_later(self, work: Work, picture: Picture) -> Picture:
        if not _is_choosing(work):
            return picture
        self._publisher.show(self._held.of(work).lease, picture)
        # Hundreds of candidates would fill the memory; they are in the store soon.
        return replace(picture, pixels=picture.pixels.new_empty(3, 0, 0))

    def _settle_later(self, work: Work, outcome: Outcome) -> None:
        execution = self._held.of(work)
        request = work.request
        if isinstance(outcome, Finished) and isinstance(request, ResolvedRequest) and request.upscale:
            self._held.set_beside(execution)
            self._enlarging.add(execution, outcome)
        else:
            self._settling.add(execution, outcome)

    def _sign_of_life(self) -> float:
        """What stays the same only while one model call, or one tile, goes on."""
        begun = (self._engine.calling_since, self._enlarging.working_since)
        return min((since for since in begun if since is not None), default=time.monotonic())


def _has_pictures(request: ResolvedRequest | Task) -> bool:
    """Whether a job has to read pictures before it starts."""
    if isinstance(request, ResolvedRequest):
        objectives = request.guidance.objectives if request.guidance else ()
        return any(isinstance(objective, ImageObjective) for objective in objectives)
    return isinstance(request, EmbeddingTask | ScoreTask | QueryTask)


def _is_choosing(work: Work) -> bool:
    return isinstance(work.request, ResolvedRequest) and work.request.select is not None
