"""One picture from start to end."""

import base64
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

from jobs.requests.presets import PRESETS, PresetName
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.requests.samplers import SamplerName
from jobs.resolve.request import resolve
from jobs.storage.artifacts import ArtifactStore
from tests.worker.conftest import ROOT
from tests.worker.sampling.stock import SAMPLINGS, Sampling, stock_scheduler
from worker.calls import Decode, Denoise, Guide
from worker.engine.runner import Runner
from worker.engine.solo import sampler_of
from worker.events import Preview, Stepped, Yield
from worker.models.registry import ModelRegistry
from worker.pictures.picture import Picture
from worker.pictures.read import read_named
from worker.sampling.inputs import SamplerInputs

Ask = Callable[..., ResolvedRequest]


def run(
    request: ResolvedRequest,
    models: ModelRegistry,
    index: int = 0,
    seen: list[Yield] | None = None,
    pictures: Mapping[str, torch.Tensor] | None = None,
) -> Picture:
    """Drive a sampler alone, as the engine would."""
    runner = Runner(models)
    scorer = request.guidance.clip if request.guidance else "pocket-m"
    sampler = sampler_of(request, models, SamplerInputs(scorer, pictures=pictures or {}), index)
    call = next(sampler)
    while True:
        if seen is not None:
            seen.append(call)
        try:
            call = sampler.send(runner.answer(call))
        except StopIteration as end:
            picture: Picture = end.value
            return picture


def pipeline_of(folder: Path) -> StableDiffusionPipeline:
    stock = StableDiffusionPipeline.from_pretrained(folder).to(torch.float32)
    stock.set_progress_bar_config(disable=True)
    return stock


@pytest.fixture(scope="module")
def tiny_pipeline(tiny: Path) -> StableDiffusionPipeline:
    return pipeline_of(tiny)


def stock_picture(
    request: ResolvedRequest, models: ModelRegistry, pipeline: StableDiffusionPipeline, output: str
) -> Any:
    """What the pipeline of diffusers makes of a request."""
    sampling = request.sampler, request.schedule
    pipeline.scheduler = stock_scheduler(sampling, models.diffusion(request.model).facts.scheduler_config)
    return pipeline(
        request.prompt,
        negative_prompt=request.negative_prompt,
        num_inference_steps=request.steps,
        guidance_scale=request.cfg_scale,
        generator=torch.Generator().manual_seed(request.seed),
        output_type=output,
    ).images


@pytest.mark.parametrize("sampling", SAMPLINGS, ids="-".join)
def test_without_guidance_it_ends_where_the_stock_pipeline_does(
    sampling: Sampling, tiny_models: ModelRegistry, tiny_pipeline: StableDiffusionPipeline
) -> None:
    sampler, schedule = sampling
    fields = {"sampler": sampler, "schedule": schedule, "steps": 6, "negative_prompt": "grey", "seed": 7}
    asked = GenerateRequest.model_validate({"prompt": "a red apple", **fields})
    request = resolve(asked, tiny_models.catalog)
    seen: list[Yield] = []
    run(request, tiny_models, seen=seen)
    (ours,) = [call.latents for call in seen if isinstance(call, Decode)]
    stock = stock_picture(request, tiny_models, tiny_pipeline, "latent")
    assert torch.allclose(ours, stock, rtol=0, atol=1e-3 * float(stock.abs().max()))


def test_without_guidance_it_draws_what_the_stock_pipeline_draws(trained: ModelRegistry, ask: Ask) -> None:
    request = ask(sampler="dpmpp_2m", schedule="karras", steps=6, negative_prompt="grey")
    (stock,) = stock_picture(request, trained, pipeline_of(ROOT / "models" / "pocket"), "np")
    ours = run(request, trained).pixels.numpy().transpose(1, 2, 0)
    assert np.abs(ours - stock).max() < 2 / 255


