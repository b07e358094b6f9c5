"""The guidance scale as an input of a denoiser.

After Meng et al. 2023, "On Distillation of Guided Diffusion Models", sec. 3.1. Full
checkpoints of latent consistency models read it so (Luo et al. 2023, sec. 4.3): w, the scale above that of no
guidance.
"""

import math

import torch
from torch import Tensor


def embedded_scale(cfg_scale: float, width: int) -> Tensor:
    """Sines and cosines of 1000 w, with frequencies from 1 down to 1 / 10000, as diffusers and the authors have them.

    Args:
        cfg_scale: 1 + w.
        width: G, of the embedding; an odd one ends with 0.

    Returns:
        [1, G], float32 on the CPU.
    """
    half = width // 2
    steps = torch.arange(half, dtype=torch.float32) * -(math.log(10_000.0) / max(half - 1, 1))
    angles = torch.tensor(cfg_scale - 1, dtype=torch.float32) * 1000.0 * steps.exp()
    embedding = torch.cat([angles.sin(), angles.cos(), torch.zeros(width - 2 * half)])
    return embedding[None]
