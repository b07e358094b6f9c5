"""A cheap decoder for gradients: a linear map from latents to pixels.

The patch of pixels of each latent is a linear function of the 3 x 3 latents around it, fitted by least squares to the
VAE's pictures of random latents. It renders colours and edges, but no texture.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from worker.finite import is_finite

KERNEL = 3
SAMPLES = 16
SIDE = 16
RIDGE = 1e-4  # of the mean variance of a latent; keeps the least squares well-conditioned


@dataclass(frozen=True)
class LinearDecoder:
    """Latents to pictures by one convolution."""

    weight: Tensor  # [3 * factor^2, C, KERNEL, KERNEL]
    bias: Tensor  # [3 * factor^2]
    factor: int  # pixels along one side of a latent

    @property
    def is_finite(self) -> bool:
        """Whether the pictures that it was fitted to were finite."""
        return is_finite(self.weight) and is_finite(self.bias)

    def __call__(self, latents: Tensor) -> Tensor:
        """Latents [B, C, h, w] to pictures [B, 3, H, W], nominally in [0, 1]; differentiable."""
        padded = F.pad(latents.to(self.weight), [KERNEL // 2] * 4, mode="replicate")
        return F.pixel_shuffle(F.conv2d(padded, self.weight, self.bias), self.factor)


def fit_linear_decoder(
    decode: Callable[[Tensor], Tensor], channels: int, factor: int, device: torch.device
) -> LinearDecoder:
    """Fit a linear decoder to a decoder.

    Args:
        decode: latents [B, C, h, w] to pictures [B, 3, h * factor, w * factor].
        channels: C.
        factor: pixels along one side of a latent.
        device: of the result, whose dtype is float32.
    """
    rows, patches = [], []
    with torch.no_grad():
        for latents in _random_latents(channels).split(4):
            padded = F.pad(latents, [KERNEL // 2] * 4, mode="replicate").double()
            rows.append(F.unfold(padded, KERNEL).transpose(1, 2).flatten(0, 1))
            pictures = decode(latents).double().cpu()
            patches.append(F.pixel_unshuffle(pictures, factor).flatten(2).transpose(1, 2).flatten(0, 1))
    inputs = torch.cat(rows)
    inputs = torch.cat([inputs, inputs.new_ones(len(inputs), 1)], dim=1)
    moments = inputs.T @ inputs
    moments += RIDGE * moments.diagonal().mean() * torch.eye(len(moments), dtype=moments.dtype)
    fitted = torch.linalg.solve(moments, inputs.T @ torch.cat(patches))
    weight = fitted[:-1].T.reshape(-1, channels, KERNEL, KERNEL)
    return LinearDecoder(weight.float().to(device), fitted[-1].float().to(device), factor)


def _random_latents(channels: int) -> Tensor:
    """Latents of unit variance, [SAMPLES, C, SIDE, SIDE], with low and high spatial frequencies like a picture's."""
    rng = torch.Generator().manual_seed(0)
    total = torch.zeros(SAMPLES, channels, SIDE, SIDE)
    for side in (1, 4, SIDE):
        coarse = torch.randn(SAMPLES, channels, side, side, generator=rng)
        total += F.interpolate(coarse, (SIDE, SIDE), mode="nearest")
    return total / 3**0.5
