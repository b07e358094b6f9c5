"""Up to a thousand workers on one Redis: how many jobs they get through, and what that costs."""

import asyncio
import heapq
import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.sharedctypes import Synchronized
from typing import Any

from redis import Redis

from app.api.operation.wakeups import Wakeups, hear_advances, wake_readers
from benchmarks.load.server import unsynced
from benchmarks.load.simulated_worker import THREADS, Crowd, Simulated, SimulatedWorker
from jobs.db.connection import connect, connect_async
from jobs.queue.queue import JobQueue
from jobs.requests.request import ResolvedRequest


def drive(
    url: str,
    names: list[str],
    crowd: Crowd,
    full: "Synchronized[int]",
    answers: "multiprocessing.Queue[Simulated]",
) -> None:
    """Run simulated workers in this process, shared out among its threads; answers what each thread saw."""
    with ThreadPoolExecutor(THREADS) as pool:
        shares = [names[first::THREADS] for first in range(min(THREADS, len(names)))]
        for seen in pool.map(lambda share: _drive(url, share, crowd, full), shares):
            answers.put(seen)


def _drive(url: str, names: list[str], crowd: Crowd, full: "Synchronized[int]") -> Simulated:
    """Run simulated workers: until those of all threads are full, then for some time."""
    redis, seen, is_full = connect(url, patient=True), Simulated(), False
    workers = [SimulatedWorker(redis, name, crowd, seen) for name in names]
    due = _spread(len(workers), 1.0)
    end = float("inf")
    while due[0][0] < end:
        at, number = heapq.heappop(due)
        time.sleep(max(0.0, at - time.monotonic()))
        seen.late_s.append(max(0.0, time.monotonic() - at))
        heapq.heappush(due, (time.monotonic() + workers[number].act(), number))
        if not is_full and all(worker.is_full for worker in workers):
            is_full = True
            with full.get_lock():
                full.value += 1
        if end == float("inf") and full.value >= crowd.threads:
            end, seen = time.monotonic() + crowd.seconds, Simulated()
            for worker in workers:
                worker.begin(seen)
            due = _spread(len(workers), crowd.renew_every_s)
    return seen


def _spread(workers: int, seconds: float) -> list[tuple[float, int]]:
    """When each worker acts next: one after another, within some seconds from now. A heap."""
    start = time.monotonic()
    return [(start + seconds * number / workers, number) for number in range(workers)]


def listen(url: str, full: "Synchronized[int]", crowd: Crowd, busy: "Synchronized[float]") -> None:
    """Follow all events as an API process does; the share of a core that its event loop takes."""

    async def follow() -> None:
        redis, wakeups = connect_async(url, max_connections=10), Wakeups()
        tasks = [asyncio.create_task(loop(redis, wakeups)) for loop in (wake_readers, hear_advances)]
        while full.value < crowd.threads:
            await asyncio.sleep(0.1)
        before, start = time.process_time(), time.monotonic()
        with wakeups.listening(None, advances={}):
            await asyncio.sleep(crowd.seconds)
        busy.value = (time.process_time() - before) / (time.monotonic() - start)
        for task in tasks:
            task.cancel()

    with suppress(asyncio.CancelledError):
        asyncio.run(follow())


def simulate(url: str, request: ResolvedRequest, crowd: Crowd) -> dict[str, float]:
    """So many workers on one Redis, with more jobs than they can do."""
    redis = connect(url, patient=True)
    possible = crowd.workers * crowd.jobs * crowd.seconds / crowd.service_s
    with unsynced(redis), _running(url, crowd) as (full, answers, busy):
        _fill(redis, request, int(1.3 * possible) + crowd.workers * crowd.jobs)
        while full.value < crowd.threads:
            time.sleep(0.1)
        redis.config_set("appendfsync", "always")
        before, started = redis.info(), time.monotonic()
        time.sleep(crowd.seconds)
        after, elapsed = redis.info(), time.monotonic() - started
        seen = [answers.get(timeout=crowd.seconds * 20 + 120) for _ in range(crowd.threads)]
    redis.flushall()
    redis.close()
    used = sum(after[name] - before[name] for name in ("used_cpu_user", "used_cpu_sys"))
    done = sum(each.jobs for each in seen)
    return {
        "jobs a second": done / crowd.seconds,
        "of the possible": done / possible,
        "claim p99 ms": percentile([value for each in seen for value in each.claim_ms], 99),
        "longest between renewals s": max((value for each in seen for value in each.renewal_s), default=0.0),
        "late p99 s": percentile([value for each in seen for value in each.late_s], 99),
        "leases lost": sum(each.lost for each in seen),
        "server cpu": used / elapsed,
        "api event loop": busy.value,
    }


@contextmanager
def _running(url: str, crowd: Crowd) -> Iterator[tuple["Synchronized[int]", Any, "Synchronized[float]"]]:
    """The processes: how many threads are full, what they answer, and the share of a core of the one that listens."""
    context = multiprocessing.get_context("spawn")
    full, busy = context.Value("i", 0), context.Value("d", 0.0)
    answers: multiprocessing.Queue[Simulated] = context.Queue()
    names = [f"simulated {number}" for number in range(crowd.workers)]
    processes = [
        context.Process(target=drive, args=(url, names[first :: crowd.processes], crowd, full, answers))
        for first in range(crowd.processes)
    ]
    processes.append(context.Process(target=listen, args=(url, full, crowd, busy)))
    for process in processes:
        process.start()
    yield full, answers, busy
    for process in processes:
        process.join()


def _fill(redis: Redis, request: ResolvedRequest, count: int) -> None:
    jobs = JobQueue(redis, max_queued=10**9)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: jobs.submit(request), range(count)))


def percentile(values: list[float], percent: float) -> float:
    """The value that so many percent do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0
