"""Parts ``engine`` and ``guided``: what the engine costs beside the device, at full size with random weights."""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

from benchmarks.gpu.bench import Bench
from benchmarks.gpu.report import Values
from benchmarks.methods.models import random_models
from benchmarks.places import MODELS
from jobs.requests.request import GenerateRequest
from jobs.resolve.request import resolve
from worker.calls import Denoise
from worker.engine.device_time import Launched, spans_of
from worker.engine.engine import Engine
from worker.engine.fairness import Trajectory
from worker.engine.jobs import Job
from worker.engine.runner import Runner
from worker.engine.work import Finished, Outcome, Work

STEPS = 12
GUIDED_STEPS = 4
CUTOUTS = 48
T = TypeVar("T")


class Watched(Launched[list[Trajectory[Job]]]):
    """Notes the kind, the size and the device's seconds of each batch, and when it was launched."""

    def __init__(self, engine: Engine, begin: Callable[[], Any]) -> None:
        super().__init__(begin, lambda batch, seconds: self._note(engine, batch, seconds))
        self.kinds: list[tuple[type, int]] = []
        self.times: list[float] = []
        self.seconds: list[float] = []

    def launch(self, batch: list[Trajectory[Job]], run: Callable[[], T]) -> T:
        """Launch a batch; its calls are only known now."""
        self.kinds.append((type(batch[0].call), len(batch)))
        self.times.append(time.perf_counter())
        return super().launch(batch, run)

    def _note(self, engine: Engine, batch: list[Trajectory[Job]], seconds: float) -> None:
        self.seconds.append(seconds)
        engine._charge(batch, seconds)


def measure(bench: Bench) -> None:
    """Unguided pictures."""
    models = _models(bench, clip=str(MODELS / "pocket-m"))
    lost = []
    for pictures in (1, 2) if bench.small else (1, 8, 16, 32):
        for sampler in ("ddim",) if bench.small else ("ddim", "dpmpp_2m_sde"):
            run = partial(_run, bench, models, pictures, STEPS, {"sampler": sampler})
            lost.append(bench.report.figure(f"{sampler}, {pictures} pictures", run).get("lost"))
    known = [share for share in lost if share is not None]
    bench.report.rule(
        "the device idles for at least 5 % of a step somewhere: shorten the host's work",
        max(known) >= 0.05 if known else None,
    )


def measure_guided(bench: Bench) -> None:
    """Guided pictures with a CLIP of ViT-H-14's shapes."""
    models = _models(bench, clip=bench.shapes.clip)
    for pictures, cutouts in ((1, 4),) if bench.small else ((1, 4), (1, CUTOUTS), (4, CUTOUTS)):
        guidance = {"preset": "laion", "cutouts": cutouts}
        run = partial(_run, bench, models, pictures, GUIDED_STEPS, {"guidance": guidance})
        found = bench.report.figure(f"{pictures} pictures, {guidance['cutouts']} cutouts", run)
        lost = found.get("lost")
        bench.report.rule(
            "the host takes at least 20 % of a guided step: draw the cutouts ahead",
            None if lost is None else lost >= 0.2,
        )


def _models(bench: Bench, clip: str) -> Any:
    shapes = replace(bench.shapes, clip=clip, dtype=bench.device.dtype_name)
    models = random_models(shapes, bench.device)
    models.pin = _pin
    return models


def _pin(_refs: object, **_: object) -> "_Pin":
    return _Pin()


class _Pin:
    """Random networks are in memory from the beginning to the end."""

    ready, error = True, None

    def release(self) -> None:
        """Nothing to do."""


def _run(bench: Bench, models: Any, pictures: int, steps: int, fields: dict[str, Any]) -> Values:
    """A run after one that grows the batches; of it the iterations whose batches hold all pictures."""
    steps = 3 if bench.small else steps
    runner = Runner(models)
    _serve(runner, pictures, {"steps": 3, **fields})
    began = time.perf_counter()
    watched = _serve(runner, pictures, {"steps": steps, **fields})
    took = time.perf_counter() - began
    full = [place for place, kind in enumerate(watched.kinds) if kind == (Denoise, pictures)]
    steps_ms = [1e3 * (watched.times[b] - watched.times[a]) for a, b in pairwise(full)]
    device_ms = [1e3 * sum(watched.seconds[a:b]) for a, b in pairwise(full)]
    if not steps_ms:
        raise RuntimeError("no batch held all pictures")
    step, device = statistics.median(steps_ms), statistics.median(device_ms)
    return {
        "step_ms": round(step, 2),
        "device_ms": round(device, 2),
        "lost": round(max(0.0, 1 - device / step), 3),
        "pictures_per_s": round(pictures / took, 2),
    }


def _serve(runner: Runner, pictures: int, fields: dict[str, Any]) -> Watched:
    """Make pictures of as many jobs at once."""
    outcomes: list[Outcome] = []

    def note(_work: Work, outcome: Outcome) -> None:
        outcomes.append(outcome)
        if len(outcomes) == pictures:
            engine.close()

    engine = Engine(runner, note)
    engine._launched = watched = Watched(engine, spans_of(runner.models.device.device))
    for number in range(pictures):
        asked = {"prompt": f"a fox {number}", "seed": number, "sampler": "ddim", **fields}
        request = resolve(GenerateRequest.model_validate(asked), runner.models.catalog)
        engine.admit(Work(str(number), request))
    engine.serve()
    engine._settle(0)
    failed = [outcome for outcome in outcomes if not isinstance(outcome, Finished)]
    if failed:
        raise RuntimeError(f"a job did not finish: {failed[0]}")
    return watched
