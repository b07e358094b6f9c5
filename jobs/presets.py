"""Published guidance methods as rows of data: requests name a row, and may override its numbers."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class GuidancePreset:
    """The convention of one published method.

    Attributes:
        scale: default strength, in the method's own convention.
        cutouts: default number of augmented views a step.
        normalize: "rms" divides each picture's gradient by its root mean square, which makes ``scale`` a length in
            units of the latents; "none" applies the gradient as it is.
        source: where the method was published.
    """

    scale: float
    cutouts: int
    normalize: Literal["none", "rms"]
    source: str


PRESETS: dict[str, GuidancePreset] = {
    "laion": GuidancePreset(
        scale=0.1,
        cutouts=48,
        normalize="rms",
        source="LAION, Guiding Stable Diffusion with OpenCLIP H & g, 2022",
    ),
}
