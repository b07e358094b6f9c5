"""A picture at the size of the one to be made: what a run starts from."""

from dataclasses import dataclass
from hashlib import sha256

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Canvas:
    """A picture of the size of the one to be made.

    Attributes:
        pixels: uint8 [3, H, W].
        digest: SHA-256 of size and pixels.
    """

    pixels: Tensor
    digest: str

    @property
    def shape(self) -> torch.Size:
        """Of the pixels, [3, H, W]."""
        return self.pixels.shape


def canvas_of(pixels: Tensor) -> Canvas:
    """The canvas of pixels, uint8 [3, H, W]."""
    return Canvas(
        pixels, sha256(bytes(str(tuple(pixels.shape)), "ascii") + pixels.numpy().tobytes()).hexdigest()
    )
