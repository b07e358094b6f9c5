"""A worker whose engine is a timer, and whose leases, heartbeats and tickets are real."""

import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf

from redis import Redis

import jobs.db.rq_prefix  # noqa: F401

# isort: split
from rq import Queue
from rq.serializers import JSONSerializer

from jobs.queue.leases import Lease, Leases
from jobs.queue.workers import HEARTBEAT_EVERY_S, WorkerRegistry
from jobs.status.job import Progress
from jobs.status.workers import WorkerInfo
from worker.serving.consumer import Consumer

RENEW_EVERY_S = 1.0  # as worker.serving.heartbeat does
PREPARING_EVERY_S = 3.0  # often enough for a lease
EACH_EVERY_S = 0.5  # as it did while it renewed each lease by itself
IDLE_POLL_S = 1.0  # as worker.serving.consumer does
THREADS = (
    4  # of each process: a call waits until the server has synced its file, as those of others do meanwhile
)
STEPS = 20  # of a job, each of which is told of: 5 % of it


@dataclass(frozen=True)
class Crowd:
    """What is simulated.

    Attributes:
        workers: how many.
        jobs: that each holds at a time.
        service_s: seconds that a job takes.
        seconds: to measure, once every worker holds its jobs.
        processes: that drive the workers.
        is_together: whether a worker renews all leases with one command, once a second; else each by itself, twice.
    """

    workers: int
    jobs: int
    service_s: float
    seconds: float
    processes: int
    is_together: bool = True

    @property
    def threads(self) -> int:
        """Of all processes together."""
        return min(self.workers, self.processes * THREADS)

    @property
    def renew_every_s(self) -> float:
        """Seconds between the renewals of a lease."""
        return RENEW_EVERY_S if self.is_together else EACH_EVERY_S


@dataclass
class Simulated:
    """The figures of one process of simulated workers."""

    jobs: int = 0
    claim_ms: list[float] = field(default_factory=list)
    renewal_s: list[float] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    lost: int = 0


class SimulatedWorker:
    """A worker whose engine is a timer. One thread drives many of them."""

    def __init__(self, redis: Redis, name: str, crowd: Crowd, seen: Simulated) -> None:
        self._leases = Leases(redis, worker=name)
        self._registry = WorkerRegistry(redis)
        self._consumer = Consumer(redis, self, name=name)
        self._name, self._crowd, self.seen = name, crowd, seen
        self._chance = random.Random(name)
        self._held: dict[str, tuple[Lease, float]] = {}  # with the times at which they end
        self._announce_at, self._renewed_at, self._has_begun = 0.0, time.monotonic(), False

    @property
    def is_full(self) -> bool:
        """Whether it holds all the jobs that it may."""
        return len(self._held) >= self._crowd.jobs

    def wait_for_room(self, timeout_s: float) -> bool:
        """Whether it may claim."""
        del timeout_s
        return not self.is_full

    def admit(self) -> bool:
        """Claim."""
        before = time.perf_counter()
        lease = self._leases.claim_next(("pocket",))
        self.seen.claim_ms.append(1000 * (time.perf_counter() - before))
        if lease is not None:
            ends = time.monotonic() + self._crowd.service_s if self._has_begun else inf
            self._held[lease.job_id] = lease, ends
        return lease is not None

    def begin(self, seen: Simulated) -> None:
        """Let jobs end from now on, the first ones at any time, as they would if it had worked for long."""
        self.seen, self._has_begun, self._renewed_at = seen, True, time.monotonic()
        for job_id, (lease, _) in self._held.items():
            self._held[job_id] = lease, self._renewed_at + self._chance.random() * self._crowd.service_s

    def is_fit(self) -> bool:
        """Always."""
        return True

    def act(self) -> float:
        """Do what is due; seconds until the next time."""
        now = time.monotonic()
        if now >= self._announce_at:
            self._registry.announce(self._info())
            self._announce_at = now + HEARTBEAT_EVERY_S
        renew_every_s = self._crowd.renew_every_s if self._has_begun else PREPARING_EVERY_S
        if self._held and now - self._renewed_at >= 0.9 * renew_every_s:
            self._renew(now)
        for lease, ends in list(self._held.values()):
            if now >= ends:
                self._leases.succeed(lease, ())
                self.seen.jobs += 1
                del self._held[lease.job_id]
        before = len(self._held)
        if not self.is_full:
            self._take_a_ticket()
        if len(self._held) > before and not self.is_full:
            return 0.0
        soonest = min((ends for _, ends in self._held.values()), default=now + IDLE_POLL_S)
        return max(0.0, min(renew_every_s, soonest - time.monotonic()))

    def _renew(self, now: float) -> None:
        held = list(self._held.values())
        told = [(lease, self._progress(ends - now)) for lease, ends in held]
        portions = [told] if self._crowd.is_together else [[each] for each in told]
        standings = [standing for portion in portions for standing in self._leases.renew_all(portion)]
        self.seen.renewal_s.append(time.monotonic() - self._renewed_at)
        self._renewed_at = time.monotonic()
        for (lease, _), standing in zip(held, standings, strict=True):
            if standing != "held":
                self.seen.lost += 1
                del self._held[lease.job_id]

    def _progress(self, left_s: float) -> Progress:
        done = 1 - min(1.0, max(0.0, left_s / self._crowd.service_s))
        return Progress(step=int(STEPS * done), steps=STEPS)

    def _take_a_ticket(self) -> None:
        queues, connection = self._consumer.queues, self._consumer.connection
        found = Queue.dequeue_any(queues, None, connection=connection, serializer=JSONSerializer)
        if found is not None:
            self._consumer.execute_job(*found)
        else:
            self.admit()

    def _info(self) -> WorkerInfo:
        now = datetime.now(UTC)
        return WorkerInfo(
            name=self._name,
            host="simulated",
            pid=0,
            device="timer",
            dtype="none",
            attention="none",
            threads=1,
            models=("pocket",),
            jobs=tuple(self._held),
            room=self._crowd.jobs - len(self._held),
            speed=1.0,
            started_at=now,
            heartbeat_at=now,
        )
