"""Runs that start from pictures, and the latents that they end with."""

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from jobs.catalog.catalog import Catalog
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.resolve.request import resolve
from tests.brought_pictures import scene
from tests.worker.presets import at_every_step
from worker.calls import Decode
from worker.canvas import Canvas, canvas_of
from worker.engine.runner import Runner
from worker.engine.solo import sampler_of
from worker.events import Yield
from worker.models.registry import ModelRegistry
from worker.pictures.levels import levels
from worker.pictures.masking import canvas_for
from worker.pictures.picture import Picture
from worker.sampling.inputs import SamplerInputs

KEPT = "sha256:" + 64 * "0"  # stands for a picture that a test hands to the sampler itself
MASK = "sha256:" + 64 * "1"


def mask_of(left: int, top: int, right: int, bottom: int, side: int = 64) -> torch.Tensor:
    """White in a box, black elsewhere, as a mask is kept: uint8 [3, H, W]."""
    mask = torch.zeros(3, side, side, dtype=torch.uint8)
    mask[:, top:bottom, left:right] = 255
    return mask


BOX = mask_of(16, 24, 48, 56)


def canvas(width: int = 64, height: int | None = None) -> Canvas:
    """A smooth picture."""
    return canvas_of(torch.from_numpy(np.array(scene(width, height or width))).permute(2, 0, 1))


def canvas_with(
    request: ResolvedRequest, mask: torch.Tensor = BOX, picture: Image.Image | None = None
) -> Canvas:
    made = canvas_for(request, {KEPT: levels(picture or scene(64, 64)), MASK: mask})
    assert made is not None
    return made


def from_picture(catalog: Catalog, strength: float, **fields: Any) -> ResolvedRequest:
    """A request that starts from a picture."""
    init = {"image": KEPT, "strength": strength} | fields.pop("init", {})
    asked = {"prompt": "a red apple", "seed": 7, "steps": 10, "init": init} | at_every_step(fields)
    return resolve(GenerateRequest.model_validate(asked), catalog)


def run(
    request: ResolvedRequest,
    models: ModelRegistry,
    index: int = 0,
    seen: list[Yield] | None = None,
    start: Canvas | None = None,
) -> Picture:
    """Drive a sampler alone, as the engine would."""
    runner, inputs = Runner(models), SamplerInputs("pocket-m", canvas=start or canvas(request.width))
    sampler = sampler_of(request, models, inputs, index)
    call = next(sampler)
    while True:
        if seen is not None:
            seen.append(call)
        try:
            call = sampler.send(runner.answer(call))
        except StopIteration as end:
            picture: Picture = end.value
            return picture


def latents(request: ResolvedRequest, models: ModelRegistry) -> Tensor:
    """The latents that a run ends with, [1, C, h, w]."""
    seen: list[Yield] = []
    run(request, models, seen=seen)
    last = [call for call in seen if isinstance(call, Decode)][-1]
    return last.latents
