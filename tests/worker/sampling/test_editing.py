"""Editing by instruction: against diffusers' pipeline of the same checkpoint, and by what each row is told."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionInstructPix2PixPipeline
from torch import Tensor

from jobs.errors import JobFailedError
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.requests.samplers import SamplerName
from jobs.resolve.request import resolve
from tests.brought_pictures import scene
from tests.worker.sampling.starting import BOX, KEPT, MASK
from tests.worker.sampling.stock import stock_scheduler
from tests.worker.sampling.test_source import DETERMINISTIC
from tests.worker.sampling.tiny import tiny_folder, tiny_registry
from worker.calls import Decode, Denoise
from worker.engine.runner import Runner
from worker.engine.solo import generate, sampler_of
from worker.events import Yield
from worker.models.registry import ModelRegistry
from worker.pictures.edits import edits_for
from worker.pictures.levels import levels
from worker.pictures.masking import canvas_for
from worker.pictures.picture import Picture
from worker.rows import Row
from worker.sampling.inputs import SamplerInputs

LEVELS = {KEPT: levels(scene(64, 64)), MASK: BOX}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Stable Diffusion whose UNet takes eight channels; its latents are scaled by 0.18215."""
    return tiny_folder(tmp_path_factory.mktemp("edit") / "tiny", in_channels=8)


@pytest.fixture(scope="module")
def eight(folder: Path) -> ModelRegistry:
    return tiny_registry(folder, kind="edit")


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> StableDiffusionInstructPix2PixPipeline:
    stock = StableDiffusionInstructPix2PixPipeline.from_pretrained(folder).to(torch.float32)
    stock.set_progress_bar_config(disable=True)
    return stock


def asked(models: ModelRegistry, scale: float = 1.5, **fields: Any) -> ResolvedRequest:
    own = {"image": KEPT, "image_cfg_scale": scale, **fields.pop("edit", {})}
    request = {
        "prompt": "a blue fish",
        "negative_prompt": "grey",
        "seed": 7,
        "steps": 6,
        "edit": own,
        **fields,
    }
    return resolve(GenerateRequest.model_validate(request), models.catalog)


def made(
    request: ResolvedRequest, models: ModelRegistry, pictures: dict[str, Tensor] = LEVELS
) -> tuple[Picture, list[Yield]]:
    """The picture of a request, and all that its sampler yielded."""
    canvas = canvas_for(request, pictures)
    inputs = SamplerInputs("pocket-m", canvas=canvas, edits=edits_for(request, pictures, canvas))
    runner, sampler, seen = Runner(models), sampler_of(request, models, inputs, 0), list[Yield]()
    call = next(sampler)
    while True:
        seen.append(call)
        try:
            call = sampler.send(runner.answer(call))
        except StopIteration as end:
            picture: Picture = end.value
            return picture, seen


def latents_of(request: ResolvedRequest, models: ModelRegistry) -> Tensor:
    """The latents that a run ends with, [1, 4, 8, 8]."""
    return [call.latents for call in made(request, models)[1] if isinstance(call, Decode)][-1]


def rows_of(request: ResolvedRequest, models: ModelRegistry) -> list[tuple[Row, ...]]:
    """The rows of each step."""
    return [call.rows for call in made(request, models)[1] if isinstance(call, Denoise)]


def stock_latents(
    pipeline: StableDiffusionInstructPix2PixPipeline, request: ResolvedRequest, config: dict[str, Any]
) -> Tensor:
    assert request.edit is not None
    pipeline.scheduler = stock_scheduler((request.sampler, request.schedule), config)
    latents: Tensor = pipeline(
        request.prompt,
        image=scene(64, 64),
        negative_prompt=request.negative_prompt,
        num_inference_steps=request.steps,
        guidance_scale=request.cfg_scale,
        image_guidance_scale=request.edit.image_cfg_scale,
        generator=torch.Generator().manual_seed(request.seed),
        output_type="latent",
    ).images
    return latents


@pytest.mark.parametrize(
    ("sampler", "cfg_scale", "scale"),
    [
        *((sampler, 7.5, 1.5) for sampler in DETERMINISTIC),
        # Of no row without a picture, of none with the picture alone, and of the prompt's alone.
        *((SamplerName.EULER, *scales) for scales in ((3, 1), (2, 2), (1, 1))),
    ],
)
def test_a_picture_is_edited_as_diffusers_edits_it(
    sampler: SamplerName,
    cfg_scale: float,
    scale: float,
    eight: ModelRegistry,
    pipeline: StableDiffusionInstructPix2PixPipeline,
) -> None:
    request = asked(eight, scale, sampler=sampler, cfg_scale=cfg_scale)
    config = eight.diffusion("tiny").facts.scheduler_config
    assert (latents_of(request, eight) - stock_latents(pipeline, request, config)).abs().max() < 2e-4


