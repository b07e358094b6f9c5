"""The effects of aesthetic gradients, best-of-n and search on the pocket models, by judges that take no part.

``python -m benchmarks.aesthetics [--quick] [--json FILE] [--lr LR] [--styles NAME ...] [--parts NAME ...]``. It needs
the drawings, which ``python -m training.glyphs`` renders.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.methods.style import embed, make
from benchmarks.methods.taste import personalization, prompts, show_personalization
from benchmarks.places import CATALOG
from jobs.catalog.catalog import load_catalog
from jobs.requests.guidance import Guidance
from jobs.requests.request import GenerateRequest
from jobs.requests.selection import Weights, best
from jobs.resolve.request import resolve
from training import glyphs
from training.captions import COLOURS
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.settings import WorkerSettings

EVALUATOR, SCORER = "pocket-eval", "pocket-s"
CANDIDATES, KEEP = 16, 3


@dataclass(frozen=True)
class ChoiceRow:
    """The best 3 of 16 against all 16, as one CLIP sees it."""

    seen_by: str
    all_16: float
    best_3: float
    error: float  # standard error of the difference


@dataclass(frozen=True)
class SearchRow:
    """How often a search by a picture's own prompt finds it."""

    guidance_clip: str | None  # guides with the preset `fast`
    pictures: int
    rank_1: float
    rank_5: float


def varied_prompts(count: int) -> list[str]:
    """Different prompts in the model's own grammar, as of many callers: styles and backgrounds in turn."""
    names, colours = glyphs.learned(), [colour for colour in COLOURS if colour != "white"]
    words = []
    for number in range(count):
        again, place = divmod(number, len(names))
        style = glyphs.STYLES[(number + 2 * again) % len(glyphs.STYLES)]
        words.append(f"{style} {names[place]} on a {colours[(place + 5 * again) % len(colours)]} background")
    return words


def best_of_n(models: ModelRegistry, count: int) -> list[ChoiceRow]:
    """The similarity of the best of n, by the CLIP that chose them and by the evaluator."""
    words = prompts(count)
    asked = {"select": {"candidates": CANDIDATES, "keep": KEEP, "scorer": SCORER}}
    requests = [
        resolve(
            GenerateRequest.model_validate({"prompt": prompt, "seed": 100 * number, **asked}), models.catalog
        )
        for number, prompt in enumerate(words)
    ]
    made = make(models, requests)
    chosen = [best(pictures, Weights(clip=1), KEEP) for pictures in made]
    rows = []
    for name in (SCORER, EVALUATOR):
        clip = models.clip(name)
        similarities = [
            (embed(clip, [picture.pixels for picture in pictures]) * clip.embed_text(prompt)).sum(dim=1)
            for prompt, pictures in zip(words, made, strict=True)
        ]
        means = [float(each.mean()) for each in similarities]
        bests = [float(each[places].mean()) for each, places in zip(similarities, chosen, strict=True)]
        gains = [after - before for before, after in zip(means, bests, strict=True)]
        error = statistics.stdev(gains) / len(gains) ** 0.5
        rows.append(ChoiceRow(name, statistics.fmean(means), statistics.fmean(bests), error))
    return rows


def searching(models: ModelRegistry, count: int, guidance_clip: str | None) -> SearchRow:
    """How often a picture is the first, or among the first five, that its own prompt finds."""
    words = varied_prompts(count)
    guidance = Guidance(preset="fast", clip=guidance_clip) if guidance_clip else None
    requests = [
        resolve(GenerateRequest(prompt=prompt, seed=seed, guidance=guidance), models.catalog)
        for seed, prompt in enumerate(words)
    ]
    clip = models.clip(models.catalog.aesthetic_scorer.id)
    pictures = embed(clip, [pictures[0].pixels for pictures in make(models, requests)])
    similarities = clip.embed_texts(words) @ pictures.T
    ranks = (similarities > similarities.diagonal()[:, None]).sum(dim=1)
    first, fifth = (float((ranks < rank).float().mean()) for rank in (1, 5))
    return SearchRow(guidance_clip, len(words), first, fifth)


def main() -> None:
    """Measure, print the tables, and write JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few pictures, to see that it works")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument(
        "--lr", type=float, help="learning rate of the personalization; by default the model's own"
    )
    parser.add_argument("--styles", nargs="+", default=["fluent", "twemoji"], choices=glyphs.STYLES)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure")
    options = parser.parse_args()
    models = ModelRegistry(load_catalog(CATALOG), Device(WorkerSettings()))
    lr = models.catalog.model(None).personalization_lr if options.lr is None else options.lr
    count, groups, pictures = (4, 2, 12) if options.quick else (48, 32, 500)
    measures: dict[str, Callable[[], list[Any]]] = {
        "personalization": lambda: personalization(models, options.styles, count, lr),
        "best_of_n": lambda: best_of_n(models, groups),
        "searching": lambda: [
            searching(models, pictures, clip) for clip in (None, models.catalog.aesthetic_scorer.id)
        ],
    }
    figures = {part: measures[part]() for part in options.parts}
    for part, rows in figures.items():
        SHOWN[part](rows)
    if options.json:
        written = {part: [asdict(row) for row in rows] for part, rows in figures.items()}
        options.json.write_text(json.dumps(written, indent=2) + "\n")


def show_best_of_n(rows: list[ChoiceRow]) -> None:
    """Print the gain of best-of-n."""
    table = Table("seen by", f"all {CANDIDATES}", f"best {KEEP}", "gain", "±")
    for row in rows:
        seen = (row.all_16, row.best_3, row.best_3 - row.all_16, row.error)
        table.add_row(row.seen_by, *(f"{figure:.4f}" for figure in seen))
    Console().print(table)


def show_searching(rows: list[SearchRow]) -> None:
    """Print how often a picture's own prompt finds it."""
    table = Table("pictures", "guided by", "rank 1", "rank 5 or better")
    for row in rows:
        table.add_row(
            str(row.pictures), row.guidance_clip or "none", f"{row.rank_1:.1%}", f"{row.rank_5:.1%}"
        )
    Console().print(table)


SHOWN: dict[str, Callable[[list[Any]], None]] = {
    "personalization": show_personalization,
    "best_of_n": show_best_of_n,
    "searching": show_searching,
}
PARTS = tuple(SHOWN)


if __name__ == "__main__":
    main()
