"""The jobs that this worker holds: claimed, kept alive, and settled when the engine is done with them."""

import os
import queue
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from redis.exceptions import RedisError

from jobs.errors import DeviceLostError, LeaseLostError
from jobs.interrupts import Interrupts
from jobs.leases import Lease, Leases, Standing
from jobs.order import cost_of, weight_of
from jobs.state import JobStatus, Progress
from jobs.workers import HEARTBEAT_EVERY_S, WorkerInfo, WorkerRegistry
from worker.calls import Preview
from worker.engine import Engine, Failed, Finished, Outcome, Stopped, Work
from worker.models.registry import ModelRegistry
from worker.previews import Previews
from worker.publisher import Publisher
from worker.runner import Runner
from worker.throughput import Throughput
from worker.watchdog import Watchdog

GIVE_BACK_S = 2.0  # for the call that the engine is in the middle of when it is closed
KEEP_EVERY_S = 0.5  # how soon callers hear of a job's progress
LISTEN_S = 0.5
RECONNECT_S = 1.0

log = structlog.get_logger(__name__)


@dataclass
class Execution:
    """A claimed job, its place in the engine, and what the queue last said of it."""

    lease: Lease
    work: Work
    cost: int
    standing: Standing = Standing.HELD
    counted: float = 0.0  # share of the cost that the throughput knows of

    @property
    def left(self) -> float:
        """Units of work still to do."""
        return self.cost * (1 - self.work.progress.fraction)


