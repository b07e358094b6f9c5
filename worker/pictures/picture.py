"""A finished picture, as samplers make it and the store takes it."""

from dataclasses import dataclass

from torch import Tensor

from jobs.status.job import GuidedStep


@dataclass(frozen=True)
class Picture:
    """A finished picture."""

    index: int
    seed: int
    pixels: Tensor  # [3, H, W] in [0, 1], float32, on the CPU
    clip_score: float
    trace: tuple[GuidedStep, ...] | None = None  # None unless requested
    aesthetic_score: float | None = None
    embedding: Tensor | None = None  # [E], unit, of the aesthetic scorer's space
