"""What inpainting UNets read beside the latents: where to paint, and the rest of the picture."""

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from jobs.requests.start.plan import Pass
from worker.calls import Encode
from worker.canvas import Canvas, canvas_of
from worker.events import Yield
from worker.facts import ModelFacts
from worker.sampling.sources.source import latent_levels


def inpainting_channels(
    model_id: str, model: ModelFacts, canvas: Canvas | None, part: Pass
) -> Generator[Yield, Any, Tensor | None]:
    """The mask, 1 where to paint, and the latents of the picture with mid-grey there, [1, 1 + C, h, w] on the device.

    In this order, as Stable Diffusion's inpainting checkpoints read them (Rombach et al. 2022, sec. 4.5; runwayml
    2022). Without a mask all is to be painted, and nothing of a picture is told. None for a model that reads no such
    channels.

    Args:
        model_id: of the catalog.
        model: its facts.
        canvas: that the run starts from; its mask is the only one.
        part: the pass, which is as large.
    """
    if not model.sees_hole:
        return None
    if canvas is None or canvas.mask is None:
        canvas = canvas_of(torch.zeros(3, part.height, part.width, dtype=torch.uint8))
    masked = canvas.masked()
    latents: Tensor = yield Encode(model_id, masked)
    assert masked.hidden is not None
    mask = latent_levels(255 * masked.hidden.to(torch.uint8), model.latent_factor)
    return torch.cat([mask.to(latents), latents], dim=1)
