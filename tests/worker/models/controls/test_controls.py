"""ControlNets against diffusers' own pipeline, and jobs with and without them in one batch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel, StableDiffusionControlNetPipeline
from PIL import Image
from torch import Tensor

from jobs.errors import InvalidRequestError, ModelUnavailableError
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.requests.samplers import SamplerName, ScheduleName
from jobs.resolve.request import resolve
from tests.worker.models.controls.conftest import PX
from tests.worker.running import TOLERANCE, Running, pictures
from tests.worker.sampling.stock import stock_scheduler
from worker.calls import Decode
from worker.engine.runner import Runner
from worker.engine.solo import generate, sampler_of
from worker.engine.work import Failed, Work
from worker.models.registry import ModelRegistry
from worker.pictures.hints import hints_for
from worker.pictures.inputs import Inputs
from worker.rows import Emphasis
from worker.sampling.inputs import SamplerInputs

MAP = f"sha256:{'0' * 64}"
OTHER = f"sha256:{'1' * 64}"
LEVELS = {
    name: torch.randint(0, 256, (3, PX, PX), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    for seed, name in enumerate((MAP, OTHER))
}
SETS: dict[str, list[dict[str, Any]]] = {
    "one": [{"model": "edges", "image": MAP}],
    "weak": [{"model": "edges", "image": MAP, "weight": 0.4}],
    "two": [
        {"model": "edges", "image": MAP, "weight": 0.7},
        {"model": "turned", "image": OTHER, "weight": 1.3},
    ],
    "a window": [{"model": "edges", "image": MAP, "start": 0.2, "end": 0.7}],
    "two windows": [
        {"model": "edges", "image": MAP, "end": 0.5},
        {"model": "turned", "image": OTHER, "start": 0.5},
    ],
    "guess": [{"model": "edges", "image": MAP, "mode": "guess"}],
}


def ask(models: ModelRegistry, *controls: dict[str, Any], **fields: Any) -> ResolvedRequest:
    wanted = {"model": "tiny", "prompt": "a fox", "steps": 6, "seed": 7, "negative_prompt": "grey", **fields}
    return resolve(GenerateRequest.model_validate({**wanted, "controls": controls}), models.catalog)


def inputs_of(request: ResolvedRequest) -> SamplerInputs:
    return SamplerInputs("pocket-m", hints=hints_for(request, LEVELS, None))


def latents_of(request: ResolvedRequest, models: ModelRegistry) -> Tensor:
    """The finished latents of a picture."""
    runner, sampler = Runner(models), sampler_of(request, models, inputs_of(request))
    call = next(sampler)
    while not isinstance(call, Decode):
        call = sampler.send(runner.answer(call))
    return call.latents


def picture(name: str) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(LEVELS[name].permute(1, 2, 0).numpy()))


@pytest.fixture(scope="module")
def networks(folders: dict[str, Path]) -> dict[str, Any]:
    return {name: ControlNetModel.from_pretrained(folders[name]) for name in ("edges", "turned")}


@pytest.mark.parametrize("named", SETS)
def test_it_draws_what_the_stock_pipeline_draws(
    named: str, networks: dict[str, Any], folders: dict[str, Path], controlled: ModelRegistry
) -> None:
    controls = SETS[named]
    request = ask(controlled, *controls)
    pipeline = StableDiffusionControlNetPipeline.from_pretrained(
        folders["tiny"], controlnet=[networks[each["model"]] for each in controls], safety_checker=None
    )
    pipeline.set_progress_bar_config(disable=True)
    config = dict(pipeline.scheduler.config)
    pipeline.scheduler = stock_scheduler((SamplerName.DDIM, ScheduleName.DEFAULT), config)
    theirs = pipeline(
        request.prompt,
        image=[picture(each["image"]) for each in controls],
        negative_prompt=request.negative_prompt,
        height=PX,
        width=PX,
        num_inference_steps=request.steps,
        guidance_scale=request.cfg_scale,
        controlnet_conditioning_scale=[float(each.get("weight", 1)) for each in controls],
        control_guidance_start=[each.get("start", 0.0) for each in controls],
        control_guidance_end=[each.get("end", 1.0) for each in controls],
        guess_mode=any(each.get("mode") == "guess" for each in controls),
        latents=torch.randn(1, 4, PX // 2, PX // 2, generator=torch.Generator().manual_seed(request.seed)),
        output_type="latent",
    ).images
    ours, plain = latents_of(request, controlled), latents_of(ask(controlled), controlled)
    assert float((ours - theirs).abs().max()) < 2e-4
    assert float((ours - plain).abs().max()) > 0.01


def test_jobs_with_and_without_controls_share_batches_and_are_what_they_are_alone(
    controlled: ModelRegistry,
) -> None:
    requests = [
        ask(controlled, *controls, cfg_scale=scale) for controls in (*SETS.values(), []) for scale in (1, 5)
    ]
    requests.append(
        ask(controlled, {"model": "edges", "image": MAP}, guidance={"cutouts": 2, "clip": "pocket-m"})
    )
    running = Running(controlled)
    for number, request in enumerate(requests):
        hints = hints_for(request, LEVELS, None)
        running.engine.admit(Work(str(number), request, Inputs(hints=hints)))
    outcomes = running.wait_for(*(str(number) for number in range(len(requests))))
    running.stop()
    for request, outcome in zip(requests, outcomes, strict=True):
        alone = generate(request, Runner(controlled), inputs_of(request))
        assert torch.allclose(alone.pixels, pictures(outcome)[0], atol=TOLERANCE)


def test_rows_without_a_control_keep_their_bits(controlled: ModelRegistry) -> None:
    plain = ask(controlled)
    model = controlled.diffusion("tiny")
    rows = {
        each: sampler_rows(request, controlled)
        for each, request in (("plain", plain), ("edges", ask(controlled, *SETS["one"])))
    }
    latents = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0)).expand(2, -1, -1, -1)
    times = torch.tensor([500, 500])
    mixed = model.predict(latents, times, model.rows([rows["plain"], rows["edges"]], controlled))
    alone = model.predict(latents, times, model.rows([rows["plain"], rows["plain"]], controlled))
    assert torch.equal(mixed[:2], alone[:2])
    assert not torch.allclose(mixed[2:], alone[2:], atol=1e-3)


def sampler_rows(request: ResolvedRequest, models: ModelRegistry) -> Any:
    """The rows of a picture's first step."""
    runner, sampler = Runner(models), sampler_of(request, models, inputs_of(request))
    call = next(sampler)
    while not hasattr(call, "rows"):
        call = sampler.send(runner.answer(call))
    return call.rows


