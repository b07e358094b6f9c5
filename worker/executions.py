"""The jobs that this worker holds: claimed, kept alive, and settled when the engine is done with them."""

import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import stamina
import structlog

from jobs.artifacts import ArtifactStore
from jobs.embeddings import EmbeddingLibrary
from jobs.errors import JobFailedError, LeaseLostError, LodestarError
from jobs.leases import Lease, Leases, Standing
from jobs.request import ResolvedRequest, ResolvedUpscale
from jobs.segments import Segment, Segments
from jobs.selection import best
from jobs.state import JobStatus, StoredImage
from jobs.workers import HEARTBEAT_EVERY_S, WorkerInfo, WorkerRegistry
from worker.candidates import Candidates
from worker.engine import Engine, Failed, Finished, Outcome, Stopped, Work
from worker.inputs import read_inputs
from worker.models.registry import ModelRegistry
from worker.pictures import encode_png, picture_key, stored_image
from worker.runner import Runner
from worker.sampler import Picture
from worker.tasks import Done
from worker.upscaling import Upscaler, require_upscaler

GIVE_BACK_S = 2.0  # for the call that the engine is in the middle of when it is closed
KEEP_EVERY_S = 0.5  # how soon a running job hears of its cancel, and callers of its progress

log = structlog.get_logger(__name__)


@dataclass
class Execution:
    """A claimed job, its place in the engine, and what the queue last said of it."""

    lease: Lease
    work: Work
    standing: Standing = Standing.HELD


