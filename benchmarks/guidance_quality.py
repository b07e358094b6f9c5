"""Each preset's gain and cost: the judges' figures, distances of the pictures to real ones, and time.

``python -m benchmarks.guidance_quality [--quick] [--json FILE] [--prompts N] [--presets NAME ...]``. All presets
generate the same prompts from the same seeds, at their published numbers. Judges that agree for different reasons look
at each picture (``training/judges/panel.py``). A gain counts where one that shares nothing with the guides sees it.
FID, KID, precision and recall are in the feature space of pocket-eval. It never guides, but it was trained as the
guides were; they compare only with each other. The real pictures are the drawings of the training data (see
``models/pocket/README.md`` to fetch them).
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from benchmarks.places import CATALOG
from jobs.catalog.catalog import load_catalog
from jobs.requests.guidance import Guidance
from jobs.requests.presets import PRESETS, PresetName
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.resolve.request import resolve
from training import glyphs
from training.captions import compose
from training.evaluate import prompts
from training.judges.asked import Asked
from training.judges.clips import embed, load_named
from training.judges.panel import EVALUATOR, FIGURES, Opinion, Panel, changes, counts, means
from training.metrics import frechet_distance, kernel_distance, precision_and_recall
from training.settings import work_folder
from worker.engine.offline import generate_all
from worker.engine.runner import Runner
from worker.engine.solo import generate
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.sampling.inputs import SamplerInputs
from worker.settings import WorkerSettings

TIMED = 4  # pictures that are also generated alone, to time them; all others share batches


@dataclass(frozen=True)
class Row:
    """One preset over all prompts."""

    preset: str
    means: dict[str, float]  # of the judges' figures
    changes: dict[str, tuple[float, float]]  # from unguided, mean over prompts and standard error
    counts: list[str]  # judges unlike the guides that see a gain beyond doubt
    wins: float  # share of prompts whose similarity gains
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
    models = ModelRegistry(load_catalog(CATALOG), Device(WorkerSettings()))
    panel, evaluator, names = Panel(), load_named(EVALUATOR), glyphs.learned()
    asked = [Asked(name, style) for name, style in prompts(count, names)]
    real = embed(evaluator, real_pictures(names))
    runner, guidance_clip = Runner(models), models.catalog.model(None).clip
    plain: Opinion | None = None
    plain_seconds = 0.0
    for preset in (None, *presets):
        guidance = Guidance(preset=preset) if preset else None
        requests = [
            resolve(GenerateRequest(prompt=one.prompt, seed=seed, guidance=guidance), models.catalog)
            for seed, one in enumerate(asked)
        ]
        label = preset or "unguided"
        seconds = seconds_alone(requests[:TIMED], runner, guidance_clip)
        drawn = track(generate_all(requests, runner), label, count, console=Console(stderr=True))
        pictures = torch.stack([picture.pixels for (picture,) in drawn])
        opinion, features = panel.see(pictures, asked), embed(evaluator, pictures)
        if plain is None:
            plain, plain_seconds = opinion, seconds
        precision, recall = precision_and_recall(real, features)
        yield Row(
            label,
            means(opinion),
            changes(plain, opinion),
            counts(plain, opinion),
            float((opinion.similarity > plain.similarity).double().mean()),
            frechet_distance(real, features),
            kernel_distance(real, features),
            precision,
            recall,
            seconds,
            seconds / plain_seconds,
        )


def bounds(count: int) -> Iterator[tuple[str, dict[str, float]]]:
    """What the judges say of real drawings of the same things, and of colours that CLIP made with no model."""
    panel, asked = Panel(), [Asked(name, style) for name, style in prompts(count, glyphs.learned())]
    real, drawn = panel.ceiling(asked)
    yield f"real drawings ({len(drawn)})", means(panel.see(real, drawn))
    yield "8 x 8 px by CLIP alone", means(panel.see(panel.floor(asked), asked))


def table_of(rows: list[Row], ends: Sequence[tuple[str, dict[str, float]]]) -> Table:
    """All rows, as they are printed."""
    others = ("wins", "FID", "KID", "precision", "recall", "s a picture", "cost", "counts")
    table = Table("preset", *(heading for _, heading, _ in FIGURES), *others)
    for row in rows:
        table.add_row(
            row.preset,
            *(
                f"{row.means[field]:.3f} ({row.changes[field][0]:+.3f} ± {row.changes[field][1]:.3f})"
                for field, *_ in FIGURES
            ),
            f"{row.wins:.0%}",
            f"{row.fid:.4f}",
            f"{row.kid:.5f}",
            f"{row.precision:.3f}",
            f"{row.recall:.3f}",
            f"{row.seconds:.2f}",
            f"{row.cost:.2f}",
            ", ".join(row.counts),
        )
    for label, figures in ends:
        table.add_row(label, *(f"{figures[field]:.3f}" for field, *_ in FIGURES))
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
    count = 8 if options.quick else options.prompts
    rows: list[Row] = []
    for row in measure(presets, count):
        rows.append(row)
        if options.json:  # after each, since all may take hours
            options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    Console(width=max(Console().width, 240)).print(
        table_of(rows, list(bounds(count)))
    )  # wide enough in a file


if __name__ == "__main__":
    main()
