"""Asks a diffusion model as the engine does, one row for each picture; or reaches into the pocket model."""

import torch
from torch import Tensor

from jobs.prompts.prompt import plain
from worker.models.families.denoiser import Denoiser
from worker.models.families.stable_diffusion import StableDiffusion
from worker.models.registry import ModelRegistry
from worker.rows import Row


def predicted(model: Denoiser, latents: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
    """The UNet's output for latents [N, C, h, w] at timesteps [N] under contexts [N, L, D]."""
    return model.predict(latents, timesteps, model.rows([(Row(each),) for each in context.split(1)]))


def predicted_with(model: Denoiser, text: str, numbers: Tensor) -> Tensor:
    """The UNet's output for latents of a seed, a text and the numbers [1, n] after its pooled state."""
    (states,) = model.encode([plain(text)])
    assert states.pooled is not None
    row = Row(states.context, vector=torch.cat([states.pooled, numbers], dim=1))
    latents = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    return model.predict(latents, torch.tensor([500]), model.rows([(row,)]))


def pocket_of(models: ModelRegistry) -> StableDiffusion:
    """The pocket model, with its parts."""
    model = models.diffusion("pocket")
    assert isinstance(model, StableDiffusion)
    return model
