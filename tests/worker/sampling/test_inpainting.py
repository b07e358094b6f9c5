"""UNets that see the hole: against diffusers' pipeline of the same checkpoint, and by what they are told."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionInpaintPipeline
from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_inpaint
from PIL import Image
from torch import Tensor

from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.requests.samplers import SamplerName
from jobs.resolve.request import resolve
from tests.brought_pictures import scene
from tests.worker.sampling.starting import BOX, MASK, canvas, canvas_with, from_picture, mask_of, run
from tests.worker.sampling.stock import stock_scheduler
from tests.worker.sampling.test_source import DETERMINISTIC
from tests.worker.sampling.tiny import tiny_folder, tiny_registry
from worker.calls import Decode, Denoise, Encode
from worker.canvas import Canvas, canvas_of
from worker.events import Yield
from worker.models.registry import ModelRegistry
from worker.pictures.levels import levels

POCKET = "pocket-inpaint"
EVERYTHING = mask_of(0, 0, 64, 64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Stable Diffusion whose UNet takes nine channels."""
    return tiny_folder(tmp_path_factory.mktemp("inpaint") / "tiny", in_channels=9)


@pytest.fixture(scope="module")
def nine(folder: Path) -> ModelRegistry:
    return tiny_registry(folder)


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> StableDiffusionInpaintPipeline:
    stock = StableDiffusionInpaintPipeline.from_pretrained(folder).to(torch.float32)
    stock.set_progress_bar_config(disable=True)
    return stock


def asked(models: ModelRegistry, strength: float = 0.8, **fields: Any) -> ResolvedRequest:
    """With a mask."""
    mask = {"image": MASK} | fields.pop("mask", {})
    return from_picture(models.catalog, strength, mask=mask, **fields)


def latents_of(
    request: ResolvedRequest, models: ModelRegistry, start: Canvas | None = None
) -> tuple[Tensor, list[Yield]]:
    """The latents that a run ends with, and all that it yielded."""
    seen: list[Yield] = []
    run(request, models, seen=seen, start=start)
    return [call.latents for call in seen if isinstance(call, Decode)][-1], seen


class Stock:
    """Diffusers' pipeline for a request. For nine channels it does not blend; here the kept part is noised anew.

    It does so itself for four channels, at the same place of its loop.
    """

    def __init__(
        self, pipeline: StableDiffusionInpaintPipeline, request: ResolvedRequest, config: dict[str, Any]
    ) -> None:
        self.pipeline, self.request = pipeline, request
        pipeline.scheduler = stock_scheduler((request.sampler, request.schedule), config)
        generator = torch.Generator().manual_seed(request.seed)
        self.noise = torch.randn(1, 4, 8, 8, generator=generator)

    def latents(self, mask: Tensor, strength: float) -> Tensor:
        """The latents that it ends with, of which those outside the mask [3, H, W] are kept."""
        picture, steps = scene(64, 64), self.request.steps
        pixels = self.pipeline.image_processor.preprocess(picture)
        posterior = self.pipeline.vae.encode(pixels).latent_dist
        x0 = posterior.mode() * self.pipeline.vae.config.scaling_factor
        hole = torch.nn.functional.max_pool2d((mask[:1] > 0).float(), 8)[None] > 0
        scheduler, start = self.pipeline.scheduler, None
        if strength == 1:
            # As at any lower strength, and not noise alone, outside of the mask.
            scheduler.set_timesteps(steps)
            noisy = scheduler.add_noise(x0, self.noise, scheduler.timesteps[:1])
            start = torch.where(hole, self.noise, noisy / scheduler.init_noise_sigma)

        def blend(pipe: Any, number: int, _time: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            times = pipe.scheduler.timesteps[-pipe._num_timesteps :]
            kept = x0
            if number + 1 < len(times):
                kept = pipe.scheduler.add_noise(x0, self.noise, times[number + 1 : number + 2])
            return {"latents": torch.where(hole, tensors["latents"], kept)}

        made: Tensor = self.pipeline(
            self.request.prompt,
            image=picture,
            mask_image=Image.fromarray(mask.permute(1, 2, 0).numpy()),
            width=64,
            height=64,
            strength=strength,
            negative_prompt=self.request.negative_prompt,
            num_inference_steps=steps,
            guidance_scale=self.request.cfg_scale,
            generator=torch.Generator().manual_seed(self.request.seed),
            latents=start,
            callback_on_step_end=blend,
            output_type="latent",
        ).images
        return made


@pytest.fixture
def mode_of_posterior(monkeypatch: pytest.MonkeyPatch) -> None:
    """Diffusers would take a sample."""
    monkeypatch.setattr(
        pipeline_stable_diffusion_inpaint,
        "retrieve_latents",
        lambda encoded, generator: encoded.latent_dist.mode(),
    )


@pytest.mark.usefixtures("mode_of_posterior")
@pytest.mark.parametrize("strength", [0.3, 0.6, 1])
@pytest.mark.parametrize("sampler", DETERMINISTIC)
def test_a_hole_is_painted_as_diffusers_paints_it(
    sampler: SamplerName, strength: float, nine: ModelRegistry, pipeline: StableDiffusionInpaintPipeline
) -> None:
    request = asked(nine, strength, sampler=sampler, negative_prompt="grey")
    ours, _ = latents_of(request, nine, canvas_with(request))
    stock = Stock(pipeline, request, nine.diffusion("tiny").facts.scheduler_config)
    assert (ours - stock.latents(BOX, strength)).abs().max() < 2e-4


@pytest.mark.usefixtures("mode_of_posterior")
@pytest.mark.parametrize("sampler", DETERMINISTIC)
def test_without_a_mask_all_is_hole(
    sampler: SamplerName, nine: ModelRegistry, pipeline: StableDiffusionInpaintPipeline
) -> None:
    fields: dict[str, Any] = {"sampler": sampler, "negative_prompt": "grey", "cfg_scale": 2}
    from_one = from_picture(nine.catalog, 0.6, **fields)
    from_noise = {"prompt": from_one.prompt, "seed": 7, "steps": 10, **fields}
    for request, strength in (
        (from_one, 0.6),
        (resolve(GenerateRequest.model_validate(from_noise), nine.catalog), 1),
    ):
        stock = Stock(pipeline, request, nine.diffusion("tiny").facts.scheduler_config)
        ours, _ = latents_of(request, nine)
        assert (ours - stock.latents(EVERYTHING, strength)).abs().max() < 2e-4


def test_every_row_is_told_the_mask_and_then_the_picture_with_grey_in_its_hole(
    models: ModelRegistry,
) -> None:
    request = asked(models, 1, model=POCKET, steps=2)
    _, seen = latents_of(request, models, canvas_with(request))
    rows = [row for call in seen if isinstance(call, Denoise) for row in call.rows]
    grey = torch.where(BOX[:1] > 0, 0.5, levels(scene(64, 64)).float() / 255)
    with torch.no_grad():
        expected = models.diffusion(POCKET).encode_pixels(grey[None])
    assert len(rows) == 4
    for row in rows:
        assert row.channels is not None
        mask, shown = row.channels[:, :1], row.channels[:, 1:]
        assert torch.equal(mask > 0, torch.nn.functional.max_pool2d(BOX[None, :1].float(), 4) > 0)
        assert torch.equal(mask, mask.bool().float())
        assert torch.allclose(shown, expected, atol=1e-5)


def test_at_full_strength_nothing_tells_of_what_was_in_the_hole(models: ModelRegistry) -> None:
    request = asked(models, 1, model=POCKET, steps=3, mask={"fill": "blur"})
    painted_over = scene(64, 64)
    painted_over.paste((255, 0, 0), (16, 24, 48, 56))
    starts = [canvas_with(request, picture=picture) for picture in (scene(64, 64), painted_over)]
    one, other = (run(request, models, start=start).pixels for start in starts)
    assert torch.equal(one, other)


@pytest.mark.parametrize("strength", [0.5, 1])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"sampler": "euler_ancestral"},
        {"guidance": {"preset": "laion", "scale": 0.5, "cutouts": 2}},
        {"guidance": {"preset": "universal", "cutouts": 2, "recurrences": 2, "iterations": 2}},
        {"mask": {"fill": "noise", "soft": True}},
        {"mask": {"area": "masked", "padding": 4}},
    ],
)
def test_the_levels_outside_the_mask_are_the_picture_s_own(
    fields: dict[str, object], strength: float, models: ModelRegistry
) -> None:
    request = asked(models, strength, model=POCKET, prompt="a blue fish", steps=4, **fields)
    picture = run(request, models, start=canvas_with(request)).pixels
    made, own, hole = (picture * 255).round().to(torch.uint8), levels(scene(64, 64)), BOX[:1] > 0
    assert torch.equal(made * ~hole, own * ~hole)
    assert ((made.int() - own.int()).abs() * hole).float().sum() / (3 * hole.sum()) > 3


