"""Gaussian blur of pictures and of their gradients."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

REACH = 2.5  # standard deviations: what lies further out weighs a hundredth of the whole


def gaussian_blur(pictures: Tensor, sigma: float) -> Tensor:
    """Pictures [B, C, H, W] under a Gaussian of ``sigma`` pixels, whose edges are continued; 0 changes nothing."""
    reach = math.ceil(REACH * sigma)
    if not reach:
        return pictures
    offsets = torch.arange(-reach, reach + 1, dtype=pictures.dtype, device=pictures.device)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(pictures.shape[1], 1, 1, -1)
    across = F.conv2d(F.pad(pictures, (reach, reach, 0, 0), mode="replicate"), kernel, groups=len(kernel))
    return F.conv2d(
        F.pad(across, (0, 0, reach, reach), mode="replicate"), kernel.transpose(2, 3), groups=len(kernel)
    )
