"""Adapters against diffusers' own pipeline with PEFT."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.requests.samplers import SamplerName, ScheduleName
from jobs.resolve.request import resolve
from tests.worker.models.adapters import writing
from tests.worker.models.adapters.conftest import PX
from tests.worker.sampling.stock import stock_scheduler
from worker.calls import Decode
from worker.engine.runner import Runner
from worker.engine.solo import sampler_of
from worker.models.registry import ModelRegistry
from worker.sampling.inputs import SamplerInputs

pytestmark = pytest.mark.filterwarnings("ignore:Already found a `peft_config`")

SETS: dict[str, dict[str, float]] = {
    "one": {"all": 1.0},
    "half": {"attention": 0.5},
    "negative": {"all": -0.6},
    "two": {"all": 0.5, "attention": 1.3},
    "the unet's alone": {"unet": 1.0},
    "beyond what is stacked": {"large": 0.8, "all": 0.4},
    "a DoRA": {"dora": 1.0},
    "half a DoRA": {"dora": 0.5},
}


def ask(models: ModelRegistry, *adapters: dict[str, Any], **fields: Any) -> ResolvedRequest:
    wanted = {"model": "tiny", "prompt": "a fox", "steps": 6, "seed": 7, "negative_prompt": "grey", **fields}
    return resolve(GenerateRequest.model_validate({**wanted, "adapters": adapters}), models.catalog)


def latents_of(request: ResolvedRequest, models: ModelRegistry) -> Tensor:
    """The finished latents of a picture."""
    runner, sampler = Runner(models), sampler_of(request, models, SamplerInputs("pocket-m"))
    call = next(sampler)
    while not isinstance(call, Decode):
        call = sampler.send(runner.answer(call))
    return call.latents


@pytest.fixture(scope="module")
def pipeline(tiny_folder: Path, files: dict[str, Path], drafts: dict[str, writing.Draft]) -> Any:
    stock = StableDiffusionPipeline.from_pretrained(tiny_folder, safety_checker=None)
    stock.set_progress_bar_config(disable=True)
    config = dict(stock.scheduler.config)
    stock.scheduler = stock_scheduler((SamplerName.DDIM, ScheduleName.DEFAULT), config)
    for name, file in files.items():
        stock.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name=name)
    # transformers does not find the magnitudes in such a file, and takes the norms of its own weights for them.
    for layer, drawn in drafts["dora"]["text_encoder"].items():
        own = stock.text_encoder.get_submodule(layer).lora_magnitude_vector["dora"].weight
        own.data.copy_(drawn.magnitude)
    return stock


@pytest.mark.parametrize("named", SETS)
def test_it_draws_what_the_stock_pipeline_draws(named: str, pipeline: Any, adapted: ModelRegistry) -> None:
    weights = SETS[named]
    request = ask(adapted, *({"name": name, "weight": weight} for name, weight in weights.items()))
    pipeline.set_adapters(list(weights), list(weights.values()))
    theirs = pipeline(
        request.prompt,
        negative_prompt=request.negative_prompt,
        height=PX,
        width=PX,
        num_inference_steps=request.steps,
        guidance_scale=request.cfg_scale,
        latents=torch.randn(1, 4, PX // 2, PX // 2, generator=torch.Generator().manual_seed(request.seed)),
        output_type="latent",
    ).images
    ours = latents_of(request, adapted)
    plain = latents_of(ask(adapted), adapted)
    assert float((ours - theirs).abs().max()) < 2e-4
    assert float((ours - plain).abs().max()) > 0.01
