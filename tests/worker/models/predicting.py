"""Asks a diffusion model as the engine does, one row for each picture; or reaches into the pocket model."""

from torch import Tensor

from worker.models.families.denoiser import Denoiser
from worker.models.families.stable_diffusion import StableDiffusion
from worker.models.registry import ModelRegistry
from worker.rows import Row


def predicted(model: Denoiser, latents: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
    """The UNet's output for latents [N, C, h, w] at timesteps [N] under contexts [N, L, D]."""
    return model.predict(latents, timesteps, model.rows([(Row(each),) for each in context.split(1)]))


def pocket_of(models: ModelRegistry) -> StableDiffusion:
    """The pocket model, with its parts."""
    model = models.diffusion("pocket")
    assert isinstance(model, StableDiffusion)
    return model
