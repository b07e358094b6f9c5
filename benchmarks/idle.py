"""Time between two calls of a UNet that answers at once: what the engine and its samplers cost a fast device.

``python -m benchmarks.idle [--quick] [--json FILE]``. Latents and contexts have the shapes of SD 1.5 at 512 px. A
stored answer takes the UNet's place; everything else is the engine's own code, on one CPU thread. Reports the median
over a run of 25 steps with classifier-free guidance. Exits with 1 if one exceeds its bound.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import json
import statistics
import sys
import threading
import time
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from benchmarks.places import CATALOG
from jobs.catalog.catalog import load_catalog
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.requests.samplers import SamplerName, ScheduleName
from jobs.resolve.request import resolve
from worker.engine.engine import Engine
from worker.engine.runner import Runner
from worker.engine.work import Finished, Outcome, Work
from worker.models.device import Device
from worker.models.families.stable_diffusion import StableDiffusion
from worker.models.networks.network import UNetOutput
from worker.models.registry import ModelRegistry
from worker.settings import WorkerSettings

CHANNELS, SIDE, TOKENS, WIDTH = 4, 64, 77, 768
BOUNDS_MS = {8: 0.5, 32: 1.0}  # by the pictures of a batch, for DDIM and DPM++ 2M Karras
SOLVER_MS = 2.0  # for every other solver
BOUND = {(SamplerName.DDIM, ScheduleName.DEFAULT), (SamplerName.DPMPP_2M, ScheduleName.KARRAS)}


@dataclass(frozen=True)
class Idle:
    """Milliseconds between two calls of the UNet."""

    sampler: str
    schedule: str
    pictures: int
    median_ms: float
    bound_ms: float


class Instant(nn.Module):
    """Answers at once, and notes when it was called and left."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[tuple[float, float, int]] = []
        self._answers: dict[int, Tensor] = {}

    def forward(self, latents: Tensor, *_: Tensor, **__: bool) -> tuple[Tensor]:
        """A stored output for as many rows."""
        began, rows = time.perf_counter(), len(latents)
        if rows not in self._answers:
            self._answers[rows] = 0.5 * torch.randn(latents.shape)
        self.times.append((began, time.perf_counter(), rows))
        return (self._answers[rows],)


def instant(model: StableDiffusion) -> Instant:
    """Give a model the shapes of SD 1.5, and a UNet that answers at once."""
    unet, contexts = Instant(), torch.randn(1, TOKENS, WIDTH)
    model._network = UNetOutput(unet)
    model.facts = replace(model.facts, latent_channels=CHANNELS, latent_factor=1)
    model.encode = lambda wordings: [contexts.clone() for _ in wordings]  # type: ignore[method-assign]
    model.render = lambda latents: torch.zeros(len(latents), 3, 64, 64)  # type: ignore[method-assign]
    return unet


def run(runner: Runner, requests: list[ResolvedRequest]) -> None:
    """Make the pictures of all requests at once."""
    outcomes: list[Outcome] = []
    ended = threading.Event()

    def note(_work: Work, outcome: Outcome) -> None:
        outcomes.append(outcome)
        if len(outcomes) == len(requests):
            engine.close()
            ended.set()

    engine = Engine(runner, runner.models.catalog, note)
    for number, request in enumerate(requests):
        engine.admit(Work(str(number), request))
    engine.serve()
    if not (ended.is_set() and all(isinstance(outcome, Finished) for outcome in outcomes)):
        raise RuntimeError(f"a job did not finish: {outcomes[:1]}")


def measure(
    runner: Runner, unet: Instant, sampler: SamplerName, schedule: ScheduleName, pictures: int
) -> Idle:
    """The median over the calls of full batches."""
    asked = {"prompt": "a fox", "steps": 25, "sampler": sampler, "schedule": schedule}
    requests = [
        resolve(GenerateRequest.model_validate({**asked, "seed": seed}), runner.models.catalog)
        for seed in range(pictures)
    ]
    run(runner, requests)  # batches grow to their size
    unet.times.clear()
    run(runner, requests)
    calls = [call for call in unet.times if call[2] == 2 * pictures]
    gaps = [after[0] - before[1] for before, after in pairwise(calls)]
    bound = BOUNDS_MS.get(pictures, SOLVER_MS) if (sampler, schedule) in BOUND else SOLVER_MS
    return Idle(sampler, schedule, pictures, 1e3 * statistics.median(gaps), bound)


def main() -> None:
    """Measure every solver, print a table, and write JSON if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="DDIM and DPM++ 2M Karras alone")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = WorkerSettings(device="cpu", dtype="fp32", threads=1, max_batch=32)
    runner = Runner(ModelRegistry(load_catalog(CATALOG), Device(settings)))
    model = runner.models.diffusion("pocket")
    assert isinstance(model, StableDiffusion)
    unet = instant(model)
    plain = [(name, ScheduleName.DEFAULT) for name in SamplerName]
    found = [
        measure(runner, unet, sampler, schedule, pictures)
        for sampler, schedule in dict.fromkeys([*sorted(BOUND), *([] if options.quick else plain)])
        for pictures in (1, *BOUNDS_MS)
    ]
    table = Table("sampler", "schedule", "pictures", "idle ms", "bound ms")
    for row in found:
        style = "" if row.median_ms <= row.bound_ms else "red"
        cells = (row.sampler, row.schedule, str(row.pictures), f"{row.median_ms:.3f}", f"{row.bound_ms:.1f}")
        table.add_row(*cells, style=style)
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in found], indent=2) + "\n")
    if any(row.median_ms > row.bound_ms for row in found):
        sys.exit(1)


if __name__ == "__main__":
    main()
