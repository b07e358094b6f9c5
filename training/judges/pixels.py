"""The judge without a network: how far a picture is from the real drawing of what was asked, when both are small."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from training.judges.asked import Asked, Drawings

SMALL_PX = 16


@dataclass(frozen=True)
class Distances:
    """What it says; NaN where nobody drew the thing in that style.

    Attributes:
        distance: root mean square over pixels and channels to the real drawing at 16 px, in units of 1/255, [N].
        rank: how many drawings of the same style on the same background are nearer, [N]; 0 is the best.
    """

    distance: Tensor
    rank: Tensor

    def top(self, count: int) -> Tensor:
        """1 where the real drawing is among the ``count`` nearest, else 0, [N]."""
        return torch.where(self.rank.isnan(), self.rank, (self.rank < count).double())


def small(pictures: Tensor) -> Tensor:
    """Pictures [N, 3, H, W] as [N, 3, 16, 16], each pixel the mean of those it covers."""
    return F.adaptive_avg_pool2d(pictures.double(), SMALL_PX)


class PixelJudge:
    """It knows the drawings and nothing else, so nothing that was trained on them can flatter it."""

    def __init__(self, drawings: Drawings) -> None:
        """With the drawings to compare with."""
        self._drawings = drawings
        self._known = cache(lambda style, colour: small(drawings.all_of(style, colour)).flatten(1))

    def see(self, pictures: Tensor, asked: Sequence[Asked]) -> Distances:
        """Judge pictures [N, 3, H, W] in [0, 1] of what was asked of each."""
        pairs = [self._one(row, one) for row, one in zip(small(pictures).flatten(1), asked, strict=True)]
        distance, rank = torch.tensor(pairs, dtype=torch.float64).view(-1, 2).unbind(1)
        return Distances(distance, rank)

    def _one(self, row: Tensor, asked: Asked) -> tuple[float, float]:
        if not self._drawings.has(asked):
            return float("nan"), float("nan")
        known = self._known(asked.style, asked.colour)
        distances = 255 * (known - row).square().mean(dim=1).sqrt()
        own = distances[self._drawings.names[asked.style].index(asked.name)]
        return float(own), float((distances < own).sum())
