"""One picture from start to end, with the pocket models."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
)

from jobs.request import ResolvedRequest, SamplerName
from tests.worker.conftest import ROOT
from worker.calls import Call, Denoise, Guide
from worker.models.registry import ModelRegistry
from worker.runner import Runner
from worker.sampler import Picture, sample

Ask = Callable[..., ResolvedRequest]


def run(
    request: ResolvedRequest, models: ModelRegistry, index: int = 0, seen: list[Call] | None = None
) -> Picture:
    """Drive a sampler alone, as the engine would."""
    runner = Runner(models)
    sampler = sample(request, index, request.guidance.clip if request.guidance else "pocket-m")
    call = next(sampler)
    while True:
        if seen is not None:
            seen.append(call)
        try:
            call = sampler.send(runner.answer(call))
        except StopIteration as end:
            picture: Picture = end.value
            return picture


STOCK: dict[SamplerName, Any] = {
    SamplerName.DDIM: DDIMScheduler,
    SamplerName.EULER: EulerDiscreteScheduler,
    SamplerName.EULER_ANCESTRAL: EulerAncestralDiscreteScheduler,
    SamplerName.DPMPP_2M: DPMSolverMultistepScheduler,
}


@pytest.mark.parametrize("name", list(SamplerName))
def test_without_guidance_it_draws_what_the_stock_pipeline_draws(
    name: SamplerName, models: ModelRegistry, ask: Ask
) -> None:
    request = ask(sampler=name, steps=6, negative_prompt="grey")
    pipeline = StableDiffusionPipeline.from_pretrained(ROOT / "models" / "pocket").to(torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = STOCK[name].from_config(pipeline.scheduler.config)
    stock = pipeline(
        request.prompt,
        negative_prompt=request.negative_prompt,
        num_inference_steps=request.steps,
        guidance_scale=request.cfg_scale,
        generator=torch.Generator().manual_seed(request.seed),
        output_type="np",
    ).images[0]
    ours = run(request, models).pixels.numpy().transpose(1, 2, 0)
    assert np.abs(ours - stock).max() < 2 / 255


def test_the_same_seed_gives_the_same_picture_and_another_seed_another(
    models: ModelRegistry, ask: Ask
) -> None:
    guided = {"guidance": {"cutouts": 4}}
    one, two, other = (run(ask(seed=seed, **guided), models).pixels for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_picture_n_of_a_job_is_the_first_picture_of_the_nth_seed(models: ModelRegistry, ask: Ask) -> None:
    third = run(ask(seed=5, images=3), models, index=2)
    assert third.seed == 7
    assert torch.equal(third.pixels, run(ask(seed=7), models).pixels)


def test_guidance_of_scale_zero_changes_nothing_and_costs_nothing(models: ModelRegistry, ask: Ask) -> None:
    seen: list[Call] = []
    guided = run(ask(guidance={"scale": 0}), models, seen=seen)
    assert not any(isinstance(call, Guide) for call in seen)
    assert torch.equal(guided.pixels, run(ask(), models).pixels)


def test_a_guided_picture_takes_one_gradient_a_step_with_as_many_views_as_asked(
    models: ModelRegistry, ask: Ask
) -> None:
    seen: list[Call] = []
    run(ask(guidance={"cutouts": 5}), models, seen=seen)
    gradients = [call for call in seen if isinstance(call, Guide)]
    assert [len(call.views) for call in gradients] == [5] * 4


def test_guidance_raises_the_similarity_to_the_text(models: ModelRegistry, ask: Ask) -> None:
    plain = run(ask(steps=15), models)
    guided = run(ask(steps=15, guidance={"scale": 0.2, "cutouts": 16}), models)
    assert guided.clip_score > plain.clip_score


def test_guidance_can_steer_towards_another_text_than_the_prompt(models: ModelRegistry, ask: Ask) -> None:
    clip = models.clip("pocket-m")
    text = clip.embed_text("a blue fish")
    plain = run(ask(steps=15), models)
    steered = run(ask(steps=15, guidance={"prompt": "a blue fish", "scale": 0.3, "cutouts": 16}), models)
    assert clip.score(steered.pixels, text) > clip.score(plain.pixels, text)
    assert steered.pixels.shape == (3, 64, 64)


def test_a_cfg_scale_of_one_saves_the_unconditional_half(models: ModelRegistry, ask: Ask) -> None:
    seen: list[Call] = []
    run(ask(cfg_scale=1), models, seen=seen)
    assert all(call.unconditional is None for call in seen if isinstance(call, Denoise))


@pytest.mark.parametrize(("width", "height"), [(96, 64), (64, 80)])
def test_oblong_pictures_can_be_guided(width: int, height: int, models: ModelRegistry, ask: Ask) -> None:
    picture = run(ask(width=width, height=height, guidance={"cutouts": 4}), models)
    assert picture.pixels.shape == (3, height, width)
    assert picture.pixels.isfinite().all()
