"""The gain of CLIP guidance in the similarity of pictures to their prompts, from the same seeds.

``python -m benchmarks.guidance_gain [--quick] [--json FILE] [--pictures FILE] [--guidance JSON]``. Two CLIPs score
every picture: the guidance CLIP, which overrates its own pictures, and the evaluator, which was trained separately and
never guides. Only the evaluator's figure tells whether the pictures are better.
"""

import argparse
import json
import statistics
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor
from torchvision.utils import make_grid, save_image

from benchmarks.places import CATALOG, MODELS, ROOT
from jobs.catalog.catalog import ClipCard, load_catalog
from jobs.requests.guidance import Guidance
from jobs.requests.request import GenerateRequest
from jobs.resolve.request import resolve
from worker.engine.offline import generate_all
from worker.engine.runner import Runner
from worker.models.clip import ClipModel
from worker.models.device import Device
from worker.models.loading.clip import load_clip
from worker.models.registry import ModelRegistry
from worker.settings import WorkerSettings

COLOURS = ("", " on a light blue background", " on a pink background", " on a yellow background")
STYLES = ("noto", "twemoji", "fluent", "flat")


@dataclass(frozen=True)
class Pair:
    """Two pictures of one prompt and seed, unguided and guided; cosine similarities to the prompt."""

    prompt: str
    guidance_clip_plain: float
    guidance_clip_guided: float
    evaluator_plain: float
    evaluator_guided: float


def prompts(count: int) -> list[str]:
    """``count`` of the things that the pocket model draws, evenly spread, in alternating styles and backgrounds."""
    names = [line.replace("-", " ") for line in (ROOT / "training" / "names-core.txt").read_text().split()]
    spread = islice(names, 0, None, max(1, len(names) // count))
    return [
        f"{STYLES[index % 4]} {name}{COLOURS[index // 4 % 4]}"
        for index, name in enumerate(islice(spread, count))
    ]


def measure(count: int, guidance: Guidance) -> tuple[list[Pair], list[Tensor]]:
    """Generate every prompt without and with guidance; the scores, and the pictures in pairs."""
    models = ModelRegistry(load_catalog(CATALOG), Device(WorkerSettings()))
    evaluator: ClipModel = load_clip(ClipCard(id="pocket-eval", path=MODELS / "pocket-eval"), models.device)
    texts = prompts(count)
    requests = [
        resolve(GenerateRequest(prompt=text, seed=seed, guidance=choice), models.catalog)
        for seed, text in enumerate(texts)
        for choice in (None, guidance)
    ]
    drawn = [
        picture
        for (picture,) in track(
            generate_all(requests, Runner(models)), "generating", len(requests), console=Console(stderr=True)
        )
    ]
    pairs = []
    for text, plain, guided in zip(texts, drawn[::2], drawn[1::2], strict=True):
        target = evaluator.embed_text(text)
        scores = (evaluator.score(picture.pixels, target) for picture in (plain, guided))
        pairs.append(Pair(text, plain.clip_score, guided.clip_score, *scores))
    pictures = [picture.pixels for picture in drawn]
    return pairs, pictures


def summary(pairs: list[Pair]) -> dict[str, dict[str, float]]:
    """Means over all prompts, the gain with its standard error, and how often guidance wins."""
    table = {}
    for name in ("guidance_clip", "evaluator"):
        plain = [getattr(pair, f"{name}_plain") for pair in pairs]
        guided = [getattr(pair, f"{name}_guided") for pair in pairs]
        gains = [after - before for before, after in zip(plain, guided, strict=True)]
        table[name] = {
            "plain": statistics.mean(plain),
            "guided": statistics.mean(guided),
            "gain": statistics.mean(gains),
            "standard_error": statistics.stdev(gains) / len(gains) ** 0.5,
            "wins": sum(gain > 0 for gain in gains) / len(gains),
        }
    return table


def main() -> None:
    """Measure, print a table, and write JSON and pictures if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="32 prompts instead of 128")
    parser.add_argument(
        "--guidance", type=Guidance.model_validate_json, default="{}", help="a request's, as JSON"
    )
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument(
        "--pictures", type=Path, help="write the pictures, unguided beside guided, to this file"
    )
    options = parser.parse_args()
    pairs, pictures = measure(32 if options.quick else 128, options.guidance)
    results = summary(pairs)
    table = Table("CLIP", "unguided", "guided", "gain", "standard error", "guided wins")
    for name, row in results.items():
        figures = (f"{row[key]:.4f}" for key in ("plain", "guided", "gain", "standard_error"))
        table.add_row(name, *figures, f"{row['wins']:.0%}")
    Console().print(f"{len(pairs)} prompts, cosine similarity to the prompt", table)
    if options.json:
        rows = [asdict(pair) for pair in pairs]
        options.json.write_text(json.dumps({"summary": results, "pairs": rows}, indent=2) + "\n")
    if options.pictures:
        save_image(make_grid(torch.stack(pictures), nrow=8, padding=2), options.pictures)


if __name__ == "__main__":
    main()
