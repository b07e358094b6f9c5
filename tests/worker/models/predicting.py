"""Asks a diffusion model as the engine does, one row for each picture."""

from torch import Tensor

from worker.models.diffusion import DiffusionModel
from worker.rows import Row


def predicted(model: DiffusionModel, latents: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
    """The UNet's output for latents [N, C, h, w] at timesteps [N] under contexts [N, L, D]."""
    return model.predict(latents, timesteps, model.rows([(Row(each),) for each in context.split(1)]))
