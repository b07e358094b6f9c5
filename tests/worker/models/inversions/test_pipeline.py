"""Textual inversions against diffusers' own pipeline."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from jobs.requests.samplers import SamplerName, ScheduleName
from tests.worker.models.adapters.conftest import PX
from tests.worker.models.adapters.test_pipeline import ask, latents_of
from tests.worker.models.inversions.conftest import WORDS
from tests.worker.sampling.stock import stock_scheduler
from worker.models.registry import ModelRegistry

# By name: a prompt, a negative prompt, and an adapter.
ASKED: dict[str, tuple[str, str, dict[str, float]]] = {
    "one vector": ("a photo of sks on grass", "grey", {}),
    "several vectors": ("a <cat-toy>, a fox and another <cat-toy>", "grey", {}),
    "several words": ("sks beside <cat-toy>", "grey", {}),
    "in the negative prompt": ("a fox", "blob, grey", {}),
    "with an adapter of the text encoder": ("a photo of <cat-toy>", "blob", {"all": 0.8}),
}


@pytest.fixture(scope="module")
def pipeline(tiny_folder: Path, files: dict[str, Path], vectors: dict[str, Tensor]) -> Any:
    stock = StableDiffusionPipeline.from_pretrained(tiny_folder, safety_checker=None)
    stock.set_progress_bar_config(disable=True)
    config = dict(stock.scheduler.config)
    stock.scheduler = stock_scheduler((SamplerName.DDIM, ScheduleName.DEFAULT), config)
    # Its tokenizer would read the longer word as the shorter one.
    for word in set(WORDS) - {"sks-blob"}:
        stock.load_textual_inversion({word: vectors[word]})
    stock.load_lora_weights(str(files["all"].parent), weight_name=files["all"].name, adapter_name="all")
    return stock


@pytest.mark.parametrize("named", ASKED)
def test_it_draws_what_the_stock_pipeline_draws(named: str, pipeline: Any, inverted: ModelRegistry) -> None:
    prompt, negative, weights = ASKED[named]
    adapters = [{"name": name, "weight": weight} for name, weight in weights.items()]
    request = ask(inverted, *adapters, prompt=prompt, negative_prompt=negative)
    pipeline.set_adapters("all", weights.get("all", 0.0))
    theirs = pipeline(
        prompt,
        negative_prompt=negative,
        height=PX,
        width=PX,
        num_inference_steps=request.steps,
        guidance_scale=request.cfg_scale,
        latents=torch.randn(1, 4, PX // 2, PX // 2, generator=torch.Generator().manual_seed(request.seed)),
        output_type="latent",
    ).images
    ours = latents_of(request, inverted)
    unlearned = request.model_copy(update={"model": "unlearned"})
    assert float((ours - theirs).abs().max()) < 2e-4
    assert float((ours - latents_of(unlearned, inverted)).abs().max()) > 1e-3
