"""Time between two calls of a UNet that answers at once: what the engine and its samplers cost a fast device.

``python -m benchmarks.idle [--quick] [--json FILE]``. Latents and contexts have the shapes of SD 1.5 at 512 px. A
stored answer takes the UNet's place; everything else is the engine's own code, on one CPU thread. Reports the median
over a run of 25 steps with classifier-free guidance. Exits with 1 if one exceeds its bound.

With CLIP guidance by 48 cutouts of 224 px, in chunks of 8 as for ViT-H-14, decoder and tower are stored answers too,
and cutouts are shapes without values. There it reports the processor time of the engine's thread for each picture and
step. It leaves out the thread that draws the cutouts' noise, since networks that answer at once give it no time.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import json
import statistics
import sys
import threading
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.instant import Instant, instant, instant_guidance
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
from worker.models.registry import ModelRegistry
from worker.settings import WorkerSettings

BOUNDS_MS = {8: 0.5, 32: 1.0}  # by the pictures of a batch, for DDIM and DPM++ 2M Karras
SOLVER_MS = 2.0  # for every other solver
GUIDED_MS = 5.0  # for a picture and step with CLIP guidance
AT_A_TIME = 8  # cutouts of ViT-H-14
BOUND = {(SamplerName.DDIM, ScheduleName.DEFAULT), (SamplerName.DPMPP_2M, ScheduleName.KARRAS)}


@dataclass(frozen=True)
class Idle:
    """Milliseconds between two calls of the UNet."""

    sampler: str
    schedule: str
    pictures: int
    median_ms: float
    bound_ms: float


def run(runner: Runner, requests: list[ResolvedRequest]) -> None:
    """Make the pictures of all requests at once."""
    outcomes: list[Outcome] = []
    ended = threading.Event()

    def note(_work: Work, outcome: Outcome) -> None:
        outcomes.append(outcome)
        if len(outcomes) == len(requests):
            engine.close()
            ended.set()

    engine = Engine(runner, note)
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


def measure_guided(runner: Runner, unet: Instant, pictures: int) -> Idle:
    """The median for each picture over the guided steps of full batches."""
    asked = {"prompt": "a fox", "steps": 12, "sampler": SamplerName.DDIM, "guidance": {"preset": "laion"}}
    requests = [
        resolve(GenerateRequest.model_validate({**asked, "seed": seed}), runner.models.catalog)
        for seed in range(pictures)
    ]
    run(runner, requests)
    unet.times.clear()
    run(runner, requests)
    gaps = [
        after[0] - before[1]
        for before, after in pairwise(unet.times)
        if before[2] == after[2] == 2 * pictures
    ]
    median_ms = 1e3 * statistics.median(gaps) / pictures
    return Idle(SamplerName.DDIM, "48 cutouts", pictures, median_ms, GUIDED_MS)


def registry() -> ModelRegistry:
    """The models of the catalog on one thread of the CPU."""
    settings = WorkerSettings(device="cpu", dtype="fp32", threads=1, max_batch=32)
    return ModelRegistry(load_catalog(CATALOG), Device(settings))


def guided() -> list[Idle]:
    """All figures with CLIP guidance."""
    models = registry()
    model, clip = models.diffusion("pocket"), models.catalog.model("pocket").clip
    assert isinstance(model, StableDiffusion)
    unet = instant(model, time.thread_time)
    instant_guidance(model, models.clip(clip), AT_A_TIME)
    return [measure_guided(Runner(models), unet, pictures) for pictures in (1, 4)]


def main() -> None:
    """Measure every solver, print a table, and write JSON if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="DDIM and DPM++ 2M Karras alone")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    runner = Runner(registry())
    model = runner.models.diffusion("pocket")
    assert isinstance(model, StableDiffusion)
    unet = instant(model)
    plain = [(name, ScheduleName.DEFAULT) for name in SamplerName]
    found = [
        measure(runner, unet, sampler, schedule, pictures)
        for sampler, schedule in dict.fromkeys([*sorted(BOUND), *([] if options.quick else plain)])
        for pictures in (1, *BOUNDS_MS)
    ]
    found += guided()
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
