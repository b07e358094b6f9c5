"""The cost of the queue, and the limit of one Redis.

``python -m benchmarks.queue [--quick] [--only PART] [--one-by-one] [--json FILE]``. On a private Valkey that syncs
every write, as the service runs it: submissions a second against bare ``rq.enqueue``; time from submission to start on
an idle worker; commands and bytes of a job; the cost of each operation and the memory while up to 100,000 jobs wait;
and up to 1,000 simulated workers with 16 jobs each, whose engines are timers and whose leases, heartbeats and tickets
are real. With ``--one-by-one`` they renew each lease by a command of its own, twice a second, as workers once did.
"""

import argparse
import json
import logging
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from rich.console import Console
from rich.table import Table

import jobs.db.rq_prefix  # noqa: F401

# isort: split
from rq import Queue
from rq.serializers import JSONSerializer

from benchmarks.load.job_cost import bytes_by_status, commands_by_step
from benchmarks.load.server import server, unsynced
from benchmarks.load.simulated_worker import Crowd
from benchmarks.load.simulation import percentile, simulate
from benchmarks.places import CATALOG
from jobs.catalog.catalog import load_catalog
from jobs.db.connection import bytes_twin, connect
from jobs.queue.leases import Leases
from jobs.queue.queue import JobQueue
from jobs.queue.reaper import Reaper
from jobs.requests.request import GenerateRequest
from jobs.resolve.request import resolve
from jobs.status.job import JobStatus
from worker.serving.consumer import Consumer

# Loads no weights: only what the catalog says of the model.
REQUEST = resolve(GenerateRequest(prompt="a red apple", seed=7), load_catalog(CATALOG))


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
    return {"p50": statistics.median(latencies), "p99": percentile(latencies, 99)}


def costs_in_line(url: str, lengths: list[int]) -> dict[int, dict[str, float]]:
    """Milliseconds of one operation of each kind while so many jobs of many callers wait."""
    redis = connect(url, patient=True)
    jobs, leases = JobQueue(redis, max_queued=10**9), Leases(redis, worker="w", lease_s=100)
    reaper = Reaper(redis, outage_grace_s=0)
    table, waiting = {}, 0
    empty = redis.info("memory")["used_memory"]
    for length in lengths:
        with unsynced(redis), ThreadPoolExecutor(8) as pool:
            submitted = pool.map(
                lambda number: jobs.submit(REQUEST, caller=f"caller {number % 100}"), range(length - waiting)
            )
            last = [submission.job.id for submission in submitted][-1]
        used = redis.info("memory")["used_memory"] - empty
        table[length] = {
            "submit": _milliseconds(lambda: jobs.submit(REQUEST, caller="one more")),
            "claim": _milliseconds(leases.claim_next),
            "look at the last": _milliseconds(partial(jobs.get, last)),
            "list a page": _milliseconds(lambda: jobs.list(status=JobStatus.QUEUED)),
            "sweep": _milliseconds(reaper.sweep, times=5),
            "memory MB": used / 1e6,
        }
        waiting = redis.zcard("{lodestar}:waiting")
    redis.flushall()
    redis.close()
    return table


def _milliseconds(call: Callable[[], object], times: int = 50) -> float:
    """The median of some calls."""
    taken = []
    for _ in range(times):
        before = time.perf_counter()
        call()
        taken.append(1000 * (time.perf_counter() - before))
    return statistics.median(taken)


PARTS = ("submissions", "start", "job", "line", "crowd")


def crowds_of(workers: Sequence[int], *, quick: bool, is_together: bool) -> list[Crowd]:
    """The crowds to simulate."""
    if quick:
        return [Crowd(4, 4, 2.0, 4.0, 1, is_together)]
    return [Crowd(number, 16, 120.0, 20.0, 4, is_together) for number in workers]


def measure(parts: Sequence[str], crowds: Sequence[Crowd], *, quick: bool) -> dict[str, Any]:
    """All figures of these parts."""
    lengths = [100, 2000] if quick else [100, 1_000, 10_000, 100_000]
    with server() as url:
        redis = connect(url, patient=True)
        measures: dict[str, Callable[[], Any]] = {
            "submissions": lambda: submission_rates(url, 200 if quick else 5000),
            "start": lambda: start_latency_ms(url, 20 if quick else 300),
            "job": lambda: {
                "commands": {step: asdict(each) for step, each in commands_by_step(redis, REQUEST).items()},
                "bytes": bytes_by_status(redis, REQUEST),
            },
            "line": lambda: costs_in_line(url, lengths),
            "crowd": lambda: {crowd.workers: simulate(url, REQUEST, crowd) for crowd in crowds},
        }
        return {part: measures[part]() for part in parts}


def _show(title: str, first: str, rows: dict[Any, dict[str, float]]) -> None:
    columns = list(next(iter(rows.values())))
    table = Table(first, *columns, title=title)
    for name, figures in rows.items():
        table.add_row(
            f"{name:,}" if isinstance(name, int) else name, *(f"{figures[column]:,.2f}" for column in columns)
        )
    Console().print(table)


def main() -> None:
    """Measure, print tables, and write JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke test of a minute")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--only", choices=PARTS, help="measure one part")
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[100, 1000], help="how many to simulate, each in turn"
    )
    parser.add_argument(
        "--one-by-one", action="store_true", help="let the workers renew each lease by itself"
    )
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    crowds = crowds_of(options.workers, quick=options.quick, is_together=not options.one_by_one)
    found = measure([options.only] if options.only else PARTS, crowds, quick=options.quick)
    for name, figure in found.get("submissions", {}).items():
        Console().print(f"{name}: {figure:,.0f} a second")
    if latency := found.get("start"):
        Console().print(f"from submission to start: p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms")
    if job := found.get("job"):
        _show("commands of one job", "step", job["commands"])
        _show("bytes of one job", "", {"bytes": job["bytes"]})
    if line := found.get("line"):
        _show("milliseconds of one call", "jobs waiting", line)
    if crowd := found.get("crowd"):
        _show("simulated workers, 16 jobs each", "workers", crowd)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
