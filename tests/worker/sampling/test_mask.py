"""A part of a picture painted anew: against diffusers' pipeline, and by what must stay."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionInpaintPipeline
from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_inpaint
from PIL import Image

from jobs.errors import JobFailedError
from jobs.requests.request import ResolvedRequest
from jobs.requests.samplers import SamplerName
from tests.brought_pictures import scene
from tests.worker.sampling.starting import BOX, MASK, canvas_with, from_picture, mask_of, run
from tests.worker.sampling.stock import stock_scheduler
from tests.worker.sampling.test_source import DETERMINISTIC
from worker.calls import Decode, Denoise
from worker.events import Preview, Yield
from worker.models.registry import ModelRegistry
from worker.pictures.levels import levels
from worker.sampling.rule import rms

Ask = Callable[..., ResolvedRequest]


def asked(models: ModelRegistry, strength: float = 0.8, **fields: object) -> ResolvedRequest:
    mask = {"image": MASK} | dict(fields.pop("mask", {}))  # type: ignore[call-overload]
    return from_picture(models.catalog, strength, mask=mask, **fields)


def painted(
    request: ResolvedRequest,
    models: ModelRegistry,
    mask: torch.Tensor = BOX,
    seen: list[Yield] | None = None,
    picture: Image.Image | None = None,
) -> torch.Tensor:
    """The levels of a finished picture, as its PNG has them."""
    made = run(request, models, seen=seen, start=canvas_with(request, mask, picture))
    return (made.pixels * 255).round().to(torch.uint8)


@pytest.fixture(scope="module")
def pipeline(tiny: Path) -> StableDiffusionInpaintPipeline:
    stock = StableDiffusionInpaintPipeline.from_pretrained(tiny).to(torch.float32)
    stock.set_progress_bar_config(disable=True)
    return stock


@pytest.mark.parametrize("strength", [0.3, 0.6])
@pytest.mark.parametrize("sampler", DETERMINISTIC)
def test_what_is_painted_is_what_diffusers_paints(
    sampler: SamplerName,
    strength: float,
    tiny_models: ModelRegistry,
    pipeline: StableDiffusionInpaintPipeline,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Yield] = []
    request = asked(tiny_models, strength, sampler=sampler, negative_prompt="grey")
    painted(request, tiny_models, seen=seen)
    (ours,) = [call.latents for call in seen if isinstance(call, Decode)]
    monkeypatch.setattr(
        pipeline_stable_diffusion_inpaint,
        "retrieve_latents",
        lambda encoded, generator: encoded.latent_dist.mode(),
    )
    config = tiny_models.diffusion("tiny").facts.scheduler_config
    pipeline.scheduler = stock_scheduler((request.sampler, request.schedule), config)
    stock = pipeline(
        request.prompt,
        image=scene(64, 64),
        mask_image=Image.fromarray(BOX.permute(1, 2, 0).numpy()),
        width=64,
        height=64,
        strength=strength,
        negative_prompt=request.negative_prompt,
        num_inference_steps=request.steps,
        guidance_scale=request.cfg_scale,
        generator=torch.Generator().manual_seed(request.seed),
        output_type="latent",
    ).images
    assert (ours - stock).abs().max() < 2e-4


@pytest.mark.parametrize("sampler", ["ddim", "euler_ancestral", "dpmpp_2m_sde", "heun", "pndm", "unipc"])
def test_a_mask_of_all_at_full_strength_changes_nothing_to_the_bit(
    sampler: str, models: ModelRegistry, ask: Ask
) -> None:
    plain = ask(sampler=sampler)
    request = asked(models, 1, prompt=plain.prompt, sampler=sampler, steps=plain.steps)
    everything = mask_of(0, 0, 64, 64)
    made = run(request, models, start=canvas_with(request, everything)).pixels
    assert torch.equal(made, run(plain, models).pixels)


@pytest.mark.parametrize("strength", [0.5, 1])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"sampler": "euler_ancestral"},
        {"sampler": "pndm"},
        {"guidance": {"scale": 0.5, "cutouts": 4}},
        {"guidance": {"preset": "universal", "cutouts": 2, "recurrences": 2, "iterations": 2}},
        {"mask": {"fill": "blur"}},
        {"mask": {"fill": "noise"}},
        {"mask": {"fill": "nothing"}},
        {"mask": {"area": "masked", "padding": 4}},
        {"mask": {"soft": True}},
    ],
)
def test_the_levels_outside_the_mask_are_the_picture_s_own(
    fields: dict[str, object], strength: float, models: ModelRegistry
) -> None:
    request = asked(models, strength, prompt="a blue fish", steps=4, **fields)
    made, own, hole = painted(request, models), levels(scene(64, 64)), BOX[:1] > 0
    assert torch.equal(made * ~hole, own * ~hole)
    assert ((made.int() - own.int()).abs() * hole).float().sum() / (3 * hole.sum()) > 3


def test_without_pasting_the_rest_comes_back_from_the_vae(trained: ModelRegistry) -> None:
    request = asked(trained, mask={"paste": False}, steps=4)
    made, own = painted(request, trained).int(), levels(scene(64, 64)).int()
    outside = (made - own).abs()[:, :, :12]
    assert 0 < outside.float().mean() < 30


@pytest.mark.parametrize("preset", ["laion", "universal", "freedom", "disco", "mpgd", "tfg"])
def test_nothing_outside_the_mask_is_guided(preset: str, models: ModelRegistry) -> None:
    """The latents that were not composited yet: outside the mask those of a run without guidance."""
    ends = []
    for guidance in (None, {"preset": preset, "cutouts": 2, "recurrences": 1}):
        seen: list[Yield] = []
        request = asked(models, 0.8, steps=5, guidance=guidance)
        painted(request, models, seen=seen)
        ends.append([call for call in seen if isinstance(call, Denoise)][-1].state.x)
    hole = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    hole[..., 6:14, 4:12] = True
    moved = (ends[1] - ends[0]).abs()
    assert moved[:, :, hole[0, 0]].max() > 1e-3
    assert (moved * ~hole).max() < 1e-4


def test_rescaled_guidance_changes_nothing_outside_the_mask(models: ModelRegistry) -> None:
    ends = []
    for rescale in (0, 1):
        seen: list[Yield] = []
        painted(asked(models, 0.8, steps=5, cfg_scale=9, guidance_rescale=rescale), models, seen=seen)
        ends.append([call for call in seen if isinstance(call, Denoise)][-1].state.x)
    hole = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    hole[..., 6:14, 4:12] = True
    moved = (ends[1] - ends[0]).abs()
    assert moved[:, :, hole[0, 0]].max() > 1e-3
    assert (moved * ~hole).max() < 1e-4


def test_a_small_mask_is_guided_as_strongly_as_a_large_one(models: ModelRegistry) -> None:
    strengths = []
    for mask in (mask_of(0, 0, 64, 64), mask_of(24, 24, 40, 40)):
        ends = []
        for guidance in (None, {"scale": 0.5, "cutouts": 4, "objectives": [{"type": "tv"}]}):
            seen: list[Yield] = []
            painted(asked(models, 0.8, steps=5, guidance=guidance), models, mask, seen=seen)
            ends.append([call for call in seen if isinstance(call, Denoise)][-1].state.x)
        moved = ends[1] - ends[0]
        strengths.append(float(moved[moved != 0].square().mean().sqrt()))
        assert rms(moved).isfinite().all()
    assert 0.3 < strengths[1] / strengths[0] < 3


def test_a_thin_stroke_is_painted(models: ModelRegistry) -> None:
    stroke = mask_of(10, 31, 50, 32)
    seen: list[Yield] = []
    request = asked(models, 1, steps=2)
    painted(request, models, stroke, seen=seen)
    kept = next(call.kept for call in seen if isinstance(call, Denoise))
    assert kept is not None
    assert int(kept.mask.sum()) == 11


def test_a_soft_mask_is_painted_for_as_large_a_part_of_the_run_as_it_is_light(models: ModelRegistry) -> None:
    ramp = torch.zeros(3, 64, 64, dtype=torch.uint8)
    for part, level in enumerate((0, 64, 128, 255)):
        ramp[:, :, 16 * part : 16 * (part + 1)] = level
    seen: list[Yield] = []
    request = asked(models, 1, steps=4, sampler="euler", mask={"soft": True})
    painted(request, models, ramp, seen=seen)
    masks = [call.kept.mask for call in seen if isinstance(call, Denoise) and call.kept]
    times = torch.cat(masks).sum(dim=0, keepdim=True)
    assert [int(times[0, 0, 8, column]) for column in (2, 6, 10, 14)] == [0, 1, 2, 4]


def test_previews_show_the_whole_picture(models: ModelRegistry) -> None:
    seen: list[Yield] = []
    request = asked(models, 0.8, steps=5, preview_every_steps=2, mask={"area": "masked", "padding": 2})
    big = scene(96, 96)
    made = painted(request, models, mask_of(40, 40, 60, 60, 96), seen=seen, picture=big)
    (preview,) = [call.raster.pixels() for call in seen if isinstance(call, Preview)]
    assert preview.shape == made.shape == (3, 96, 96)
    assert torch.equal((preview * 255).round().to(torch.uint8)[:, :30], levels(big)[:, :30])


def test_a_mask_that_the_fit_cuts_off_fails_the_job(models: ModelRegistry) -> None:
    request = asked(models)
    wide, edge = scene(128, 64), torch.zeros(3, 64, 128, dtype=torch.uint8)
    edge[:, :, :10] = 255
    with pytest.raises(JobFailedError, match="the mask is empty"):
        canvas_with(request, edge, wide)


class TestMasks:
    def test_are_inverted(self, models: ModelRegistry) -> None:
        mask = canvas_with(asked(models, mask={"invert": True})).mask
        assert mask is not None
        assert torch.equal(mask, 255 - BOX[:1])

    def test_of_transparent_pictures_are_their_opaque_parts(self, models: ModelRegistry) -> None:
        drawn = torch.zeros(4, 64, 64, dtype=torch.uint8)
        drawn[3, 8:16, 8:16] = 200
        mask = canvas_with(asked(models), drawn).mask
        assert mask is not None
        assert torch.equal(mask, mask_of(8, 8, 16, 16)[:1])

    def test_grow_by_pixels_on_all_sides(self, models: ModelRegistry) -> None:
        mask = canvas_with(asked(models, mask={"grow": 5})).mask
        assert mask is not None
        assert torch.equal(mask, mask_of(11, 19, 53, 61)[:1])

    def test_are_stretched_to_the_picture(self, models: ModelRegistry) -> None:
        small = mask_of(8, 12, 24, 28, 32)
        mask = canvas_with(asked(models), small).mask
        assert mask is not None
        assert ((mask > 127) == (BOX[:1] > 127)).all()

    def test_blur_no_further_than_they_say(self, models: ModelRegistry) -> None:
        paste = canvas_with(asked(models, mask={"blur": 2})).paste
        assert paste is not None
        assert (paste.opacity[BOX[:1] > 0] == 1).all()
        near = mask_of(11, 19, 53, 61)[:1] > 0
        assert (paste.opacity[~near] == 0).all()
        row = paste.opacity[0, 40, 10:16].tolist()
        assert row == sorted(row)
        assert 0 < row[2] < row[4] < 1

    def test_that_are_drawn_alone_have_surroundings_of_the_result_s_shape(
        self, models: ModelRegistry
    ) -> None:
        request = asked(models, width=96, height=48, mask={"area": "masked", "padding": 4})
        big = scene(400, 300)
        mask = torch.zeros(3, 300, 400, dtype=torch.uint8)
        mask[:, 280:300, 390:400] = 255
        canvas = canvas_with(request, mask, big)
        assert canvas.paste is not None
        left, top, right, bottom = canvas.paste.box
        assert (right, bottom) == (400, 300)
        assert (right - left) == 2 * (bottom - top) == 48
        assert tuple(canvas.shape) == (3, 48, 96)

    def test_fill_their_hole_with_the_colours_around_it(self, models: ModelRegistry) -> None:
        picture = Image.fromarray(np.full((64, 64, 3), (200, 100, 50), np.uint8))
        picture.paste((0, 255, 0), (16, 24, 48, 56))
        filled = canvas_with(asked(models, mask={"fill": "blur"}), picture=picture).pixels.int()
        assert (filled - torch.tensor([200, 100, 50]).view(3, 1, 1)).abs().max() <= 6
