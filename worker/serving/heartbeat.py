"""The heartbeat of a worker: renews the leases of its jobs, and announces its state."""

import os
import socket
import threading
import time
from datetime import UTC, datetime

import structlog

from jobs.queue.leases import Leases, Standing
from jobs.queue.workers import HEARTBEAT_EVERY_S, WorkerRegistry
from jobs.status.workers import WorkerInfo
from worker.models.registry import ModelRegistry
from worker.serving.held_jobs import Execution, HeldJobs
from worker.serving.throughput import Throughput

EVERY_S = 0.5  # delay at most of a job's progress

log = structlog.get_logger(__name__)


class Heartbeat:
    """Renews leases and announces the worker, on a thread of its own: a long model call cannot cost a job its lease."""

    def __init__(
        self, held: HeldJobs, models: ModelRegistry, leases: Leases, workers: WorkerRegistry, *, name: str
    ) -> None:
        self._held = held
        self._models = models
        self._leases = leases
        self._workers = workers
        self._name = name
        self._started_at = datetime.now(UTC)
        self._closing = threading.Event()
        self._wake = threading.Event()
        self._throughput = Throughput()

    def beat(self) -> None:
        """Renew and announce until closed."""
        announced = 0.0
        self.wake()  # first, to announce the worker
        while not self._closing.is_set():
            self._wake.wait(EVERY_S)
            self._wake.clear()
            held = self._held.all()
            try:
                self._renew(held)
                self._throughput.note(self._held.count(), busy=bool(held))
                if time.monotonic() - announced > HEARTBEAT_EVERY_S:
                    self._workers.announce(self._info(held))
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

    def _renew(self, held: list[Execution]) -> None:
        standings = (
            self._leases.renew_all([(each.lease, each.work.progress) for each in held]) if held else []
        )
        for execution, standing in zip(held, standings, strict=True):
            if standing is not Standing.HELD and not execution.work.stop.is_set():
                execution.standing = standing
                execution.work.stop.set()
            self.send_notes(execution)

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
            room=self._held.room,
            busy_share=round(self._throughput.busy_share, 3),
            memory_used_bytes=device.used_bytes(),
            memory_total_bytes=device.total_bytes(),
            started_at=self._started_at,
            heartbeat_at=datetime.now(UTC),
        )
