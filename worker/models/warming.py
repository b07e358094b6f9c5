"""Runs a diffusion model once as its default request does, so that no job waits for what a device does once."""

import time

import structlog
import torch

from jobs.catalog.models import ModelCard
from worker.models.failures import is_out_of_memory
from worker.models.families.denoiser import Denoiser
from worker.models.rows import blank

log = structlog.get_logger(__name__)


def warm_up(model: Denoiser, card: ModelCard) -> None:
    """Denoise and decode one picture of the default size, with classifier-free guidance.

    CUDA loads its kernels and chooses its algorithms at the first call of a shape, and a network may have to be
    compiled. A CPU without a compiled network has nothing of the kind, and would spend two full steps. A CLIP needs
    none: the call that tries it out has a job's shape.

    Args:
        model: in memory.
        card: its defaults.
    """
    factor, started = model.facts.latent_factor, time.monotonic()
    size, device = (card.height // factor, card.width // factor), model.facts.device
    latents = torch.zeros(1, model.facts.latent_channels, *size, device=device)
    try:
        contexts = model.encode_texts(["", ""]).split(1)
        rows = tuple(blank(model.facts.row, context, size, weight=0.5) for context in contexts)
        model.prepare(latents, torch.tensor([500], device=device), model.rows([rows]))
        model.render(latents)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        log.warning("no memory to warm a model up; smaller pictures may fit", model=card.id)
        return
    log.info("warmed up", model=card.id, seconds=round(time.monotonic() - started, 2))
