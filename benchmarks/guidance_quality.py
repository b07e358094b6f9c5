"""Each preset's gain and cost: the evaluator's similarity, distances of the pictures to real ones, and time.

``python -m benchmarks.guidance_quality [--quick] [--json FILE] [--prompts N] [--presets NAME ...]``. All presets
generate the same prompts from the same seeds, at their published numbers. The evaluator, pocket-eval, was trained
separately from the guidance CLIP and never guides. All distances are in its feature space, so they compare only with
each other. The real pictures are the drawings of the training data (see ``models/pocket/README.md`` to fetch them).
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from benchmarks.places import CATALOG, MODELS
from jobs.catalog.catalog import ClipCard, load_catalog
from jobs.requests.guidance import Guidance
from jobs.requests.presets import PRESETS, PresetName
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.resolve.request import resolve
from training import glyphs
from training.captions import compose
from training.evaluate import embed, prompts
from training.metrics import frechet_distance, kernel_distance, precision_and_recall
from training.settings import work_folder
from worker.engine.offline import generate_all
from worker.engine.runner import Runner
from worker.engine.solo import generate
from worker.models.clip import ClipModel
from worker.models.device import Device
from worker.models.loading.clip import load_clip
from worker.models.registry import ModelRegistry
from worker.sampling.inputs import SamplerInputs
from worker.settings import WorkerSettings

TIMED = 4  # pictures that are also generated alone, to time them; all others share batches


@dataclass(frozen=True)
class Row:
    """One preset over all prompts."""

    preset: str
    similarity: float  # of picture and prompt, by the evaluator
    gain: float  # over unguided, mean over prompts
    standard_error: float
    wins: float  # share of prompts that gain
    fid: float
    kid: float
    precision: float
    recall: float
    seconds: float  # for a picture
    cost: float  # in units of an unguided picture


def real_pictures(names: list[str]) -> Tensor:
    """The drawings of these names [N, 3, 64, 64] in [0, 1], on white."""
    rgba, rows = glyphs.load(work_folder())
    wanted = set(names)
    chosen = [compose(rgba[index], "white") for index, glyph in enumerate(rows) if glyph.name in wanted]
    return torch.from_numpy(np.stack(chosen)) / 2 + 0.5


def seconds_alone(requests: list[ResolvedRequest], runner: Runner, guidance_clip: str) -> float:
    """Median time of a picture that is generated alone."""
    generate(requests[0], runner, SamplerInputs(guidance_clip))  # loads the models
    times = []
    for request in requests:
        started = time.perf_counter()
        generate(request, runner, SamplerInputs(guidance_clip))
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def measure(presets: list[PresetName], count: int) -> Iterator[Row]:
    """Unguided first, then each preset."""
    device = Device(WorkerSettings())
    models = ModelRegistry(load_catalog(CATALOG), device)
    evaluator: ClipModel = load_clip(ClipCard(id="pocket-eval", path=MODELS / "pocket-eval"), device)
    names = glyphs.learned()
    texts = [f"{style} {name}" for name, style in prompts(count, names)]
    targets = torch.cat([evaluator.embed_text(text) for text in texts])
    real = embed(evaluator, real_pictures(names))
    runner, guidance_clip = Runner(models), models.catalog.model(None).clip
    plain: Tensor | None = None
    plain_seconds = 0.0
    for preset in (None, *presets):
        guidance = Guidance(preset=preset) if preset else None
        requests = [
            resolve(GenerateRequest(prompt=text, seed=seed, guidance=guidance), models.catalog)
            for seed, text in enumerate(texts)
        ]
        label = preset or "unguided"
        seconds = seconds_alone(requests[:TIMED], runner, guidance_clip)
        drawn = track(generate_all(requests, runner), label, count, console=Console(stderr=True))
        features = embed(evaluator, torch.stack([picture.pixels for (picture,) in drawn]))
        similarities = (features * targets).sum(dim=1)
        if plain is None:
            plain, plain_seconds = similarities, seconds
        gains = (similarities - plain).tolist()
        precision, recall = precision_and_recall(real, features)
        yield Row(
            label,
            float(similarities.mean()),
            statistics.mean(gains),
            statistics.stdev(gains) / count**0.5,
            sum(gain > 0 for gain in gains) / count,
            frechet_distance(real, features),
            kernel_distance(real, features),
            precision,
            recall,
            seconds,
            seconds / plain_seconds,
        )


def table_of(rows: list[Row]) -> Table:
    """All rows, as they are printed."""
    table = Table(
        "preset", "similarity", "gain", "wins", "FID", "KID", "precision", "recall", "s a picture", "cost"
    )
    for row in rows:
        table.add_row(
            row.preset,
            f"{row.similarity:.4f}",
            f"{row.gain:+.4f} ± {row.standard_error:.4f}",
            f"{row.wins:.0%}",
            f"{row.fid:.4f}",
            f"{row.kid:.5f}",
            f"{row.precision:.3f}",
            f"{row.recall:.3f}",
            f"{row.seconds:.2f}",
            f"{row.cost:.2f}",
        )
    return table


def main() -> None:
    """Measure, print a table, and write JSON if asked."""
    guiding: list[PresetName] = [name for name, preset in PRESETS.items() if preset.scale]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="8 prompts, two presets")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--prompts", type=int, default=512, help="number of prompts")
    parser.add_argument("--presets", nargs="+", choices=guiding, default=guiding, help="which presets")
    options = parser.parse_args()
    presets: list[PresetName] = ["laion", "fast"] if options.quick else options.presets
    rows: list[Row] = []
    for row in measure(presets, 8 if options.quick else options.prompts):
        rows.append(row)
        if options.json:  # after each, since all may take hours
            options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    Console(width=max(Console().width, 120)).print(table_of(rows))  # wide enough in a file too


if __name__ == "__main__":
    main()
