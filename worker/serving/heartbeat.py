"""The heartbeat of a worker: renews the leases of its jobs, and announces its state."""

import os
import socket
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from jobs.queue.leases import Leases, Standing
from jobs.queue.workers import HEARTBEAT_EVERY_S, WorkerRegistry
from jobs.status.workers import DEFAULT_POOL, WorkerInfo
from worker.models.registry import ModelRegistry
from worker.serving.held_jobs import Execution, HeldJobs
from worker.serving.throughput import Throughput
from worker.telemetry.metrics import WorkerMetrics

EVERY_S = 0.5
RENEW_EVERY_S = 1.0  # and at once if there is progress to tell, see held_jobs

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Member:
    """What a worker is in the fleet.

    Attributes:
        pool: that it belongs to.
        serves: models whose jobs it takes; empty for all.
    """

    pool: str = DEFAULT_POOL
    serves: tuple[str, ...] = ()


class Heartbeat:
    """Renews leases and announces the worker, on a thread of its own: a long model call cannot cost a job its lease."""

    def __init__(
        self,
        held: HeldJobs,
        models: ModelRegistry,
        leases: Leases,
        workers: WorkerRegistry,
        *,
        name: str,
        member: Member,
        metrics: WorkerMetrics,
    ) -> None:
        """Announce nothing yet.

        Args:
            held: the worker's executions.
            models: those in memory.
            leases: of the executions.
            workers: where the worker is announced.
            name: of the worker.
            member: what it is in the fleet.
            metrics: where the times of renewals go.
        """
        self._held = held
        self._models = models
        self._leases = leases
        self._workers = workers
        self._name, self._member, self._metrics = name, member, metrics
        self._started_at = datetime.now(UTC)
        self._closing = threading.Event()
        self._wake = threading.Event()
        self._throughput = Throughput()

    def beat(self) -> None:
        """Renew and announce until closed."""
        announced = renewed = 0.0
        self.wake()  # first, to announce the worker
        while not self._closing.is_set():
            is_woken = self._wake.wait(EVERY_S)
            self._wake.clear()
            held = self._held.all()
            try:
                renewed = self._renew(held, renewed, is_woken=is_woken)
                self._throughput.note(self._held.count(), busy=bool(held))
                if time.monotonic() - announced > HEARTBEAT_EVERY_S:
                    # What waits for others is not taken from the line in vain, although no claim would be granted.
                    self._held.pause(wanted=self._workers.announce(self.info()))
                    announced = time.monotonic()
            except Exception:
                log.exception("heartbeat failed")

    def wake(self) -> None:
        """Beat now, before the time is over."""
        self._wake.set()

    def close(self) -> None:
        """End ``beat``."""
        self._closing.set()
        self._wake.set()

    def send_notes(self, execution: Execution) -> None:
        """Send the engine's notes on a job to the queue, each note once."""
        notes = execution.work.notes
        for sentence in notes[execution.noted :]:
            self._leases.note(execution.lease, sentence)
        execution.noted = len(notes)

    def _renew(self, held: list[Execution], last: float, *, is_woken: bool) -> float:
        """Renew all leases, unless that was done at ``last`` and there is no news; when it was done."""
        now = time.monotonic()
        news = [execution.due_news(now) for execution in held]
        if held and (is_woken or now - last >= RENEW_EVERY_S or any(news)):
            last = now
            leases = [execution.lease for execution in held]
            with self._metrics.timing_command("renew"):
                standings = self._leases.renew_all(list(zip(leases, news, strict=True)))
            for execution, told, standing in zip(held, news, standings, strict=True):
                execution.note_told(told, now)
                if standing is not Standing.HELD and not execution.work.stop.is_set():
                    execution.standing = standing
                    execution.work.stop.set()
        for execution in held:
            self.send_notes(execution)
        return last

    def info(self) -> WorkerInfo:
        """The worker now."""
        held, device = self._held.all(), self._models.device
        return WorkerInfo(
            name=self._name,
            host=socket.gethostname(),
            pid=os.getpid(),
            pool=self._member.pool,
            serves=self._member.serves,
            device=str(device.device),
            dtype=device.dtype_name,
            attention=device.attention,
            threads=device.threads,
            models=self._models.loaded(),
            jobs=tuple(execution.lease.job_id for execution in held),
            speed=self._throughput.speed,
            load=sum(execution.left for execution in held),
            room=self._held.room,
            busy_share=round(self._throughput.busy_share, 3),
            memory_used_bytes=device.used_bytes(),
            memory_total_bytes=device.total_bytes(),
            catalog_problem=self._models.catalog_problem(),
            started_at=self._started_at,
            heartbeat_at=datetime.now(UTC),
        )