def test_what_outpainting_adds_is_a_hole(models: ModelRegistry) -> None:
    request = from_picture(
        models.catalog, 1, model=POCKET, steps=2, width=96, height=64, outpaint={"left": 32}
    )
    _, seen = latents_of(request, models, canvas_with(request))
    (told, *_) = [call.rows[0].channels for call in seen if isinstance(call, Denoise)]
    assert told is not None
    assert told.shape == (1, 9, 16, 24)
    assert torch.equal(told[0, 0].mean(dim=0), (torch.arange(24) < 8).float())


def test_a_second_pass_is_told_of_a_hole_of_its_own_size(models: ModelRegistry) -> None:
    fields = {"model": POCKET, "prompt": "a fox", "seed": 7, "steps": 2, "hires": {"scale": 1.5, "steps": 2}}
    request = resolve(GenerateRequest.model_validate(fields), models.catalog)
    _, seen = latents_of(request, models)
    told = [call.rows[0].channels for call in seen if isinstance(call, Denoise)]
    assert [part.shape[2:] for part in told if part is not None] == [(16, 16), (16, 16), (24, 24), (24, 24)]
    assert all(bool((part[:, 0] == 1).all()) for part in told if part is not None)


def test_a_hole_of_all_is_encoded_once_for_all_pictures_of_a_size(models: ModelRegistry) -> None:
    masked = [canvas(64).masked(), canvas_of(torch.zeros(3, 64, 64, dtype=torch.uint8)).masked()]
    assert masked[0].digest == masked[1].digest
    assert masked[0].digest != canvas(96).masked().digest
    assert len({canvas(64).digest, masked[0].digest}) == 2
    request = from_picture(models.catalog, 0.5, model=POCKET, steps=2)
    _, seen = latents_of(request, models)
    assert [call.picture.digest for call in seen if isinstance(call, Encode)] == [
        canvas(64).digest,
        masked[0].digest,
    ]


def test_the_plain_model_is_told_of_no_hole(models: ModelRegistry) -> None:
    request = asked(models, steps=2)
    _, seen = latents_of(request, models, canvas_with(request))
    assert all(row.channels is None for call in seen if isinstance(call, Denoise) for row in call.rows)
