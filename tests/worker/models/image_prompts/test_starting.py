"""Image prompts of runs that start from a picture, or paint a part of one, against diffusers' own pipelines."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline
from diffusers.pipelines.stable_diffusion import (
    pipeline_stable_diffusion_img2img,
    pipeline_stable_diffusion_inpaint,
)
from PIL import Image
from torch import Tensor

from jobs.requests.request import ResolvedRequest
from tests.brought_pictures import scene
from tests.worker.models.image_prompts.conftest import PX
from tests.worker.models.image_prompts.test_pipeline import FOX, LEVELS, ask, picture, stock
from worker.calls import Decode
from worker.engine.runner import Runner
from worker.engine.solo import sampler_of
from worker.models.registry import ModelRegistry
from worker.pictures.levels import levels
from worker.pictures.masking import canvas_for
from worker.pictures.squares import squares_for
from worker.sampling.inputs import SamplerInputs

START, PART = (f"sha256:{digit * 64}" for digit in "23")
HALF = torch.zeros(3, PX, PX, dtype=torch.uint8)
HALF[:, :, : PX // 2] = 255
ALL = {**LEVELS, START: levels(scene(PX, PX)), PART: HALF}
WEIGHT, STRENGTH = 0.8, 0.6


def drawn(models: ModelRegistry, *prompts: dict[str, Any], **fields: Any) -> tuple[ResolvedRequest, Tensor]:
    """A request that starts from the scene, and the finished latents of its picture."""
    request = ask(models, *prompts, init={"image": START, "strength": STRENGTH}, cfg_scale=5, **fields)
    inputs = SamplerInputs(
        "pocket-m", canvas=canvas_for(request, ALL), image_prompts=squares_for(request, ALL)
    )
    runner, sampler = Runner(models), sampler_of(request, models, inputs)
    call = next(sampler)
    while not isinstance(call, Decode):
        call = sampler.send(runner.answer(call))
    return request, call.latents


@pytest.mark.parametrize("part", ["all of it", "a half"])
def test_it_draws_what_the_stock_pipeline_draws(
    part: str, places: dict[str, Path], prompted: ModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_masked = part == "a half"
    fields = {"mask": {"image": PART}} if is_masked else {}
    request, ours = drawn(prompted, {"image": FOX, "weight": WEIGHT}, **fields)
    for module in (pipeline_stable_diffusion_img2img, pipeline_stable_diffusion_inpaint):
        monkeypatch.setattr(module, "retrieve_latents", lambda encoded, generator: encoded.latent_dist.mode())
    kind = StableDiffusionInpaintPipeline if is_masked else StableDiffusionImg2ImgPipeline
    pipeline = stock(places, ["base"], kind)
    pipeline.set_ip_adapter_scale(WEIGHT)
    mask = Image.fromarray(np.ascontiguousarray(HALF.permute(1, 2, 0).numpy()))
    theirs = pipeline(
        request.prompt,
        image=scene(PX, PX),
        **({"mask_image": mask, "width": PX, "height": PX} if is_masked else {}),
        negative_prompt=request.negative_prompt,
        ip_adapter_image=picture(FOX),
        strength=STRENGTH,
        num_inference_steps=request.steps,
        guidance_scale=request.cfg_scale,
        generator=torch.Generator().manual_seed(request.seed),
        output_type="latent",
    ).images
    plain = drawn(prompted, **fields)[1]
    assert float((ours - theirs).abs().max()) < 2e-4
    assert float((ours - plain).abs().max()) > 0.01
