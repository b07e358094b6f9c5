"""A finished picture, as samplers make it and the store takes it."""

from dataclasses import dataclass, replace

from torch import Tensor

from jobs.status.job import GuidedStep
from worker.raster import Raster


@dataclass(frozen=True)
class Picture:
    """A finished picture."""

    index: int
    seed: int
    pixels: (
        Tensor  # [3, H, W] in [0, 1], float32, on the model's device; empty once only the raster is needed
    )
    raster: Raster
    clip_score: float
    trace: tuple[GuidedStep, ...] | None = None  # None unless requested
    aesthetic_score: float | None = None
    embedding: Tensor | None = None  # [E], unit, of the aesthetic scorer's space

    def on_cpu(self) -> "Picture":
        """The same with its pixels on the CPU, in full precision: for measurements."""
        return replace(self, pixels=self.pixels.cpu())

    def as_raster(self) -> "Picture":
        """The same with its raster alone, which no memory of the device is kept for."""
        return replace(self, pixels=self.pixels.new_empty(3, 0, 0))

    def without_pixels(self) -> "Picture":
        """The same without any pixels, for a picture that is stored."""
        nothing = self.pixels.new_empty(3, 0, 0, device="cpu")
        return replace(self, pixels=nothing, raster=Raster(nothing))
