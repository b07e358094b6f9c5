"""What aesthetic gradients do to pictures of prompts that leave the style open, by a judge that is no CLIP."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, product

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.methods.style import make, style_embedding, towards
from jobs.requests.request import GenerateRequest
from jobs.resolve.request import resolve
from training import glyphs
from training.judges.asked import Asked
from training.judges.panel import Opinion, Panel, mean
from worker.aesthetics.embeddings import AestheticEmbedding
from worker.models.registry import ModelRegistry

BACKGROUNDS = ("light blue", "pink", "yellow", "green")
STEPS = (10, 20, 40)


@dataclass(frozen=True)
class StyleRow:
    """Pictures of one style's aesthetic gradients; shares are of pictures.

    Attributes:
        style: its name; of the real drawings and of pictures without personalization too.
        embedding: "none", "drawings" (their mean), "drawings minus others" (less that of the other styles), or "real"
            for drawings that somebody made.
        steps: of the tuning.
        in_style: share in which the ConvNet sees the style, among five.
        named: share of which it has the name among the first 5 of 256.
        prompt_similarity: the evaluator's, to the name in this style.
    """

    style: str
    embedding: str
    steps: int
    in_style: float
    named: float
    prompt_similarity: float


def things(count: int) -> list[tuple[str, str]]:
    """Names and backgrounds: every name before any comes again on another background."""
    return [(name, colour) for colour, name in islice(product(BACKGROUNDS, glyphs.learned()), count)]


def prompts(count: int) -> list[str]:
    """Different prompts without a style."""
    return [f"{name} on a {colour} background" for name, colour in things(count)]


def personalized(
    models: ModelRegistry, words: Sequence[str], embedding: AestheticEmbedding, steps: int, lr: float
) -> Tensor:
    """A picture of each prompt, [N, 3, 64, 64] in [0, 1]; the same seeds at any number of steps."""
    requests = [
        resolve(GenerateRequest(prompt=prompt, seed=seed), models.catalog).model_copy(
            update={"personalization": towards(embedding, steps, lr)}
        )
        for seed, prompt in enumerate(words)
    ]
    return torch.stack([pictures[0].pixels for pictures in make(models, requests, embedding)])


def personalization(models: ModelRegistry, styles: Sequence[str], count: int, lr: float) -> list[StyleRow]:
    """What the judges see without personalization, with it, and in real drawings."""
    card, panel, words = models.catalog.model(None), Panel(), prompts(count)
    assert card.text_clip is not None
    rows: list[StyleRow] = []
    for style in styles:
        asked = [Asked(name, style, colour) for name, colour in things(count)]
        real, drawn = panel.ceiling(asked)
        means = {
            "drawings": style_embedding(models, style, card.text_clip),
            "drawings minus others": style_embedding(models, style, card.text_clip, minus_others=True),
        }
        plain = personalized(models, words, means["drawings"], 0, lr)
        rows.append(_row(style, "none", 0, panel.see(plain, asked)))
        for name, embedding in means.items():
            for steps in STEPS:
                pictures = personalized(models, words, embedding, steps, lr)
                rows.append(_row(style, name, steps, panel.see(pictures, asked)))
        rows.append(_row(style, "real", 0, panel.see(real, drawn)))
    return rows


def _row(style: str, embedding: str, steps: int, opinion: Opinion) -> StyleRow:
    figures = (mean(opinion, field) for field in ("net_style", "net_top_5", "similarity"))
    return StyleRow(style, embedding, steps, *figures)


def show_personalization(rows: Sequence[StyleRow]) -> None:
    """Print a line for each."""
    table = Table("style", "embedding of", "steps", "seen in the style", "ConvNet top 5", "CLIP")
    for row in rows:
        shares = (f"{row.in_style:.0%}", f"{row.named:.0%}", f"{row.prompt_similarity:.3f}")
        table.add_row(row.style, row.embedding, str(row.steps), *shares)
    Console().print(table)