def test_gradients_go_back_through_the_controls(controlled: ModelRegistry) -> None:
    model, rng = controlled.diffusion("tiny"), torch.Generator().manual_seed(0)
    rows = model.rows([sampler_rows(ask(controlled, *SETS["two"], cfg_scale=1), controlled)], controlled)
    latents, given = (torch.randn(1, 4, 16, 16, generator=rng) for _ in range(2))
    step, time = 1e-2 * torch.randn(1, 4, 16, 16, generator=rng), torch.tensor([500])
    pulled = model.pull_back(latents, time, rows, given)
    ahead, behind = (model.predict(latents + sign * step, time, rows) for sign in (1, -1))
    assert torch.allclose((pulled * step).sum(), ((ahead - behind) / 2 * given).sum(), atol=2e-3)


def test_a_control_of_another_model_is_refused_before_its_first_step(controlled: ModelRegistry) -> None:
    request = ask(controlled, {"model": "wider", "image": MAP})
    running = Running(controlled)
    running.engine.admit(Work("a", request, Inputs(hints=hints_for(request, LEVELS, None))))
    (outcome,) = running.wait_for("a")
    running.stop()
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, ModelUnavailableError)
    assert "control 'wider' was made for another model: its block_out_channels is" in outcome.error.message


@pytest.mark.parametrize(
    ("control", "field", "reason"),
    [
        ({"model": "none"}, "controls.0.model", "it holds: edges, turned, wider"),
        ({"model": "edges", "start": 0.5, "end": 0.5}, "controls.0.start", "no step of 6"),
        ({"model": "edges", "low": 300}, "controls.0.low", "low up to high"),
    ],
)
def test_what_no_control_can_do_is_refused(
    control: dict[str, Any], field: str, reason: str, controlled: ModelRegistry
) -> None:
    with pytest.raises(InvalidRequestError, match=reason) as refused:
        ask(controlled, {"image": MAP, **control})
    assert refused.value.field == field


@pytest.mark.parametrize("emphasis", Emphasis)
def test_the_middle_has_the_whole_weight(emphasis: Emphasis) -> None:
    scales = emphasis.scales(0.8, 12)
    assert len(scales) == 13
    assert scales[-1] == pytest.approx(0.8)
    assert scales == sorted(scales)


def test_a_second_pass_reads_a_map_of_its_own_size(controlled: ModelRegistry) -> None:
    request = ask(controlled, *SETS["one"], hires={"scale": 2, "strength": 0.5})
    hints = hints_for(request, LEVELS, None)
    assert {size: maps[0].shape for size, maps in hints.items()} == {
        (PX, PX): (3, PX, PX),
        (2 * PX, 2 * PX): (3, 2 * PX, 2 * PX),
    }
    assert latents_of(request, controlled).shape == (1, 4, PX, PX)
