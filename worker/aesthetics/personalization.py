"""Aesthetic gradients: fit a private copy of the text encoder to an aesthetic embedding for a few steps.

Gallego, "Personalizing Text-to-Image Generation via Aesthetic Gradients" (2022, arXiv 2209.12330), with the additions
of the web UI's widely used extension: a weight and a blend with the encoder's own states, and a text that turns the
embedding.
"""

from collections import OrderedDict
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from worker.calls import Tuning

CACHE_SIZE = 64


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Spherical interpolation along the last axis (Shoemake 1985): a at t = 0, b at t = 1.

    Vectors of any length keep their lengths at the ends. If the two are parallel or opposite, no arc is unique, and
    the interpolation is linear.

    Args:
        a: [..., D].
        b: [..., D].
        t: in [0, 1].
    """
    cos = (F.normalize(a, dim=-1) * F.normalize(b, dim=-1)).sum(dim=-1, keepdim=True).clamp(-1, 1)
    omega = cos.acos()
    so = omega.sin()
    is_line = so < 1e-4
    so = so.masked_fill(is_line, 1)
    arc = ((1 - t) * omega).sin() / so * a + (t * omega).sin() / so * b
    return torch.where(is_line, (1 - t) * a + t * b, arc)


def blended(own: Tensor, tuned: Tensor, weight: float, blend: Literal["lerp", "slerp"]) -> Tensor:
    """The conditioning [..., L, D]: the encoder's own states at weight 0, the tuned ones at weight 1.

    ``slerp`` turns each token's vector by itself.
    """
    if blend == "slerp":
        return slerp(own, tuned, weight)
    return (1 - weight) * own + weight * tuned


def turned(direction: Tensor, text: Tensor, angle: float, *, negative: bool) -> Tensor:
    """A direction turned towards a text, or away from it: e' = slerp(e, t, angle), with t = unit(e - t) for away.

    Args:
        direction: unit vector [E].
        text: unit vector [E].
        angle: share of the way, in [0, 1].
        negative: away.

    Returns:
        Unit vector [E].
    """
    goal = F.normalize(direction - text, dim=0) if negative else text
    return F.normalize(slerp(direction, goal, angle), dim=0)


class TuningCache:
    """Tuned states by prompt and tuning. They do not depend on the seed, the weight or the blend.

    Each loaded model has its own.
    """

    def __init__(self, size: int = CACHE_SIZE) -> None:
        """Make an empty cache of at most ``size`` states."""
        self._size = size
        self._known: OrderedDict[tuple[str, Tuning], Tensor] = OrderedDict()

    def find(self, prompt: str, tuning: Tuning) -> Tensor | None:
        """The states for a prompt; None when they are not known."""
        key = (prompt, tuning)
        if key not in self._known:
            return None
        self._known.move_to_end(key)
        return self._known[key]

    def keep(self, prompt: str, tuning: Tuning, states: Tensor) -> Tensor:
        """Remember and return the states for a prompt."""
        self._known[prompt, tuning] = states
        while len(self._known) > self._size:
            self._known.popitem(last=False)
        return states
