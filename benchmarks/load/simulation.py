"""Up to a thousand workers on one Redis, whose engines are timers and whose leases, heartbeats and tickets are real."""

import heapq
import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from jobs.db.connection import connect
from jobs.queue.leases import Lease, Leases
from jobs.queue.queue import JobQueue
from jobs.queue.workers import HEARTBEAT_EVERY_S, WorkerRegistry
from jobs.requests.request import ResolvedRequest
from jobs.status.job import Progress
from jobs.status.workers import WorkerInfo
from worker.serving.consumer import Consumer

RENEW_EVERY_S = 0.5  # as worker.serving.executions does
IDLE_POLL_S = 1.0  # as worker.serving.consumer does


@dataclass
class Simulated:
    """The figures of one process of simulated workers."""

    jobs: int = 0
    claim_ms: list[float] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    lost: int = 0


class SimulatedWorker:
    """A worker whose engine is a timer. One thread drives hundreds of them."""

    def __init__(self, redis: Redis, name: str, service_s: float, seen: Simulated) -> None:
        self._leases = Leases(redis, worker=name)
        self._registry = WorkerRegistry(redis)
        self._consumer = Consumer(redis, self, name=name)
        self._name = name
        self._service_s = service_s
        self._seen = seen
        self._lease: Lease | None = None
        self._ends = self._announce_at = 0.0

    def wait_for_room(self, timeout_s: float) -> bool:
        """It holds one job at a time."""
        del timeout_s
        return self._lease is None

    def admit(self) -> bool:
        """Claim."""
        before = time.perf_counter()
        self._lease = self._leases.claim_next(("pocket",))
        self._seen.claim_ms.append(1000 * (time.perf_counter() - before))
        self._ends = time.monotonic() + self._service_s
        return self._lease is not None

    def is_fit(self) -> bool:
        """Always."""
        return True

    def act(self) -> float:
        """Do what is due; seconds until the next time."""
        now = time.monotonic()
        if now >= self._announce_at:
            self._registry.announce(self._info())
            self._announce_at = now + HEARTBEAT_EVERY_S
        if self._lease is None:
            self._take_a_ticket()
        elif now >= self._ends:
            self._leases.succeed(self._lease, ())
            self._seen.jobs += 1
            self._lease = None
            return 0.0
        elif self._leases.renew(self._lease, Progress(step=1, steps=2)) != "held":
            self._seen.lost += 1
            self._lease = None
        if self._lease is None:
            return IDLE_POLL_S
        return max(0.0, min(RENEW_EVERY_S, self._ends - time.monotonic()))

    def _take_a_ticket(self) -> None:
        queues, connection = self._consumer.queues, self._consumer.connection
        found = Queue.dequeue_any(queues, None, connection=connection, serializer=JSONSerializer)
        if found is not None:
            self._consumer.execute_job(*found)
        else:
            self.admit()

    def _info(self) -> WorkerInfo:
        now = datetime.now(UTC)
        jobs = () if self._lease is None else (self._lease.job_id,)
        return WorkerInfo(
            name=self._name,
            host="simulated",
            pid=0,
            device="timer",
            dtype="none",
            attention="none",
            threads=1,
            models=("pocket",),
            jobs=jobs,
            room=int(not jobs),
            speed=1.0,
            started_at=now,
            heartbeat_at=now,
        )


def drive(
    url: str,
    first: int,
    count: int,
    service_s: float,
    seconds: float,
    answers: "multiprocessing.Queue[Simulated]",
) -> None:
    """Run simulated workers for some time, in this process."""
    redis, seen = connect(url, patient=True), Simulated()
    workers = [
        SimulatedWorker(redis, f"simulated {first + number}", service_s, seen) for number in range(count)
    ]
    start = time.monotonic()
    due = [(start + service_s * number / count, number) for number in range(count)]
    heapq.heapify(due)
    while due[0][0] < start + seconds:
        at, number = heapq.heappop(due)
        time.sleep(max(0.0, at - time.monotonic()))
        seen.late_s.append(max(0.0, time.monotonic() - at))
        heapq.heappush(due, (time.monotonic() + workers[number].act(), number))
    answers.put(seen)


def simulate(
    url: str, request: ResolvedRequest, workers: int, service_s: float, seconds: float, processes: int
) -> dict[str, float]:
    """So many workers on one Redis, with more jobs than they can do."""
    redis = connect(url, patient=True)
    _fill(redis, request, int(1.2 * workers * seconds / service_s) + workers)
    before, started = redis.info(), time.monotonic()
    seen = _drive(url, workers, service_s, seconds, processes)
    after, elapsed = redis.info(), time.monotonic() - started
    used = sum(after[name] - before[name] for name in ("used_cpu_user", "used_cpu_sys"))
    commands = after["total_commands_processed"] - before["total_commands_processed"]
    redis.flushall()
    redis.close()
    done = sum(each.jobs for each in seen)
    return {
        "jobs a second": done / seconds,
        "of the possible": done / (workers * seconds / service_s),
        "claim p99 ms": percentile([value for each in seen for value in each.claim_ms], 99),
        "late p99 s": percentile([value for each in seen for value in each.late_s], 99),
        "leases lost": sum(each.lost for each in seen),
        "server cpu": used / elapsed,
        "commands a second": commands / elapsed,
    }


def _fill(redis: Redis, request: ResolvedRequest, count: int) -> None:
    jobs = JobQueue(redis, max_queued=10**9)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: jobs.submit(request), range(count)))


def _drive(url: str, workers: int, service_s: float, seconds: float, processes: int) -> list[Simulated]:
    """Run the workers, shared out over processes; what each process saw."""
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.Queue[Simulated] = context.Queue()
    share = -(-workers // processes)
    drivers = [
        context.Process(
            target=drive, args=(url, first, min(share, workers - first), service_s, seconds, answers)
        )
        for first in range(0, workers, share)
    ]
    for driver in drivers:
        driver.start()
    seen = [answers.get(timeout=seconds * 20 + 120) for _ in drivers]
    for driver in drivers:
        driver.join()
    return seen


def percentile(values: list[float], percent: float) -> float:
    """The value that so many percent do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0