class Executions:
    """Everything between the queue and the engine.

    Three threads: the engine computes; the keeper renews leases, so that a long model call cannot cost a job; a
    publisher encodes and stores pictures beside the computing.
    """

    def __init__(
        self,
        models: ModelRegistry,
        leases: Leases,
        workers: WorkerRegistry,
        artifacts: ArtifactStore,
        *,
        name: str,
        capacity: int,
    ) -> None:
        self._models = models
        self._leases = leases
        self._workers = workers
        self._artifacts = artifacts
        self._name = name
        self._capacity = capacity
        self._started_at = datetime.now(UTC)
        self._held: dict[str, Execution] = {}
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._engine = Engine(Runner(models), models.catalog, self._settle_later, self._show_later)
        self._candidates = Candidates(leases, artifacts)
        self._library = EmbeddingLibrary(artifacts)
        self._upscalers: dict[str, Upscaler] = {}
        self._segments = Segments(artifacts, models.catalog.critic.id)
        self._publisher = ThreadPoolExecutor(1, thread_name_prefix="publisher")
        self._threads = [
            threading.Thread(target=self._compute, name="engine", daemon=True),
            threading.Thread(target=self._keep, name="keeper", daemon=True),
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def wait_for_room(self, timeout_s: float) -> bool:
        """Whether another job may be claimed now, or within ``timeout_s``."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._held) < self._capacity, timeout_s)

    def admit(self, job_id: str) -> None:
        """Claim a job and start it; nothing happens when it no longer waits."""
        lease = self._leases.claim(job_id)
        if lease is None:
            log.info("job no longer waits", job=job_id)
            return
        work = Work(job_id, lease.request)
        execution = Execution(lease, work)
        with self._changed:
            self._held[job_id] = execution
        log.info("job started", job=job_id, fence=lease.fence)
        try:
            work.inputs = read_inputs(lease.request, self._artifacts)
            if isinstance(lease.request, ResolvedRequest) and lease.request.upscale is not None:
                require_upscaler()
        except OSError as error:
            self._settle_later(work, Failed(JobFailedError(f"the artifact store failed: {error}")))
        except LodestarError as error:
            self._settle_later(work, Failed(error))
        else:
            self._engine.admit(work)

    def close(self, grace_s: float) -> None:
        """Finish what can be finished within ``grace_s``, give the rest back to the queue, and say goodbye."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held, grace_s)
        self._engine.close()
        with self._changed:
            self._changed.wait_for(lambda: not self._held, GIVE_BACK_S)
        self._closing.set()
        self._publisher.shutdown(wait=True)
        self._candidates.close()
        self._workers.leave(self._name)

    def _compute(self) -> None:
        # The first model is the one that most jobs want: have it before they come.
        first = self._models.catalog.model(None)
        try:
            self._models.diffusion(first.id)
            self._models.clip(first.clip)
        except Exception:
            log.exception("the first model cannot be loaded; jobs that need it will fail", model=first.id)
        self._engine.serve()

    def _keep(self) -> None:
        announced = 0.0
        while not self._closing.wait(KEEP_EVERY_S):
            try:
                for execution in list(self._held.values()):
                    self._renew(execution)
                if time.monotonic() - announced > HEARTBEAT_EVERY_S:
                    self._workers.announce(self._info())
                    announced = time.monotonic()
            except Exception:
                log.exception("heartbeat failed")

    def _renew(self, execution: Execution) -> None:
        standing = self._leases.renew(execution.lease, execution.work.progress)
        if standing is not Standing.HELD and not execution.work.stop.is_set():
            execution.standing = standing
            execution.work.stop.set()

    def _info(self) -> WorkerInfo:
        device = self._models.device
        return WorkerInfo(
            name=self._name,
            host=socket.gethostname(),
            pid=os.getpid(),
            device=str(device.device),
            dtype=device.dtype_name,
            attention=device.attention,
            threads=device.threads,
            models=self._models.loaded(),
            jobs=tuple(self._held),
            started_at=self._started_at,
            heartbeat_at=datetime.now(UTC),
        )

    def _show_later(self, work: Work, picture: Picture) -> None:
        if isinstance(work.request, ResolvedRequest) and work.request.select is not None:
            self._candidates.show(self._held[work.id].lease, picture)

    def _settle_later(self, work: Work, outcome: Outcome) -> None:
        self._publisher.submit(self._settle, self._held[work.id], outcome)

    def _settle(self, execution: Execution, outcome: Outcome) -> None:
        lease = execution.lease
        try:
            status = self._conclude(execution, outcome)
            log.info("job settled", job=lease.job_id, fence=lease.fence, status=status)
        except LeaseLostError:
            log.warning(
                "job belongs to another execution; result dropped", job=lease.job_id, fence=lease.fence
            )
            self._artifacts.delete(lease.artifact_prefix)
        except Exception:
            # The lease runs out, and the reaper gives the job to the next worker.
            log.exception("job could not be settled", job=lease.job_id, fence=lease.fence)
        finally:
            self._candidates.forget(lease)
            with self._changed:
                del self._held[lease.job_id]
                self._changed.notify_all()

    def _conclude(self, execution: Execution, outcome: Outcome) -> JobStatus:
        lease = execution.lease
        match outcome:
            case Finished():
                self._leases.renew(lease, execution.work.progress)  # the last step, since the last look
                return self._publish(lease, outcome)
            case Done():
                return self._answer(lease, outcome)
            case Failed():
                return self._leases.fail(lease, outcome.error)
            case Stopped() if execution.standing is Standing.CANCELED:
                return self._leases.cancel(lease)
            case Stopped() if execution.standing is Standing.LOST:
                raise LeaseLostError(lease.job_id)
            case Stopped():
                self._leases.release(lease)
                return JobStatus.QUEUED

    def _publish(self, lease: Lease, outcome: Finished) -> JobStatus:
        try:
            stored = self._store_kept(lease, outcome.pictures)
        except OSError as error:
            log.exception("artifact store failed", job=lease.job_id)
            status = self._leases.fail(lease, _not_stored("the picture", error))
        except JobFailedError as error:
            status = self._leases.fail(lease, error)
        else:
            status = self._leases.succeed(lease, stored)
        if status is not JobStatus.SUCCEEDED:
            self._artifacts.delete(lease.artifact_prefix)
            return status
        if len(stored) < len(outcome.pictures):
            self._discard_all_but(lease, stored)
        return status

    def _discard_all_but(self, lease: Lease, stored: tuple[StoredImage, ...]) -> None:
        kept = {image.key for image in stored}
        try:
            for key in set(self._artifacts.keys(lease.artifact_prefix)) - kept:
                self._artifacts.delete(key)
        except OSError:
            # They go with their job.
            log.exception("pictures that were not kept could not be deleted", job=lease.job_id)

    def _store_kept(self, lease: Lease, pictures: tuple[Picture, ...]) -> tuple[StoredImage, ...]:
        """Store a job's pictures, or choose among those that were stored as they came; and where they lie."""
        request = lease.drawing
        if request.select is not None:
            places = best(self._candidates.all(lease), request.select.by, request.select.keep)
            pictures = tuple(pictures[place] for place in places)
        shown = tuple(self._upscaled(picture, request.upscale) for picture in pictures)
        for picture in shown:
            self._store(picture_key(lease.artifact_prefix, picture.index), encode_png(picture, request))
        rows = {
            picture.index: picture.embedding.tolist() for picture in pictures if picture.embedding is not None
        }
        if rows:
            self._segments.put(Segment.of(lease.job_id, lease.fence, rows))
        return tuple(stored_image(lease.artifact_prefix, picture) for picture in shown)

    def _upscaled(self, picture: Picture, asked: ResolvedUpscale | None) -> Picture:
        if asked is None:
            return picture
        if asked.model not in self._upscalers:
            self._upscalers[asked.model] = Upscaler(asked.model, self._models.device.threads)
        return replace(picture, pixels=self._upscalers[asked.model](picture.pixels, asked.factor))

    def _answer(self, lease: Lease, done: Done) -> JobStatus:
        if done.file:
            try:
                self._library.put(done.name, done.file)
            except OSError as error:
                log.exception("artifact store failed", job=lease.job_id)
                return self._leases.fail(lease, _not_stored("the embedding", error))
        return self._leases.answer(lease, done.result)

    @stamina.retry(on=OSError, attempts=5, timeout=30.0)
    def _store(self, key: str, data: bytes) -> None:
        self._artifacts.put(key, data)


def _not_stored(what: str, error: OSError) -> JobFailedError:
    return JobFailedError(f"{what} could not be stored: {error.strerror or type(error).__name__}")
