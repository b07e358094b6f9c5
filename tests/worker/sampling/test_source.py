"""Runs that start from a picture: against diffusers' pipeline, and against runs that start from noise."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline
from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_img2img
from PIL import Image

from jobs.queue.order import calls_of
from jobs.requests.request import ResolvedRequest
from jobs.requests.samplers import SamplerName, ScheduleName
from tests.worker.sampling.starting import canvas, from_picture, latents, run
from tests.worker.sampling.stock import stock_scheduler
from worker.calls import Denoise, Encode, Guide
from worker.canvas import Canvas
from worker.engine.runner import Runner
from worker.events import Preview, Stepped, Yield
from worker.models.registry import ModelRegistry
from worker.sampling.sources.first_noise import first_noise

Ask = Callable[..., ResolvedRequest]
# Those that diffusers starts in the middle as from the beginning. Its LMS takes the weights of four slopes where it has
# one; its PNDM is told of less noise than there is.
DETERMINISTIC = [
    SamplerName.DDIM,
    SamplerName.EULER,
    SamplerName.HEUN,
    SamplerName.DPMPP_2M,
    SamplerName.UNIPC,
]


@pytest.fixture(scope="module")
def pipeline(tiny: Path) -> StableDiffusionImg2ImgPipeline:
    stock = StableDiffusionImg2ImgPipeline.from_pretrained(tiny).to(torch.float32)
    stock.set_progress_bar_config(disable=True)
    return stock


def stock_latents(
    request: ResolvedRequest,
    models: ModelRegistry,
    pipeline: StableDiffusionImg2ImgPipeline,
    monkeypatch: pytest.MonkeyPatch,
) -> torch.Tensor:
    """Those of diffusers, which would take a sample of the posterior."""
    assert request.init is not None
    monkeypatch.setattr(
        pipeline_stable_diffusion_img2img,
        "retrieve_latents",
        lambda encoded, generator: encoded.latent_dist.mode(),
    )
    config = models.diffusion(request.model).facts.scheduler_config
    pipeline.scheduler = stock_scheduler((request.sampler, request.schedule), config)
    pixels = canvas(request.width).pixels.permute(1, 2, 0).numpy()
    made: torch.Tensor = pipeline(
        request.prompt,
        image=Image.fromarray(pixels),
        strength=request.init.strength,
        negative_prompt=request.negative_prompt,
        num_inference_steps=request.steps,
        guidance_scale=request.cfg_scale,
        generator=torch.Generator().manual_seed(request.seed),
        output_type="latent",
    ).images
    return made


@pytest.mark.parametrize(
    ("sampler", "schedule", "strength"),
    [
        *((sampler, ScheduleName.DEFAULT, strength) for sampler in DETERMINISTIC for strength in (0.3, 0.6)),
        (SamplerName.EULER, ScheduleName.KARRAS, 0.6),
        (SamplerName.DPMPP_2M, ScheduleName.KARRAS, 0.29),
    ],
)
def test_a_run_from_a_picture_ends_where_that_of_diffusers_does(
    sampler: SamplerName,
    schedule: ScheduleName,
    strength: float,
    tiny_models: ModelRegistry,
    pipeline: StableDiffusionImg2ImgPipeline,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    request = from_picture(
        tiny_models.catalog, strength, sampler=sampler, schedule=schedule, negative_prompt="grey"
    )
    stock = stock_latents(request, tiny_models, pipeline, monkeypatch)
    assert (latents(request, tiny_models) - stock).abs().max() < 2e-4


@pytest.mark.parametrize("sampler", SamplerName)
def test_at_full_strength_the_picture_is_the_one_without_a_picture_to_the_bit(
    sampler: SamplerName, models: ModelRegistry, ask: Ask
) -> None:
    seen: list[Yield] = []
    plain = ask(sampler=sampler)
    from_one = from_picture(models.catalog, 1, prompt=plain.prompt, sampler=sampler, steps=plain.steps)
    assert torch.equal(run(from_one, models, seen=seen).pixels, run(plain, models).pixels)
    assert not any(isinstance(call, Encode) for call in seen)


@pytest.mark.parametrize("sampler", SamplerName)
def test_the_denoiser_is_asked_as_often_as_the_job_is_charged_for(
    sampler: SamplerName, models: ModelRegistry
) -> None:
    seen: list[Yield] = []
    request = from_picture(models.catalog, 0.5, sampler=sampler, steps=6)
    run(request, models, seen=seen)
    assert sum(isinstance(call, Stepped) for call in seen) == request.plan.run == 3
    assert sum(isinstance(call, Denoise) for call in seen) == sum(calls_of(sampler, 3))


def test_more_strength_leaves_less_of_the_picture(trained: ModelRegistry) -> None:
    start = canvas()
    far = []
    for strength in (0.2, 0.4, 0.6, 0.8):
        request = from_picture(trained.catalog, strength, prompt="a green pear", steps=20)
        made = run(request, trained, start=start).pixels
        far.append(float((made - start.pixels / 255).square().mean()))
    assert far == sorted(far)
    assert far[0] < 0.3 * far[-1]


def test_pndm_leaves_as_little_noise_from_a_picture_as_from_noise(trained: ModelRegistry) -> None:
    """Its slices in diffusers leave three times as much. Every solver ends near DDIM's picture."""
    ends = {
        sampler: latents(from_picture(trained.catalog, 0.5, sampler=sampler, steps=20), trained)
        for sampler in (SamplerName.DDIM, SamplerName.DPMPP_2M, SamplerName.PNDM)
    }
    reference = ends[SamplerName.DPMPP_2M]
    errors = {sampler: float((end - reference).std()) for sampler, end in ends.items()}
    assert errors[SamplerName.PNDM] < 2 * errors[SamplerName.DDIM]