@pytest.mark.parametrize(
    ("cfg_scale", "scale", "weights"),
    [
        (7.5, 1.5, [7.5, -6, -0.5]),
        (7.5, 1, [7.5, -6.5]),
        (3, 3, [3, -2]),
        (1, 1, [1]),
        (1, 2, [1, 1, -1]),
        (0, 2, [2, -1]),
        # Below 1 diffusers guides by nothing; here the formula holds as it stands.
        (3, 0.5, [3, -2.5, 0.5]),
        (3, 0, [3, -3, 1]),
        (0, 0, [1]),
    ],
)
def test_the_weights_of_the_rows_are_those_of_the_formula(
    cfg_scale: float, scale: float, weights: list[float], eight: ModelRegistry
) -> None:
    request = asked(eight, scale, cfg_scale=cfg_scale, steps=1)
    (rows,) = rows_of(request, eight)
    assert [row.weight for row in rows] == pytest.approx(weights)
    assert request.rows == len(weights)
    told = [row.channels is not None and bool(row.channels.any()) for row in rows]
    # Only the row of weight 1 - scale sees no picture.
    assert told == [*[True] * (len(rows) - (scale != 1)), *[False] * (scale != 1)]


def test_the_rows_of_several_prompts_see_the_picture(eight: ModelRegistry) -> None:
    fields = {"prompt": "a fish AND a fox :0.5", "prompt_syntax": "a1111", "cfg_scale": 4}
    (rows,) = rows_of(asked(eight, 2, steps=1, **fields), eight)
    assert [row.weight for row in rows] == pytest.approx([4, 2, -4, -1])


def test_the_picture_is_told_as_the_mode_of_its_latents_without_their_scale(eight: ModelRegistry) -> None:
    (rows,) = rows_of(asked(eight, steps=1), eight)
    model = eight.diffusion("tiny")
    with torch.no_grad():
        scaled = model.encode_pixels(LEVELS[KEPT][None].float() / 255)
    assert rows[0].channels is not None
    assert rows[1].channels is not None
    assert torch.allclose(rows[0].channels, scaled / 0.18215, atol=1e-5)
    assert torch.equal(rows[1].channels, rows[0].channels)
    assert torch.equal(rows[1].context, rows[2].context)
    assert not torch.equal(rows[0].context, rows[1].context)


def test_a_second_pass_sees_the_picture_at_its_own_size(eight: ModelRegistry) -> None:
    request = asked(eight, steps=2, hires={"scale": 1.5, "steps": 2, "upscaler": "latent"})
    told = [rows[0].channels for rows in rows_of(request, eight)]
    shapes = [tuple(part.shape[2:]) for part in told if part is not None]
    assert shapes == [(8, 8), (8, 8), (12, 12), (12, 12)]


@pytest.mark.parametrize("area", ["whole", "masked"])
def test_a_mask_bounds_an_edit(area: str, eight: ModelRegistry) -> None:
    mask = {"image": MASK, "area": area, "padding": 4}
    request = asked(eight, steps=3, init={"image": KEPT, "strength": 1}, mask=mask)
    picture, seen = made(request, eight)
    pixels, own, hole = (picture.pixels * 255).round().to(torch.uint8), LEVELS[KEPT], BOX[:1] > 0
    assert torch.equal(pixels * ~hole, own * ~hole)
    assert not torch.equal(pixels * hole, own * hole)
    # It sees the part of the picture that it paints in.
    (told, *_) = [call.rows[0].channels for call in seen if isinstance(call, Denoise)]
    canvas = canvas_for(request, LEVELS)
    assert canvas is not None
    assert told is not None
    with torch.no_grad():
        scaled = eight.diffusion("tiny").encode_pixels(canvas.levels(torch.device("cpu"))[None])
    assert torch.allclose(told, scaled / 0.18215, atol=1e-5)


def test_a_weaker_start_from_the_picture_keeps_more_of_it(eight: ModelRegistry) -> None:
    def distance(**fields: Any) -> float:
        picture, _ = made(asked(eight, cfg_scale=2, **fields), eight)
        return float((picture.pixels * 255 - LEVELS[KEPT].float()).abs().mean())

    starts: list[dict[str, Any]] = [
        {"init": {"image": KEPT, "strength": strength}} for strength in (0.2, 0.6)
    ]
    near, far, whole = (distance(**fields) for fields in (*starts, {}))
    assert near < far < whole


@pytest.mark.parametrize(
    "fields",
    [
        {"guidance": {"preset": "laion", "cutouts": 2, "scale": 0.5}},
        {"guidance": {"preset": "freedom", "cutouts": 2}},
        {"guidance": {"preset": "universal", "cutouts": 2, "recurrences": 2}},
    ],
)
def test_an_edit_is_guided(fields: dict[str, Any], eight: ModelRegistry) -> None:
    plain, guided = (made(asked(eight, steps=3, **more), eight)[0].pixels for more in ({}, fields))
    assert guided.isfinite().all()
    assert not torch.allclose(plain, guided, atol=1e-3)


def test_the_size_of_a_file_and_its_transparency_do_not_matter(eight: ModelRegistry) -> None:
    wide = torch.cat([LEVELS[KEPT]] * 2, dim=2)
    request = asked(eight, steps=1, edit={"fit": "stretch"})
    assert made(request, eight, {KEPT: wide})[0].pixels.shape == (3, 64, 64)


def test_a_run_without_its_picture_fails(eight: ModelRegistry) -> None:
    request = asked(eight, steps=1)
    with pytest.raises(JobFailedError, match="edits a picture, and the request has none"):
        generate(request, Runner(eight), SamplerInputs("pocket-m"))
