"""Throughput and latency of a running service, as its callers see them."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

from jobs.requests.request import GenerateRequest
from jobs.status.job import Job, JobStatus
from lodestar.cli.following import follow
from lodestar.client import Client


@dataclass(frozen=True)
class Spread:
    """The distribution of a time, in seconds."""

    median: float
    p95: float
    longest: float


@dataclass(frozen=True)
class Report:
    """The figures; times are of jobs that succeeded, None if none did."""

    jobs: int
    succeeded: int
    concurrency: int
    seconds: float
    pictures_per_s: float
    latency_s: Spread | None
    queue_s: Spread | None
    execution_s: Spread | None

    def rows(self) -> list[tuple[str, str]]:
        """The same for a person."""
        spreads = {"latency": self.latency_s, "in the queue": self.queue_s, "at work": self.execution_s}
        return [
            ("jobs", f"{self.succeeded} of {self.jobs} succeeded, {self.concurrency} at a time"),
            ("time", f"{self.seconds:.2f} s"),
            ("throughput", f"{self.pictures_per_s:.3g} pictures a second"),
            *(
                (name, f"median {it.median:.2f} s, 95 % within {it.p95:.2f} s, longest {it.longest:.2f} s")
                for name, it in spreads.items()
                if it is not None
            ),
        ]


@dataclass(frozen=True)
class _Done:
    job: Job | None
    seconds: float


def measure(client: Client, fields: Mapping[str, Any], *, jobs: int, concurrency: int) -> Report:
    """Run jobs, ``concurrency`` at a time, and wait for all of them.

    Args:
        client: of the service.
        fields: of the request that all jobs make, but for the seed: they count from 0.
        jobs: how many.
        concurrency: how many are there at any time.

    Raises:
        LodestarError: the service cannot be reached, or refuses a job.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    start = time.perf_counter()
    with ThreadPoolExecutor(concurrency) as callers:
        try:
            requests = [GenerateRequest.model_validate({**given, "seed": seed}) for seed in range(jobs)]
            done = list(callers.map(lambda request: _run(client, request), requests))
        except BaseException:
            callers.shutdown(wait=False, cancel_futures=True)
            raise
    return _report(done, concurrency, time.perf_counter() - start)


def _run(client: Client, request: GenerateRequest) -> _Done:
    start = time.perf_counter()
    job_id = client.submit(request).id
    job = follow(client.jobs.events(job_id), quiet=True)
    return _Done(job, time.perf_counter() - start)


def _report(done: Sequence[_Done], concurrency: int, seconds: float) -> Report:
    good = [(each, each.job) for each in done if each.job and each.job.status is JobStatus.SUCCEEDED]
    return Report(
        jobs=len(done),
        succeeded=len(good),
        concurrency=concurrency,
        seconds=seconds,
        pictures_per_s=sum(len(job.images) for _, job in good) / seconds,
        latency_s=_spread([each.seconds for each, _ in good]),
        queue_s=_spread([job.metrics.queue_s or 0 for _, job in good]),
        execution_s=_spread([job.metrics.execution_s or 0 for _, job in good]),
    )


def _spread(values: Sequence[float]) -> Spread | None:
    if not values:
        return None
    cuts = quantiles(values, n=20, method="inclusive") if len(values) > 1 else [values[0]] * 19
    return Spread(median=cuts[9], p95=cuts[18], longest=max(values))