def test_exact_steps_run_as_many_as_asked_from_the_same_level(models: ModelRegistry) -> None:
    seen: list[Yield] = []
    request = from_picture(models.catalog, 0.5, steps=6, init={"exact_steps": True})
    run(request, models, seen=seen)
    assert (request.plan.planned, request.plan.first) == (12, 6)
    assert sum(isinstance(call, Stepped) for call in seen) == 6
    plain = from_picture(models.catalog, 0.5, steps=12)
    assert torch.equal(latents(request, models), latents(plain, models))


def test_guidance_steers_a_run_from_a_picture_at_the_steps_that_are_run(trained: ModelRegistry) -> None:
    clip = trained.clip("pocket-m")
    text = clip.embed_text("a blue fish")
    seen: list[Yield] = []
    guidance = {"prompt": "a blue fish", "scale": 0.3, "cutouts": 8, "trace": True}
    plain = from_picture(trained.catalog, 0.7, steps=10)
    steered = from_picture(trained.catalog, 0.7, steps=10, guidance=guidance)
    made = run(steered, trained, seen=seen)
    assert sum(isinstance(call, Guide) for call in seen) == 7
    assert [step.step for step in made.trace or ()] == list(range(3, 10))
    assert clip.score(made.pixels, text) > clip.score(run(plain, trained).pixels, text) + 0.02


def test_previews_count_the_steps_that_are_run(models: ModelRegistry) -> None:
    seen: list[Yield] = []
    run(from_picture(models.catalog, 0.5, steps=10, preview_every_steps=2), models, seen=seen)
    assert [call.step for call in seen if isinstance(call, Preview)] == [2, 4]


def test_a_picture_is_encoded_once_for_all_pictures_of_a_batch_and_later(
    models: ModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    cache = models.diffusion("pocket").encode_pictures
    real = cache._encode

    def counted(pictures: list[Canvas]) -> torch.Tensor:
        sizes.append(len(pictures))
        return real(pictures)

    monkeypatch.setattr(cache, "_encode", counted)
    one, other = canvas(80), canvas(96)
    runner = Runner(models)
    first = runner.run([Encode("pocket", canvas(80)), Encode("pocket", one)])
    again = runner.answer(Encode("pocket", one))
    runner.answer(Encode("pocket", other))
    assert sizes == [1, 1]
    assert all(torch.equal(latents, again) for latents in first)  # type: ignore[arg-type]


def test_a_picture_comes_back_from_its_latents(trained: ModelRegistry) -> None:
    model, start = trained.diffusion("pocket"), canvas()
    back = model.render(model.encode_pictures([start]))[0]
    assert (back - start.pixels / 255).square().mean().sqrt() < 0.05


class TestVariationsOfASeed:
    def varied(self, models: ModelRegistry, ask: Ask, strength: float, index: int = 0) -> torch.Tensor:
        request = ask(seed=7, num_images=3, variation={"seed": 20, "strength": strength})
        return run(request, models, index=index).pixels

    def test_of_no_strength_are_the_seed_s_picture_and_of_full_strength_the_variation_s(
        self, models: ModelRegistry, ask: Ask
    ) -> None:
        assert torch.equal(self.varied(models, ask, 0, index=2), run(ask(seed=7), models).pixels)
        assert torch.equal(self.varied(models, ask, 1, index=2), run(ask(seed=22), models).pixels)

    def test_are_further_from_the_seed_s_picture_the_stronger_they_are(
        self, models: ModelRegistry, ask: Ask
    ) -> None:
        plain = run(ask(seed=7), models).pixels
        far = [
            float((self.varied(models, ask, strength) - plain).square().mean())
            for strength in (0.0, 0.1, 0.3, 1.0)
        ]
        assert far == sorted(set(far))

    def test_have_noise_of_unit_variance_at_every_strength(self, ask: Ask) -> None:
        shape = (1, 4, 64, 64)
        for strength in (0.1, 0.5, 0.9):
            request = ask(variation={"seed": 1, "strength": strength})
            noise = first_noise(request, 0, shape, torch.Generator().manual_seed(7))
            assert float(noise.std()) == pytest.approx(1, abs=0.02)

    def test_differ_from_each_other_and_share_their_seed(self, models: ModelRegistry, ask: Ask) -> None:
        request = ask(seed=7, num_images=2, variation={"seed": 20, "strength": 0.5})
        one, other = (run(request, models, index=index) for index in range(2))
        assert one.seed == other.seed == 7
        assert not torch.equal(one.pixels, other.pixels)

    def test_of_the_seed_itself_change_nothing_to_speak_of(self, models: ModelRegistry, ask: Ask) -> None:
        same = run(ask(seed=7, variation={"seed": 7, "strength": 0.5}), models).pixels
        assert (same - run(ask(seed=7), models).pixels).abs().max() < 1e-3
