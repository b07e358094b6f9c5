"""What every stage that learns to denoise latents shares: the noise schedule, the levels it learns at, the target."""

import torch
from diffusers import DDIMScheduler
from torch import Tensor


def scheduler() -> DDIMScheduler:
    """Stable Diffusion's noise schedule with v-prediction."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing="trailing",
    )


def diffuse(x0: Tensor, abars: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Noise a batch, and say what the UNet should answer.

    Args:
        x0: latents [B, C, H, W].
        abars: cumulative products of the schedule [T].
        rng: the source of all randomness.

    Returns:
        Noisy latents [B, C, H, W], their timesteps [B], and v (Salimans 2022, section 4) in the shape of the latents.
    """
    batch = len(x0)
    # One from each of ``batch`` parts of the range: less noise in the loss than from independent draws. The root
    # favours the noisy levels, where a picture has its shape decided by the text: two thirds fall into the upper half.
    level = ((torch.arange(batch) + torch.rand(batch, generator=rng)) / batch) ** 0.6
    timestep = (level * len(abars)).long()
    abar = abars[timestep].view(-1, 1, 1, 1)
    noise = torch.randn(x0.shape, generator=rng)
    x_t = abar.sqrt() * x0 + (1 - abar).sqrt() * noise
    return x_t, timestep, abar.sqrt() * noise - (1 - abar).sqrt() * x0
