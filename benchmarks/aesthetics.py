"""What personalising, choosing and searching do on the pocket models, by a judge that takes no part in them.

``python -m benchmarks.aesthetics [--quick] [--json FILE] [--lr LR] [--styles NAME ...] [--parts NAME ...]``. The judge
is pocket-eval. The drawings that stand for a style are those of the training data, which ``python -m training.glyphs``
renders: the embedding is made from drawings of some names, and the judge compares with drawings of other names.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import islice, product
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.methods.style import drawings, look, make, style_embedding, taste_drawings, towards
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

JUDGE, CHOOSER = "pocket-eval", "pocket-s"
BACKGROUNDS = ("light blue", "pink", "yellow", "green")
STEPS = (0, 5, 10, 20)
CANDIDATES, KEEP = 16, 3


@dataclass(frozen=True)
class StyleRow:
    """Pictures personalised towards one style by so many steps."""

    style: str
    steps: int
    style_similarity: float  # to drawings of the style, of names that the embedding was not made from
    style_error: float  # standard error of the change from 0 steps
    drawings_similarity: float  # of the drawings that the embedding was made from, to compare with
    prompt_similarity: float


@dataclass(frozen=True)
class ChoiceRow:
    """The best 3 of 16 against all 16, as one CLIP sees it."""

    seen_by: str
    all_16: float
    best_3: float
    error: float  # standard error of the difference


@dataclass(frozen=True)
class SearchRow:
    """Pictures looked for by their own prompts."""

    guide: str | None  # the CLIP that guided them, by the preset `fast`
    pictures: int
    rank_1: float
    rank_5: float


def prompts(count: int) -> list[str]:
    """Different prompts without a style: every name before any comes again on another background."""
    return [
        f"{name} on a {colour} background"
        for colour, name in islice(product(BACKGROUNDS, glyphs.learned()), count)
    ]


def varied_prompts(count: int) -> list[str]:
    """Different prompts in the model's own grammar, as of many callers: styles and backgrounds in turn."""
    names, colours = glyphs.learned(), [colour for colour in COLOURS if colour != "white"]
    words = []
    for number in range(count):
        again, place = divmod(number, len(names))
        style = glyphs.STYLES[(number + 2 * again) % len(glyphs.STYLES)]
        words.append(f"{style} {names[place]} on a {colours[(place + 5 * again) % len(colours)]} background")
    return words


def personalising(models: ModelRegistry, style: str, count: int, lr: float) -> list[StyleRow]:
    """The judge's similarities at each number of steps, same prompts and seeds."""
    card, judge = models.catalog.model(None), models.clip(JUDGE)
    assert card.text_clip is not None
    taste = style_embedding(models, style, card.text_clip)
    held_out = look(judge, drawings(style, held_out=True))
    real = float((look(judge, taste_drawings(style)) @ held_out.T).mean())
    words = prompts(count)
    targets = judge.embed_texts(words)
    rows, unchanged = [], None
    for steps in STEPS:
        requests = [
            resolve(GenerateRequest(prompt=prompt, seed=seed), models.catalog).model_copy(
                update={"personalization": towards(taste, steps, lr)}
            )
            for seed, prompt in enumerate(words)
        ]
        seen = look(judge, [pictures[0].pixels for pictures in make(models, requests, taste)])
        near = (seen @ held_out.T).mean(dim=1)
        unchanged = near if unchanged is None else unchanged
        rows.append(
            StyleRow(
                style,
                steps,
                float(near.mean()),
                float((near - unchanged).std() / len(near) ** 0.5),
                real,
                float((seen * targets).sum(dim=1).mean()),
            )
        )
    return rows


