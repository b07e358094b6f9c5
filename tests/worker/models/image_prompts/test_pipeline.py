"""Image prompts against diffusers' own pipeline."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from torch import Tensor
from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.requests.samplers import SamplerName, ScheduleName
from jobs.resolve.request import resolve
from tests.worker.models.image_prompts.conftest import PX
from tests.worker.sampling.stock import stock_scheduler
from worker.calls import Decode
from worker.engine.runner import Runner
from worker.engine.solo import sampler_of
from worker.models.registry import ModelRegistry
from worker.pictures.squares import squares_for
from worker.sampling.inputs import SamplerInputs

FOX, OWL = (f"sha256:{digit * 64}" for digit in "01")
LEVELS = {
    name: torch.randint(0, 256, (3, PX, PX), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    for seed, name in enumerate((FOX, OWL))
}
SETS: dict[str, list[dict[str, Any]]] = {
    "one": [{"image": FOX}],
    "weak": [{"image": FOX, "weight": 0.4}],
    "two": [{"image": FOX, "weight": 0.7}, {"image": OWL, "weight": 0.7}],
    "a window": [{"image": FOX, "start": 0.2, "end": 0.7}],
    "plus": [{"image": FOX, "adapter": "plus"}],
    "two of plus": [{"image": FOX, "adapter": "plus"}, {"image": OWL, "adapter": "plus"}],
    "several adapters": [
        {"image": FOX, "adapter": "base", "weight": 0.6},
        {"image": OWL, "adapter": "other", "weight": 1.2},
        {"image": OWL, "adapter": "plus", "weight": 0.3},
    ],
}


def ask(models: ModelRegistry, *prompts: dict[str, Any], **fields: Any) -> ResolvedRequest:
    wanted = {"model": "tiny", "prompt": "a fox", "steps": 6, "seed": 7, "negative_prompt": "grey", **fields}
    return resolve(GenerateRequest.model_validate({**wanted, "image_prompts": prompts}), models.catalog)


def inputs_of(request: ResolvedRequest) -> SamplerInputs:
    return SamplerInputs("pocket-m", image_prompts=squares_for(request, LEVELS))


def latents_of(request: ResolvedRequest, models: ModelRegistry) -> Tensor:
    """The finished latents of a picture."""
    runner, sampler = Runner(models), sampler_of(request, models, inputs_of(request))
    call = next(sampler)
    while not isinstance(call, Decode):
        call = sampler.send(runner.answer(call))
    return call.latents


def picture(name: str) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(LEVELS[name].permute(1, 2, 0).numpy()))


def stock(places: dict[str, Path], adapters: list[str], kind: Any = StableDiffusionPipeline) -> Any:
    """A pipeline of diffusers with adapters."""
    pipeline = kind.from_pretrained(
        places["tiny"],
        safety_checker=None,
        image_encoder=CLIPVisionModelWithProjection.from_pretrained(places["encoder"]),
        feature_extractor=CLIPImageProcessor(size=PX, crop_size=PX),
    )
    pipeline.set_progress_bar_config(disable=True)
    config = dict(pipeline.scheduler.config)
    pipeline.scheduler = stock_scheduler((SamplerName.DDIM, ScheduleName.DEFAULT), config)
    names = [places[name].name for name in adapters]
    pipeline.load_ip_adapter(str(places["base"].parent), subfolder="", weight_name=names)
    return pipeline


@pytest.mark.parametrize("scale", [1, 5])
@pytest.mark.parametrize("named", SETS)
def test_it_draws_what_the_stock_pipeline_draws(
    named: str, scale: int, places: dict[str, Path], prompted: ModelRegistry
) -> None:
    request = ask(prompted, *SETS[named], cfg_scale=scale)
    by_adapter: dict[str, list[Any]] = {}
    for prompt in request.image_prompts:
        by_adapter.setdefault(str(prompt.adapter), []).append(prompt)
    pipeline = stock(places, list(by_adapter))

    def begin(step: int) -> None:
        firsts = [its[0] for its in by_adapter.values()]
        active = [each.weight if each.is_active(step, request.steps) else 0.0 for each in firsts]
        pipeline.set_ip_adapter_scale(active)

    def end(_pipeline: Any, step: int, _time: int, kept: dict[str, Any]) -> dict[str, Any]:
        begin(step + 1)
        return kept

    begin(0)
    theirs = pipeline(
        request.prompt,
        negative_prompt=request.negative_prompt,
        ip_adapter_image=[[picture(each.image) for each in its] for its in by_adapter.values()],
        height=PX,
        width=PX,
        num_inference_steps=request.steps,
        guidance_scale=request.cfg_scale,
        latents=torch.randn(1, 4, PX // 2, PX // 2, generator=torch.Generator().manual_seed(request.seed)),
        callback_on_step_end=end,
        output_type="latent",
    ).images
    ours, plain = latents_of(request, prompted), latents_of(ask(prompted, cfg_scale=scale), prompted)
    assert float((ours - theirs).abs().max()) < 2e-4
    assert float((ours - plain).abs().max()) > 0.01
