"""The gain of step-level batching: jobs at once against the same jobs one at a time, through the engine."""

import statistics
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

import torch

from benchmarks.places import CATALOG
from jobs.catalog.catalog import Catalog, load_catalog
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.resolve.request import resolve
from worker.engine.engine import Engine
from worker.engine.runner import Runner
from worker.engine.work import Finished, Outcome, Work
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.pictures.inputs import Inputs
from worker.pictures.masking import canvas_for
from worker.rows import Row
from worker.settings import WorkerSettings

ROWS = (1, 2, 4, 8, 16, 32, 64)
CUTOUTS = 8
STRENGTH = 0.6
PICTURE, MASK = (f"sha256:{digit * 64}" for digit in "01")  # stand for pictures that are made here
NAMES = ("apple", "fox", "car", "cat", "tree", "house", "fish", "star")


@dataclass(frozen=True)
class Comparison:
    """Jobs of one kind, run one at a time and at once."""

    jobs: int
    one_at_a_time_s: float
    at_once_s: float
    ratio: float
    busy_share: float  # of the time at once that was spent in model calls


@dataclass(frozen=True)
class Limit:
    """The bare UNet: how many rows it answers a second, by rows in a batch."""

    rows: int
    rows_per_s: float


def jobs(count: int, steps: int, *, guided: bool) -> list[dict[str, Any]]:
    """Requests for as many pictures; with ``guided``, every other one is guided."""
    return [
        {
            "prompt": f"a {NAMES[number % len(NAMES)]}",
            "seed": number,
            "steps": steps,
            "sampler": "ddim",
            "guidance": {"preset": "laion", "cutouts": CUTOUTS} if guided and number % 2 else None,
        }
        for number in range(count)
    ]


def mixed(count: int, steps: int) -> list[dict[str, Any]]:
    """Requests for as many pictures: a third each from text, from a picture, and with a mask on one."""
    starts: tuple[dict[str, Any], ...] = (
        {},
        {"init": {"image": PICTURE, "strength": STRENGTH}},
        {"init": {"image": PICTURE, "strength": STRENGTH}, "mask": {"image": MASK}},
    )
    return [
        fields | starts[number % len(starts)]
        for number, fields in enumerate(jobs(count, steps, guided=False))
    ]


def inputs_of(request: ResolvedRequest) -> Inputs:
    """A picture of the request's own, and a mask of its left half."""
    size = request.height, request.width
    picture = torch.rand(3, *size, generator=torch.Generator().manual_seed(request.seed))
    mask = torch.zeros(3, *size)
    mask[:, :, : request.width // 2] = 1
    levels = {name: (255 * pixels).to(torch.uint8) for name, pixels in ((PICTURE, picture), (MASK, mask))}
    return Inputs(canvas=canvas_for(request, levels))


class Bench:
    """Models, and engines on them."""

    def __init__(self, threads: int, catalog: Catalog | None = None) -> None:
        settings = WorkerSettings(device="cpu", threads=threads, dtype="fp32")
        self.models = ModelRegistry(catalog or load_catalog(CATALOG), Device(settings))
        self.runner = Runner(self.models)  # one for all, so that what batches take of the memory is known

    def resolve(self, fields: dict[str, Any]) -> ResolvedRequest:
        """A request with its defaults."""
        return resolve(GenerateRequest.model_validate(fields), self.models.catalog)

    def run(self, requests: list[ResolvedRequest], at_a_time: int) -> tuple[float, float]:
        """Run jobs, so many at a time: seconds, and seconds in model calls."""
        room, outcomes = threading.Semaphore(at_a_time), []

        def note(work: Work, outcome: Outcome) -> None:
            del work
            outcomes.append(outcome)
            room.release()

        engine = Engine(self.runner, note)
        thread = threading.Thread(target=engine.serve)
        thread.start()
        works = [Work(str(number), request, inputs_of(request)) for number, request in enumerate(requests)]
        began = time.perf_counter()
        for work in works:
            room.acquire()
            engine.admit(work)
        for _ in range(at_a_time):
            room.acquire()
        seconds = time.perf_counter() - began
        engine.close()
        thread.join()
        assert all(isinstance(outcome, Finished) for outcome in outcomes)
        return seconds, engine.busy_s

    def compare(self, fields: list[dict[str, Any]]) -> Comparison:
        """The same jobs one at a time and all at once, twice in turn; the better of each, since others may disturb."""
        requests = [self.resolve(one) for one in fields]
        short = [request.model_copy(update={"steps": 1}) for request in requests]
        self.run(short, len(short))
        alone, at_once = [], []
        for _ in range(2):
            alone.append(self.run(requests, 1)[0])
            at_once.append(self.run(requests, len(requests)))
        seconds, busy_s = min(at_once)
        return Comparison(len(requests), min(alone), seconds, min(alone) / seconds, busy_s / seconds)

    def limit(self, repeats: int) -> list[Limit]:
        """The speed of the UNet alone: the engine's upper bound."""
        card = self.models.catalog.model(None)
        model = self.models.diffusion(card.id)
        factor = model.facts.latent_factor
        size = card.height // factor, card.width // factor
        text = model.encode_texts(["a fox"])
        limits = []
        for rows in ROWS:
            latents = torch.randn(rows, model.facts.latent_channels, *size)
            batch = latents, torch.full((rows,), 500), model.rows([(Row(text),)] * rows)
            times = []
            for _ in range(repeats):
                began = time.perf_counter()
                model.predict(*batch)
                times.append(time.perf_counter() - began)
            limits.append(Limit(rows, rows / statistics.median(times)))
        return limits


def measure(threads: int, *, quick: bool) -> dict[str, Any]:
    """All figures of this part."""
    bench, steps, count = Bench(threads), 5 if quick else 25, 16
    return {
        "threads": threads,
        "steps": steps,
        "cutouts": CUTOUTS,
        "limit": [asdict(limit) for limit in bench.limit(3 if quick else 10)],
        "unguided": asdict(bench.compare(jobs(count, steps, guided=False))),
        "half_guided": asdict(bench.compare(jobs(count, steps, guided=True))),
        "mixed_starts": asdict(bench.compare(mixed(count, steps))),
    }