def test_the_same_seed_gives_the_same_picture_and_another_seed_another(
    models: ModelRegistry, ask: Ask
) -> None:
    guided = {"guidance": {"cutouts": 4}}
    one, two, other = (run(ask(seed=seed, **guided), models).pixels for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_picture_n_of_a_job_is_the_first_picture_of_the_nth_seed(models: ModelRegistry, ask: Ask) -> None:
    third = run(ask(seed=5, num_images=3), models, index=2)
    assert third.seed == 7
    assert torch.equal(third.pixels, run(ask(seed=7), models).pixels)


def test_guidance_of_scale_zero_changes_nothing_and_costs_nothing(models: ModelRegistry, ask: Ask) -> None:
    seen: list[Yield] = []
    guided = run(ask(guidance={"scale": 0}), models, seen=seen)
    assert not any(isinstance(call, Guide) for call in seen)
    assert torch.equal(guided.pixels, run(ask(), models).pixels)


def test_a_guided_picture_takes_one_gradient_a_step_with_as_many_cutouts_as_asked(
    models: ModelRegistry, ask: Ask
) -> None:
    seen: list[Yield] = []
    run(ask(guidance={"cutouts": 5}), models, seen=seen)
    gradients = [call for call in seen if isinstance(call, Guide)]
    assert [call.size for call in gradients] == [5] * 4


def test_guidance_raises_the_similarity_to_the_text(trained: ModelRegistry, ask: Ask) -> None:
    plain = run(ask(steps=15), trained)
    guided = run(ask(steps=15, guidance={"scale": 0.2, "cutouts": 16}), trained)
    assert guided.clip_score > plain.clip_score


def test_guidance_can_aim_at_another_text_than_the_prompt(trained: ModelRegistry, ask: Ask) -> None:
    clip = trained.clip("pocket-m")
    text = clip.embed_text("a blue fish")
    plain = run(ask(steps=15), trained)
    steered = run(ask(steps=15, guidance={"prompt": "a blue fish", "scale": 0.3, "cutouts": 16}), trained)
    assert clip.score(steered.pixels, text) > clip.score(plain.pixels, text)
    assert steered.pixels.shape == (3, 64, 64)


def test_previews_come_as_often_as_asked_and_change_nothing(models: ModelRegistry, ask: Ask) -> None:
    seen: list[Yield] = []
    guided = {"steps": 6, "guidance": {"cutouts": 4}}
    shown = run(ask(preview_every_steps=2, **guided), models, seen=seen)
    previews = [call for call in seen if isinstance(call, Preview)]
    assert [(preview.index, preview.step) for preview in previews] == [
        (0, 2),
        (0, 4),
    ]  # the picture itself is the last
    assert torch.equal(shown.pixels, run(ask(**guided), models).pixels)


def test_previews_come_closer_to_the_picture(trained: ModelRegistry, ask: Ask) -> None:
    seen: list[Yield] = []
    picture = run(ask(steps=20, preview_every_steps=6), trained, seen=seen)
    previews = [call.raster.pixels() for call in seen if isinstance(call, Preview)]
    far = [float((pixels - picture.pixels).abs().mean()) for pixels in previews]
    assert len(far) == 3
    assert far == sorted(far, reverse=True)
    assert far[-1] < 0.05


def test_a_cfg_scale_of_one_saves_the_unconditional_half(models: ModelRegistry, ask: Ask) -> None:
    seen: list[Yield] = []
    run(ask(cfg_scale=1), models, seen=seen)
    assert all(call.size == 1 for call in seen if isinstance(call, Denoise))


@pytest.mark.parametrize(("width", "height"), [(96, 64), (64, 80)])
def test_oblong_pictures_can_be_guided(width: int, height: int, models: ModelRegistry, ask: Ask) -> None:
    picture = run(ask(width=width, height=height, guidance={"cutouts": 4}), models)
    assert picture.pixels.shape == (3, height, width)
    assert picture.pixels.isfinite().all()


@pytest.mark.parametrize("sampler", list(SamplerName))
def test_every_sampler_can_be_guided(sampler: SamplerName, models: ModelRegistry, ask: Ask) -> None:
    clip = models.clip("pocket-m")
    text = clip.embed_text("a blue fish")
    plain, steered = (
        run(ask(sampler=sampler, steps=8, guidance=guidance), models)
        for guidance in (None, {"prompt": "a blue fish", "scale": 0.3, "cutouts": 6})
    )
    assert clip.score(steered.pixels, text) > clip.score(plain.pixels, text) + 0.02


@pytest.mark.parametrize("preset", [name for name, row in PRESETS.items() if row.scale])
def test_every_preset_makes_another_picture_and_tells_how(
    preset: PresetName, models: ModelRegistry, ask: Ask
) -> None:
    guidance = {"preset": preset, "cutouts": 2, "recurrences": 1, "trace": True}
    guided = run(ask(guidance=guidance, steps=5), models)
    assert guided.pixels.isfinite().all()
    assert not torch.equal(guided.pixels, run(ask(steps=5), models).pixels)
    assert guided.trace
    for step in guided.trace:
        assert not step.skipped
        assert step.loss is not None
        assert step.gradient_rms is not None
        assert step.gradient_rms > 0


def png_of(picture: torch.Tensor) -> str:
    file = io.BytesIO()
    Image.fromarray((picture * 255).byte().permute(1, 2, 0).numpy()).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_texts_pictures_and_pixels_guide_together_through_two_clips(
    trained: ModelRegistry, ask: Ask, tmp_path: Path
) -> None:
    fish = run(ask(prompt="a blue fish", steps=10), trained).pixels
    objectives = [
        {"type": "text", "text": "a blue fish", "end": 0.5},
        {"type": "image", "image": png_of(fish), "clip": "pocket-s", "weight": 2},
        {"type": "text", "text": "a red apple", "weight": -0.5},
        {"type": "tv", "weight": 0.1, "start": 0.5},
    ]
    guidance = {"objectives": objectives, "scale": 0.3, "overview_cuts": 4, "inner_cuts": 2, "trace": True}
    seen: list[Yield] = []
    request = ask(steps=8, guidance=guidance)
    pictures = read_named("a-job", request, ArtifactStore(str(tmp_path)))
    steered = run(request, trained, seen=seen, pictures=pictures)
    assert [call.loss.clips for call in seen if isinstance(call, Guide)] == [("pocket-m", "pocket-s")] * 8
    active = [[loss is not None for loss in step.losses] for step in steered.trace or ()]
    assert active == [[True, True, True, False]] * 4 + [[False, True, True, True]] * 4
    clip = trained.clip("pocket-s")
    goal = clip.embed_pictures(fish[None])
    plain = run(ask(steps=8), trained)
    assert clip.score(steered.pixels, goal) > clip.score(plain.pixels, goal) + 0.05


def test_steps_taken_again_cost_as_many_calls_and_leave_the_sampler_sound(
    models: ModelRegistry, ask: Ask
) -> None:
    for sampler in ("ddim", "heun", "unipc", "dpmpp_2m_sde"):
        seen: list[Yield] = []
        guidance = {"cutouts": 2, "recurrences": 3, "start": 0.25, "end": 0.75}
        picture = run(ask(sampler=sampler, guidance=guidance), models, seen=seen)
        assert picture.pixels.isfinite().all()
        assert sum(isinstance(call, Guide) for call in seen) == 2 * 3
        assert sum(isinstance(call, Stepped) for call in seen) == 4
