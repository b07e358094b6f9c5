"""Pictures in 8 bits, the only form in which they leave the device."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jobs.errors import JobFailedError
from worker.readback import Readback


def quantized(pixels: Tensor) -> Tensor:
    """A picture [3, H, W] in [0, 1] to the nearest of 256 levels, [H, W, 3], uint8 on the same device."""
    return (pixels * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous()


class Raster:
    """The 8-bit copy of a picture on its way to the CPU, which starts when this is made; any thread may wait for it."""

    def __init__(self, pixels: Tensor) -> None:
        """Start the copy; returns at once.

        Args:
            pixels: [3, H, W] in [0, 1], on any device.
        """
        self._levels = Readback(quantized(pixels))
        # With the copy, since a number that is not finite would become black or any other colour without an error.
        self._finite = Readback(pixels.isfinite().all())

    @property
    def size(self) -> tuple[int, int]:
        """Width and height; known at once."""
        height, width, _ = self._levels.shape
        return width, height

    @property
    def is_finite(self) -> bool:
        """Whether all numbers of the picture were finite; waits for the device."""
        return bool(self._finite.tensor)

    def require_finite(self, what: str, *, after: str) -> None:
        """Fail the job if a number of the picture was not finite, as ``worker.finite.require_finite`` does.

        Raises:
            JobFailedError: one was not.
        """
        if not self.is_finite:
            raise JobFailedError(f"{what} is not finite after {after}")

    def levels(self) -> NDArray[np.uint8]:
        """The picture [H, W, 3]; waits for the device.

        Raises:
            JobFailedError: one of its numbers was not finite.
        """
        self.require_finite("a picture", after="drawing")
        levels: Any = self._levels.tensor.numpy()
        return levels  # type: ignore[no-any-return]

    def pixels(self) -> Tensor:
        """The picture [3, H, W] in [0, 1], float32 on the CPU; waits for the device.

        Raises:
            JobFailedError: one of its numbers was not finite.
        """
        return torch.from_numpy(self.levels()).permute(2, 0, 1) / 255
