"""The engine's loop on a simulated device: the scheduler is the real one, the calls are empty, the clock is its own."""

import random
from collections import defaultdict
from collections.abc import Generator
from dataclasses import dataclass, field
from functools import cache

import torch

from benchmarks.load.arrivals import mixed
from benchmarks.scheduling.costs import Curves, seconds
from jobs.catalog.catalog import Catalog
from jobs.prompts.prompt import EMPTY
from jobs.queue.order import cost_of
from jobs.requests.request import GenerateRequest
from jobs.resolve.request import resolve
from worker.calls import Call, Decode, Denoise, EmbedImage, EmbedText, EncodeText, Guide
from worker.engine.fairness import FairScheduler, Trajectory
from worker.guidance.cutouts import CutoutSpec, draw_cutouts
from worker.guidance.objectives import ClipTerms, Loss
from worker.latents import LatentState
from worker.models.device import CPU_CAPACITY
from worker.patterns import INPUTS, PARTS, Coefficients
from worker.rows import Row

ITERATION_S = 0.002  # between two batches
WHOLE_BATCH = 16  # requests in a batch of whole requests, as in benchmarks/peers

_LATENTS = torch.zeros(1, 4, 8, 8)
_PICTURE = torch.zeros(3, 8, 8)
_TEXT, _EMBED = EncodeText("m", EMPTY), EmbedText("c", "")
_RUN = Coefficients(torch.zeros(1, len(PARTS), len(INPUTS)), torch.zeros(1), ((),))
_DENOISE = Denoise("m", LatentState(_RUN, _LATENTS), (Row(torch.zeros(1, 1, 1)),) * 2)
_END = (Decode("m", _LATENTS), EmbedImage("c", _PICTURE), EmbedImage("critic", _PICTURE))


@dataclass
class SimulatedJob:
    """A request of the mix: when it comes, its calls, and when it has ended."""

    arrival_s: float
    steps: int
    cutouts: int  # 0 for an unguided one
    cost: int
    at: int = 0  # the call that it waits for
    end_s: float = 0.0
    lag_s: float = 0.0  # behind an equal share, so far
    most_lag_s: float = 0.0
    calls: list[Call] = field(init=False)

    def __post_init__(self) -> None:
        step = [_DENOISE, _guide(self.cutouts)] if self.cutouts else [_DENOISE]
        self.calls = [_TEXT, _TEXT, _EMBED, *step * self.steps, *_END]

    @property
    def latency_s(self) -> float:
        """From its arrival to its end."""
        return self.end_s - self.arrival_s


@dataclass(frozen=True)
class Run:
    """What came of the jobs of one run."""

    mean_s: float
    p50_s: float
    p95_s: float
    p99_s: float
    jobs_per_s: float
    most_lag_s: float


def arrivals(count: int, rate: float, seed: int, catalog: Catalog) -> list[SimulatedJob]:
    """Requests of the mix of ``benchmarks.serving``, drawn at random, with Poisson arrivals.

    Args:
        count: requests.
        rate: arrivals a second.
        seed: of the draws.
        catalog: resolves the requests.
    """
    rng, at, jobs = random.Random(seed), 0.0, []
    kinds = mixed(200, quick=False)
    for fields in rng.choices(kinds, k=count):
        at += rng.expovariate(rate)
        cost = cost_of(resolve(GenerateRequest.model_validate(fields), catalog))
        jobs.append(
            SimulatedJob(at, fields["steps"], (fields["guidance"] or {"cutouts": 0})["cutouts"], cost)
        )
    return jobs


class Engine:
    """Runs jobs by a scheduler."""

    def __init__(self, scheduler: FairScheduler, curves: Curves, capacity: int = CPU_CAPACITY) -> None:
        self._scheduler = scheduler
        self._curves = curves
        self._capacity = capacity
        self._now_s = 0.0
        self._held: list[Trajectory[SimulatedJob]] = []

    def run(self, jobs: list[SimulatedJob]) -> Run:
        """Until all have ended."""
        coming = list(reversed(jobs))
        while coming or self._held:
            if not self._held:
                self._now_s = max(self._now_s, coming[-1].arrival_s)
            while coming and coming[-1].arrival_s <= self._now_s and len(self._held) < self._capacity:
                self._enter(coming.pop())
            self._iterate()
        return summary(jobs)

    def _enter(self, job: SimulatedJob) -> None:
        trajectory = Trajectory(job, self._scheduler.open(work=job.cost), _no_sampler())
        trajectory.wait_for(job.calls[0])
        self._held.append(trajectory)

    def _iterate(self) -> None:
        batch = self._scheduler.choose(self._held)
        took_s = seconds(self._curves[type(batch[0].call).__name__], len(batch))
        self._scheduler.charge(batch, took_s)
        self._note_lags(batch, took_s)
        self._now_s += took_s + ITERATION_S
        for trajectory in batch:
            self._advance(trajectory)
        served = set(batch)
        self._held = [each for each in self._held if each not in served] + [
            each for each in batch if not each.owner.end_s
        ]

    def _note_lags(self, batch: list[Trajectory[SimulatedJob]], took_s: float) -> None:
        for trajectory in self._held:
            job, had_s = trajectory.owner, took_s / len(batch) if trajectory in batch else 0.0
            job.lag_s += took_s / len(self._held) - had_s
            job.most_lag_s = max(job.most_lag_s, job.lag_s)

    def _advance(self, trajectory: Trajectory[SimulatedJob]) -> None:
        job = trajectory.owner
        job.at += 1
        if job.at < len(job.calls):
            return trajectory.wait_for(job.calls[job.at])
        job.end_s = self._now_s
        self._scheduler.close(trajectory.account)


def run_whole(jobs: list[SimulatedJob], curves: Curves) -> Run:
    """As other servers: all that wait are a batch, those alike run in lockstep, and all end with the last."""
    coming, now_s = list(jobs), 0.0
    while coming:
        now_s = max(now_s, coming[0].arrival_s)
        batch = [job for job in coming if job.arrival_s <= now_s][:WHOLE_BATCH]
        coming = coming[len(batch) :]
        alike: dict[tuple[int, int], int] = defaultdict(int)
        for job in batch:
            alike[job.steps, job.cutouts] += 1
        for (steps, cutouts), count in alike.items():
            calls = SimulatedJob(0.0, steps, cutouts, 0).calls
            now_s += sum(seconds(curves[type(call).__name__], count) + ITERATION_S for call in calls)
        for job in batch:
            job.end_s = now_s
    return summary(jobs)


def summary(jobs: list[SimulatedJob]) -> Run:
    """The latencies of jobs that have ended."""
    latencies = sorted(job.latency_s for job in jobs)
    count = len(latencies)
    p50_s, p95_s, p99_s = (latencies[min(int(share * count), count - 1)] for share in (0.5, 0.95, 0.99))
    end_s = max(job.end_s for job in jobs)
    lag_s = max(job.most_lag_s for job in jobs)
    return Run(sum(latencies) / count, p50_s, p95_s, p99_s, count / end_s, lag_s)


@cache
def _guide(cutouts: int) -> Guide:
    drawn = draw_cutouts(CutoutSpec(cutouts), (8, 8), 1, torch.Generator().manual_seed(0))
    return Guide("m", _LATENTS, Loss((ClipTerms("c", drawn, ()),)), "vae")


def _no_sampler() -> Generator[Call, None, None]:
    yield from ()