def choosing(models: ModelRegistry, count: int) -> list[ChoiceRow]:
    """Candidates chosen by one CLIP, and what it and the judge say of the choice."""
    words = prompts(count)
    asked = {"select": {"candidates": CANDIDATES, "keep": KEEP, "scorer": CHOOSER}}
    requests = [
        resolve(
            GenerateRequest.model_validate({"prompt": prompt, "seed": 100 * number, **asked}), models.catalog
        )
        for number, prompt in enumerate(words)
    ]
    made = make(models, requests)
    chosen = [best(pictures, Weights(clip=1), KEEP) for pictures in made]
    rows = []
    for name in (CHOOSER, JUDGE):
        clip = models.clip(name)
        similarities = [
            (look(clip, [picture.pixels for picture in pictures]) * clip.embed_text(prompt)).sum(dim=1)
            for prompt, pictures in zip(words, made, strict=True)
        ]
        means = [float(each.mean()) for each in similarities]
        bests = [float(each[places].mean()) for each, places in zip(similarities, chosen, strict=True)]
        gains = [after - before for before, after in zip(means, bests, strict=True)]
        error = statistics.stdev(gains) / len(gains) ** 0.5
        rows.append(ChoiceRow(name, statistics.fmean(means), statistics.fmean(bests), error))
    return rows


def searching(models: ModelRegistry, count: int, guide: str | None) -> SearchRow:
    """How often a picture is the first, or among the first five, that its own prompt finds."""
    words = varied_prompts(count)
    guidance = Guidance(preset="fast", clip=guide) if guide else None
    requests = [
        resolve(GenerateRequest(prompt=prompt, seed=seed, guidance=guidance), models.catalog)
        for seed, prompt in enumerate(words)
    ]
    clip = models.clip(models.catalog.aesthetic_scorer.id)
    pictures = look(clip, [pictures[0].pixels for pictures in make(models, requests)])
    similarities = clip.embed_texts(words) @ pictures.T
    ranks = (similarities > similarities.diagonal()[:, None]).sum(dim=1)
    return SearchRow(guide, len(words), float((ranks == 0).float().mean()), float((ranks < 5).float().mean()))


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few pictures, to see that it works")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument(
        "--lr", type=float, help="learning rate of the personalisation; by default the model's own"
    )
    parser.add_argument("--styles", nargs="+", default=["fluent", "twemoji"], choices=glyphs.STYLES)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure")
    options = parser.parse_args()
    models = ModelRegistry(load_catalog(CATALOG), Device(WorkerSettings()))
    lr = models.catalog.model(None).personalization_lr if options.lr is None else options.lr
    count, groups, pictures = (4, 2, 12) if options.quick else (64, 32, 500)
    measures: dict[str, Callable[[], list[Any]]] = {
        "personalising": lambda: [
            row for style in options.styles for row in personalising(models, style, count, lr)
        ],
        "choosing": lambda: choosing(models, groups),
        "searching": lambda: [
            searching(models, pictures, guide) for guide in (None, models.catalog.aesthetic_scorer.id)
        ],
    }
    figures = {part: measures[part]() for part in options.parts}
    for part, rows in figures.items():
        SHOWN[part](rows)
    if options.json:
        written = {part: [asdict(row) for row in rows] for part, rows in figures.items()}
        options.json.write_text(json.dumps(written, indent=2) + "\n")


def show_personalising(rows: list[StyleRow]) -> None:
    """Print how near the pictures come to each style."""
    table = Table(
        "style",
        "steps",
        "similarity to the style",
        "± of the change",
        "of drawings",
        "similarity to the prompt",
    )
    for row in rows:
        figures = (row.style_similarity, row.style_error, row.drawings_similarity, row.prompt_similarity)
        table.add_row(row.style, str(row.steps), *(f"{figure:.4f}" for figure in figures))
    Console().print(table)


def show_choosing(rows: list[ChoiceRow]) -> None:
    """Print what the choice gains."""
    table = Table("seen by", f"all {CANDIDATES}", f"best {KEEP}", "gain", "±")
    for row in rows:
        seen = (row.all_16, row.best_3, row.best_3 - row.all_16, row.error)
        table.add_row(row.seen_by, *(f"{figure:.4f}" for figure in seen))
    Console().print(table)


def show_searching(rows: list[SearchRow]) -> None:
    """Print how often the own prompt finds a picture."""
    table = Table("pictures", "guided by", "rank 1", "rank 5 or better")
    for row in rows:
        table.add_row(str(row.pictures), row.guide or "none", f"{row.rank_1:.1%}", f"{row.rank_5:.1%}")
    Console().print(table)


SHOWN: dict[str, Callable[[list[Any]], None]] = {
    "personalising": show_personalising,
    "choosing": show_choosing,
    "searching": show_searching,
}
PARTS = tuple(SHOWN)


if __name__ == "__main__":
    main()
