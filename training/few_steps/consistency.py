"""The maths of latent consistency distillation, as pure functions (Luo et al. 2023, arXiv:2310.04378).

Latents are x = a x0 + s eps with a^2 = abar of their timestep and s^2 = 1 - abar; the denoiser answers
v = a eps - s x0. The consistency function f(x, t) is the clean latents that the probability-flow ODE leads to from x
at timestep t. Latents have the shape [B, C, H, W], timesteps [B].
"""

import math

import torch
from torch import Tensor

# As the sampler has them: worker/sampling/solvers/consistency.py.
SIGMA_DATA = 0.5
TIMESTEP_SCALING = 10.0
# The levels that models of this kind are sampled at are some of these many, evenly spaced.
LEVELS = 50
# c of the pseudo-Huber loss for each root of a dimension (Song and Dhariwal 2023, arXiv:2310.14189, section 3.3).
HUBER = 0.00054


def drawn(batch: int, timesteps: int, rng: torch.Generator) -> Tensor:
    """Timesteps [B] among the levels, one from each of ``batch`` parts of the range.

    Args:
        batch: B.
        timesteps: of the noise schedule.
        rng: the source of all randomness.
    """
    # All alike. To favour the noisy ones, as the denoiser's training does, leaves one row in 200 at the clean end,
    # which alone says what is right, and pictures became speckled.
    share = (torch.arange(batch) + torch.rand(batch, generator=rng)) / batch
    level = (share * LEVELS).long().clamp(max=LEVELS - 1)
    return (level + 1) * (timesteps // LEVELS) - 1


def noised(x0: Tensor, timestep: Tensor, abars: Tensor, rng: torch.Generator) -> Tensor:
    """Clean latents with noise.

    Args:
        x0: clean latents.
        timestep: of each.
        abars: cumulative products of the schedule [T].
        rng: the source of all randomness.
    """
    a, s = _scales(timestep, abars)
    return a * x0 + s * torch.randn(x0.shape, generator=rng)


def guided(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance (Ho 2022, eq. 6, plus 1), a scale of 1 being none."""
    return unconditional + scale * (conditional - unconditional)


def solved(x: Tensor, v: Tensor, timestep: Tensor, earlier: Tensor, abars: Tensor) -> Tensor:
    """One step of DDIM along the ODE (Song 2021, eq. 12, without fresh noise).

    Args:
        x: latents.
        v: the teacher's answer to them.
        timestep: theirs.
        earlier: where the step leads, of each.
        abars: cumulative products of the schedule [T].
    """
    a, s = _scales(timestep, abars)
    a_next, s_next = _scales(earlier, abars)
    return a_next * (a * x - s * v) + s_next * (s * x + a * v)


def consistent(x: Tensor, v: Tensor, timestep: Tensor, abars: Tensor) -> Tensor:
    """The consistency function f = c_skip x + c_out x0 (eq. 9), which is x itself at timestep 0.

    Args:
        x: latents.
        v: the student's answer to them.
        timestep: theirs.
        abars: cumulative products of the schedule [T].
    """
    a, s = _scales(timestep, abars)
    t = TIMESTEP_SCALING * timestep.float().view(-1, 1, 1, 1)
    c_skip = SIGMA_DATA**2 / (t**2 + SIGMA_DATA**2)
    c_out = t / (t**2 + SIGMA_DATA**2).sqrt()
    f: Tensor = c_skip * x + c_out * (a * x - s * v)
    return f


def pseudo_huber(made: Tensor, wanted: Tensor) -> Tensor:
    """Distance of rows, squared where it is small: the mean of sqrt(d^2 + c^2) - c, for each root of a dimension."""
    size = math.sqrt(made[0].numel())
    distance = (made - wanted).flatten(1).norm(dim=1) / size
    loss: Tensor = ((distance**2 + HUBER**2).sqrt() - HUBER).mean()
    return loss


def _scales(timestep: Tensor, abars: Tensor) -> tuple[Tensor, Tensor]:
    """Of signal and noise, [B, 1, 1, 1]."""
    abar = abars[timestep].view(-1, 1, 1, 1)
    return abar.sqrt(), (1 - abar).sqrt()
