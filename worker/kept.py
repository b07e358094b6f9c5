"""What a picture keeps while the rest of it is painted anew."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Kept:
    """The kept part of a picture at one call of the denoiser.

    At every call the estimate D is blended: outside the mask, the denoiser's output is replaced by the one that implies
    the kept latents. For deterministic solvers that is the same as noising the kept latents anew at each step (Lugmayr
    et al. 2022, RePaint, eq. 8), and with fresh noise it keeps both parts consistent.

    Attributes:
        x0: latents, of which those outside the mask are kept, [1, C, h, w].
        mask: whether a latent is painted anew, bool [1, 1, h, w].
        keep: x0 = keep * x + gain * output at the call.
        gain: likewise.
    """

    x0: Tensor
    mask: Tensor
    keep: float
    gain: float

    def outputs(self, outputs: Tensor, x: Tensor) -> Tensor:
        """The outputs [R, C, h, w] of the denoiser for latents x [1, C, h, w], as they count."""
        return torch.where(self.mask, outputs, (self.x0 - self.keep * x) / self.gain)
