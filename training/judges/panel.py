"""Judges that agree for different reasons, asked together, with the highest and the lowest that each can say."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.judges import network
from training.judges.asked import Asked, Drawings, pools
from training.judges.attacks import mush
from training.judges.clips import POOL, ClipJudge, load_named, purifiers
from training.judges.pixels import PixelJudge
from training.settings import models_folder

GUIDES = ("pocket-m", "pocket-s")
EVALUATOR = "pocket-eval"
MUSH_STEPS = 120
CERTAIN = 2.0  # standard errors


@dataclass(frozen=True)
class Opinion:
    """What all judges say of N pictures; NaN where a judge cannot tell. Shares are 0 or 1 for each picture.

    Attributes:
        similarity: the CLIP's, to the prompt.
        clip_top_5: whether the CLIP has the name among the first 5 of 256.
        purified: the CLIP's similarity after purification.
        purified_top_5: the same of the retrieval.
        net_top_1: whether the ConvNet has the name first among 256.
        net_top_5: among the first 5.
        net_style: whether the ConvNet sees the style.
        distance: to the real drawing at 16 px, in units of 1/255.
        drawing_top_5: whether the real drawing is among the 5 nearest of its style.
    """

    similarity: Tensor
    clip_top_5: Tensor
    purified: Tensor
    purified_top_5: Tensor
    net_top_1: Tensor
    net_top_5: Tensor
    net_style: Tensor
    distance: Tensor
    drawing_top_5: Tensor


# The figures of an opinion in the order of tables: field, heading, and whether more is better.
FIGURES = (
    ("similarity", "CLIP", 1),
    ("clip_top_5", "CLIP top 5", 1),
    ("purified", "CLIP, purified", 1),
    ("net_top_5", "ConvNet top 5", 1),
    ("net_top_1", "ConvNet top 1", 1),
    ("distance", "distance to the drawing", -1),
    ("drawing_top_5", "drawing in top 5", 1),
)
# Those whose agreement makes a gain of the CLIP's count.
INDEPENDENT = ("distance", "drawing_top_5", "net_top_5", "net_top_1")


class Panel:
    """All judges, loaded once."""

    def __init__(self) -> None:
        """Load them.

        Raises:
            FileNotFoundError: the drawings were not made (``python -m training.glyphs``).
        """
        self.drawings = Drawings()
        self._pixels = PixelJudge(self.drawings)
        self._net = network.load(models_folder() / network.FOLDER)
        self._clip = ClipJudge(load_named(EVALUATOR))
        self._purifiers = purifiers()

    @torch.no_grad()
    def see(self, pictures: Tensor, asked: Sequence[Asked]) -> Opinion:
        """Judge pictures [N, 3, 64, 64] in [0, 1] of what was asked of each."""
        reading = self._clip.see(pictures, asked)
        purified = self._clip.see_purified(pictures, asked, self._purifiers)
        distances = self._pixels.see(pictures, asked)
        rank, style = self._named(pictures, asked)
        return Opinion(
            similarity=reading.similarity,
            clip_top_5=reading.top(5),
            purified=purified.similarity,
            purified_top_5=purified.top(5),
            net_top_1=(rank < 1).double(),
            net_top_5=(rank < 5).double(),
            net_style=style,
            distance=distances.distance,
            drawing_top_5=distances.top(5),
        )

    def _named(self, pictures: Tensor, asked: Sequence[Asked]) -> tuple[Tensor, Tensor]:
        """The ConvNet's rank of each name in its pool, and whether it sees the style."""
        names, styles = (
            torch.cat(parts)
            for parts in zip(*(self._net(part) for part in (pictures * 2 - 1).split(64)), strict=True)
        )
        at = {name: index for index, name in enumerate(self._net.names)}
        ranks = []
        for logits, names_asked in zip(names, pools(asked, POOL), strict=True):
            chosen = logits[[at[name] for name in names_asked]]
            ranks.append((chosen[1:] > chosen[0]).sum())
        wanted = torch.tensor([self._net.styles.index(one.style) for one in asked])
        return torch.stack(ranks), (styles.argmax(dim=1) == wanted).double()

    def ceiling(self, asked: Sequence[Asked]) -> tuple[Tensor, list[Asked]]:
        """The real drawings of what was drawn, [M, 3, 64, 64] in [0, 1], and which of those asked they are."""
        drawn = [one for one in asked if self.drawings.has(one)]
        return torch.stack([self.drawings.picture(one) for one in drawn]), drawn

    def floor(self, asked: Sequence[Asked], seed: int = 0) -> Tensor:
        """8 x 8 colours that the guides find the prompts in, without any picture model, [N, 3, 64, 64] in [0, 1]."""
        guides = [load_named(name) for name in GUIDES]
        rng, made = torch.Generator().manual_seed(seed), []
        for start in range(0, len(asked), 64):
            prompts = [one.prompt for one in asked[start : start + 64]]
            made.append(mush([(clip, clip.embed_texts(prompts)) for clip in guides], MUSH_STEPS, rng))
        return torch.cat(made) / 2 + 0.5


@dataclass(frozen=True)
class Change:
    """A figure's mean change over the pictures of which both are known.

    Attributes:
        mean: of the change.
        error: its standard error.
    """

    mean: float
    error: float

    @property
    def text(self) -> str:
        """For tables."""
        return f"{self.mean:+.3f} ± {self.error:.3f}"


def mean(opinion: Opinion, field: str) -> float:
    """A figure's mean over the pictures of which it is known."""
    return float(getattr(opinion, field).nanmean())


def change(before: Opinion, after: Opinion, field: str) -> Change:
    """How a figure changes, picture by picture."""
    differences = getattr(after, field) - getattr(before, field)
    known = differences[~differences.isnan()]
    if len(known) < 2:
        return Change(math.nan, math.nan)
    return Change(float(known.mean()), float(known.std() / len(known) ** 0.5))


def means(opinion: Opinion) -> dict[str, float]:
    """The mean of each figure."""
    return {field: mean(opinion, field) for field, *_ in FIGURES}


def changes(before: Opinion, after: Opinion) -> dict[str, tuple[float, float]]:
    """The mean change of each figure, and its standard error."""
    found = {field: change(before, after, field) for field, *_ in FIGURES}
    return {field: (one.mean, one.error) for field, one in found.items()}


def counts(before: Opinion, after: Opinion) -> list[str]:
    """The independent figures that become better by more than two standard errors: a gain without one is flattery."""
    signs = {field: sign for field, _, sign in FIGURES}
    found = {field: change(before, after, field) for field in INDEPENDENT}
    return [field for field, one in found.items() if signs[field] * one.mean > CERTAIN * one.error > 0]