class Executions:
    """Everything between the queue and the engine.

    Four threads beside the caller's, so that nothing but model calls runs on the engine's: the engine computes; the
    keeper renews leases, so that a long model call cannot cost a job; the publisher encodes, stores and settles, one
    job after another in the order in which they left the engine; the listener hears of cancels. What waits for the
    publisher is bounded, since a job counts as held until it is settled.
    """

    def __init__(
        self,
        models: ModelRegistry,
        leases: Leases,
        workers: WorkerRegistry,
        publisher: Publisher,
        interrupts: Interrupts,
        *,
        name: str,
        capacity: int,
        watchdog: Watchdog | None = None,
    ) -> None:
        self._models = models
        self._leases = leases
        self._workers = workers
        self._publisher = publisher
        self._interrupts = interrupts
        self._name = name
        self._capacity = capacity
        self._watchdog = watchdog
        self._started_at = datetime.now(UTC)
        # By execution, not by job: a job that was lost may come again before its last execution has left the engine.
        self._held: dict[str, Execution] = {}
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._unfit = threading.Event()
        self._look = threading.Event()
        self._throughput = Throughput()
        self._settled_units = 0.0
        self._outcomes: queue.SimpleQueue[tuple[Execution, Outcome]] = queue.SimpleQueue()
        self._previews = Previews(leases)
        self._engine = Engine(Runner(models), models.catalog, self._settle_later, self._preview_later)
        self._threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for name, target in (
                ("engine", self._compute),
                ("keeper", self._keep),
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
        with self._changed:
            return self._changed.wait_for(lambda: self._room() > 0, timeout_s)

    def admit(self) -> bool:
        """Claim the job whose turn it is and start it; whether there was one."""
        lease = self._leases.claim_next(self._models.loaded())
        if lease is not None:
            self._start(lease)
        return lease is not None

    def _start(self, lease: Lease) -> None:
        work = Work(lease.job_id, lease.request, weight=weight_of(lease.request.priority))
        with self._changed:
            self._held[lease.artifact_prefix] = Execution(lease, work, cost_of(lease.request))
        log.info("job started", job=lease.job_id, fence=lease.fence, alone=lease.alone)
        is_loaded = lease.request.model in self._models.loaded()
        self._engine.admit(work)
        if not is_loaded:
            self._leases.log(lease, f"model {lease.request.model} is being loaded")

    def is_fit(self) -> bool:
        """Whether the device still works; without it the process has to end."""
        return not self._unfit.is_set()

    def close(self, grace_s: float) -> None:
        """Finish what can be finished within ``grace_s``, give the rest back to the queue, and say goodbye."""
        self._wait_until_empty(grace_s if self.is_fit() else 0)
        self._engine.close()
        self._wait_until_empty(GIVE_BACK_S)
        self._give_back_all()
        self._closing.set()
        self._look.set()
        self._previews.close()
        if self._watchdog:
            self._watchdog.dismiss()
        self._workers.leave(self._name)
        for thread in self._threads:
            # All but an engine that is stuck; none is worth waiting for any longer.
            thread.join(2 * LISTEN_S)

    def _give_back_all(self) -> None:
        """Where the engine is in the middle of a long call or the store is slow; what comes of it will be refused."""
        try:
            for execution in self._all_held():
                self._give_back(execution.lease)
        except RedisError:
            log.exception("jobs could not be given back; their leases will run out")

    def _room(self) -> int:
        if any(execution.lease.alone for execution in self._held.values()):
            return 0
        return self._capacity - len(self._held)

    def _all_held(self) -> list[Execution]:
        with self._changed:
            return list(self._held.values())

    def _of(self, work: Work) -> Execution:
        return next(each for each in self._all_held() if each.work is work)

    def _wait_until_empty(self, timeout_s: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._held, timeout_s)

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

    def _keep(self) -> None:
        announced = 0.0
        while not self._closing.is_set():
            self._look.wait(KEEP_EVERY_S)
            self._look.clear()
            held = self._all_held()
            try:
                self._renew(held)
                self._measure(held)
                if time.monotonic() - announced > HEARTBEAT_EVERY_S:
                    self._workers.announce(self._info(held))
                    announced = time.monotonic()
            except Exception:
                log.exception("heartbeat failed")

    def _renew(self, held: list[Execution]) -> None:
        standings = (
            self._leases.renew_all([(each.lease, each.work.progress) for each in held]) if held else []
        )
        for execution, standing in zip(held, standings, strict=True):
            if standing is not Standing.HELD and not execution.work.stop.is_set():
                execution.standing = standing
                execution.work.stop.set()

    def _measure(self, held: list[Execution]) -> None:
        with self._changed:
            done, self._settled_units = self._settled_units, 0.0
            for execution in held:
                if execution.lease.artifact_prefix in self._held:
                    done += _count(execution, execution.work.progress)
        self._throughput.note(done, busy=bool(held))

    def _listen(self) -> None:
        while not self._closing.is_set():
            try:
                told = self._interrupts.wait(LISTEN_S)
                if told and any(execution.lease.job_id == told for execution in self._all_held()):
                    # The keeper asks what it is about: a message may be lost, and one place should decide.
                    self._look.set()
            except RedisError as error:
                log.warning("cancels are heard of late", error=str(error))
                self._closing.wait(RECONNECT_S)
        self._interrupts.close()

    def _info(self, held: list[Execution]) -> WorkerInfo:
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
            jobs=tuple(execution.lease.job_id for execution in held),
            speed=self._throughput.speed,
            load=sum(execution.left for execution in held),
            room=max(0, self._room()),
            busy_share=round(self._throughput.busy_share, 3),
            memory_used_bytes=device.used_bytes(),
            memory_total_bytes=device.total_bytes(),
            started_at=self._started_at,
            heartbeat_at=datetime.now(UTC),
        )

    def _settle_later(self, work: Work, outcome: Outcome) -> None:
        self._outcomes.put((self._of(work), outcome))

    def _publish(self) -> None:
        while not self._closing.is_set():
            try:
                execution, outcome = self._outcomes.get(timeout=LISTEN_S)
            except queue.Empty:
                continue
            self._settle(execution, outcome)

    def _preview_later(self, work: Work, preview: Preview) -> None:
        self._previews.show(self._of(work).lease, preview)

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
        finally:
            with self._changed:
                self._settled_units += _count(execution, execution.work.progress)
                del self._held[lease.artifact_prefix]
                self._changed.notify_all()

    def _conclude(self, execution: Execution, outcome: Outcome) -> JobStatus:
        lease = execution.lease
        match outcome:
            case Finished():
                self._leases.renew(lease, execution.work.progress)  # the last step, since the last look
                return self._publisher.publish(lease, outcome)
            case Stopped() if execution.standing is Standing.CANCELED:
                return self._leases.cancel(lease)
            case Stopped() if execution.standing is Standing.LOST:
                raise LeaseLostError(lease.job_id)
            case Failed() if self.is_fit():
                return self._leases.fail(lease, outcome.error)
            case _:
                self._give_back(lease)
                return JobStatus.QUEUED

    def _sign_of_life(self) -> float:
        """What stays the same only while a model call goes on."""
        return self._engine.calling_since or time.monotonic()

    def _give_back(self, lease: Lease) -> None:
        give_back: Callable[[Lease], None] = self._leases.release if self.is_fit() else self._leases.surrender
        give_back(lease)


def _count(execution: Execution, progress: Progress) -> float:
    """Units of work done since the last count."""
    units = execution.cost * (progress.fraction - execution.counted)
    execution.counted = progress.fraction
    return units
