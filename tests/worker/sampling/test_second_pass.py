"""The second pass of hires: against two runs by hand, and what goes on in it."""

import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from PIL import Image
from PIL.Image import Resampling
from torch.nn import functional as F

from jobs.errors import JobFailedError, MissingExtraError
from jobs.requests.enlarging import LATENT_MODES, HiresUpscaler
from jobs.requests.request import ResolvedRequest
from tests.worker.sampling.starting import canvas, from_picture, latents, run
from worker.calls import DECODINGS, Decode, Denoise, Encode, Guide
from worker.engine.runner import Runner
from worker.engine.solo import sampler_of
from worker.events import Compute, Preview, Stepped, Yield
from worker.models.registry import ModelRegistry
from worker.pictures.levels import levels
from worker.pictures.picture import Picture
from worker.pictures.upscaling import Upscaler, require_upscaler
from worker.raster import quantized
from worker.sampling.inputs import SamplerInputs
from worker.sampling.sources.second_pass import source_of_second_pass

Ask = Callable[..., ResolvedRequest]
HIRES = {"strength": 0.6, "steps": 3}


def run_from(request: ResolvedRequest, models: ModelRegistry, x0: torch.Tensor) -> Picture:
    """Drive a sampler alone, with these latents as those of its picture."""
    runner = Runner(models)
    sampler = sampler_of(
        request, models, SamplerInputs("pocket-m", canvas=canvas(request.width, request.height))
    )
    call = next(sampler)
    while True:
        try:
            call = sampler.send(x0 if isinstance(call, Encode) else runner.answer(call))
        except StopIteration as end:
            picture: Picture = end.value
            return picture


def second_by_hand(
    models: ModelRegistry, x0: torch.Tensor, hires: dict[str, Any], **fields: Any
) -> torch.Tensor:
    init = {"exact_steps": True}
    sized = {**fields, "width": 4 * x0.shape[3], "height": 4 * x0.shape[2], "steps": hires["steps"]}
    return run_from(from_picture(models.catalog, hires["strength"], init=init, **sized), models, x0).pixels


@pytest.mark.parametrize("upscaler", LATENT_MODES)
def test_it_is_image_to_image_from_interpolated_latents(
    upscaler: HiresUpscaler, models: ModelRegistry, ask: Ask
) -> None:
    fields: dict[str, Any] = {"prompt": "a red apple", "width": 64, "height": 48}
    hires = HIRES | {"scale": 1.5, "upscaler": upscaler}
    mode, antialias = LATENT_MODES[upscaler]
    first = latents(ask(**fields), models)
    large = F.interpolate(first, (20, 24), mode=mode, antialias=antialias)
    made = run(ask(**fields, hires=hires), models).pixels
    assert made.shape == (3, 80, 96)
    assert torch.equal(made, second_by_hand(models, large, hires, **fields))


@pytest.mark.parametrize(
    ("upscaler", "filtered"), [("lanczos", Resampling.LANCZOS), ("nearest", Resampling.NEAREST)]
)
def test_it_is_image_to_image_from_an_interpolated_picture(
    upscaler: str, filtered: Resampling, models: ModelRegistry, ask: Ask
) -> None:
    encoded = encoded_by(ask(width=64, height=48, hires=HIRES | {"upscaler": upscaler}), models)
    first = Image.fromarray(quantized(run(ask(width=64, height=48), models).pixels).numpy())
    assert torch.equal(encoded, levels(first.resize((128, 96), filtered)))


def encoded_by(request: ResolvedRequest, models: ModelRegistry) -> torch.Tensor:
    """The pixels that the second pass of a run starts from."""
    seen: list[Yield] = []
    run(request, models, seen=seen)
    (pixels,) = [call.picture.pixels for call in seen if isinstance(call, Encode)]
    return pixels


def test_a_size_of_another_shape_cuts_off_equally_on_both_sides(models: ModelRegistry, ask: Ask) -> None:
    size = {"width": 128, "height": 96}
    large = F.interpolate(latents(ask(), models), (32, 32), mode="bilinear")[:, :, 4:-4]
    made = run(ask(hires=HIRES | size), models).pixels
    assert torch.equal(made, second_by_hand(models, large, HIRES, prompt=ask().prompt))
    by_scale, by_size = (
        encoded_by(ask(hires=HIRES | {"upscaler": "nearest"} | how), models) for how in ({"scale": 2}, size)
    )
    assert torch.equal(by_size, by_scale[:, 16:-16])


@pytest.mark.parametrize(
    "fields",
    [
        {"sampler": "euler_ancestral"},
        {"sampler": "dpmpp_2m", "schedule": "karras"},
        {"sampler": "pndm"},
        {"variation": {"seed": 3, "strength": 0.4}},
        {"guidance": {"scale": 0.5, "cutouts": 4}},
        {"guidance": {"preset": "universal", "cutouts": 2, "recurrences": 2}},
    ],
)
def test_it_has_the_solver_the_seed_and_the_guidance_of_the_first(
    fields: dict[str, Any], models: ModelRegistry, ask: Ask
) -> None:
    fields = {"prompt": "a red apple", **fields}
    large = F.interpolate(latents(ask(**fields), models), (24, 24), mode="bilinear")
    made = run(ask(**fields, hires=HIRES | {"scale": 1.5}), models).pixels
    assert torch.equal(made, second_by_hand(models, large, HIRES, **fields))


def test_a_first_pass_may_start_from_a_picture(models: ModelRegistry) -> None:
    plain = from_picture(models.catalog, 0.5, steps=4)
    large = F.interpolate(latents(plain, models), (32, 32), mode="bilinear")
    made = run(from_picture(models.catalog, 0.5, steps=4, hires=HIRES), models).pixels
    assert torch.equal(made, second_by_hand(models, large, HIRES))


def test_steps_previews_and_the_trace_count_on(models: ModelRegistry, ask: Ask) -> None:
    seen: list[Yield] = []
    guidance = {"scale": 0.3, "cutouts": 2, "trace": True, "last_step": True}
    request = ask(hires=HIRES, guidance=guidance, preview_every_steps=2)
    made = run(request, models, seen=seen)
    assert sum(isinstance(call, Stepped) for call in seen) == request.steps_run == 7
    previews = [call for call in seen if isinstance(call, Preview)]
    assert [(call.step, call.raster.size) for call in previews] == [
        (2, (64, 64)),
        (4, (64, 64)),
        (6, (128, 128)),
    ]
    assert [step.step for step in made.trace or ()] == [0, 1, 2, 3, 6, 7, 8]
    assert sum(isinstance(call, Guide) for call in seen) == 7
    assert {call.state.shape[1:] for call in seen if isinstance(call, Denoise)} == {(16, 16), (32, 32)}


def test_it_keeps_the_picture_of_the_first(trained: ModelRegistry, ask: Ask) -> None:
    """As far as its strength says."""
    plain = run(ask(steps=10), trained).pixels
    far = []
    for strength in (0.2, 0.5, 0.8, 1.0):
        made = run(ask(steps=10, hires={"strength": strength, "steps": 8}), trained).pixels
        small = F.interpolate(made[None], (64, 64), mode="area")[0]
        far.append(float((small - plain).square().mean()))
    assert far == sorted(far)


def test_a_first_picture_that_overflows_is_decoded_again(models: ModelRegistry, ask: Ask) -> None:
    request = ask(hires=HIRES | {"upscaler": "x4plus-anime"})
    assert request.hires is not None
    source = source_of_second_pass(
        request, request.hires, torch.zeros(1, 8, 16, 16), models.diffusion("pocket").facts
    )
    for decoding in range(DECODINGS):
        assert isinstance(source.send(None), Decode), decoding
        enlarging = source.send(torch.full((3, 64, 64), float("nan")))
        assert isinstance(enlarging, Compute)
        assert enlarging.read() is None
    with pytest.raises(JobFailedError, match="not finite after decoding"):
        source.send(None)


@pytest.fixture
def upscaler() -> Upscaler:
    try:
        require_upscaler()
    except MissingExtraError:
        if os.environ.get("CI"):
            raise
        pytest.skip("needs the extra `upscale`")
    return Upscaler("x4plus-anime", threads=1)


def test_a_network_enlarges_the_picture_of_the_first(
    upscaler: Upscaler, models: ModelRegistry, ask: Ask
) -> None:
    seen: list[Yield] = []
    made = run(ask(hires=HIRES | {"upscaler": "x4plus-anime"}), models, seen=seen).pixels
    assert made.shape == (3, 128, 128)
    (encoded,) = [call.picture.pixels for call in seen if isinstance(call, Encode)]
    large = upscaler(run(ask(), models).pixels.mul(255).round() / 255, 4)
    half = Image.fromarray(quantized(large).numpy()).resize((128, 128), Resampling.LANCZOS)
    assert torch.equal(levels(half), encoded)
    x0 = models.diffusion("pocket").encode_pictures(
        [call.picture for call in seen if isinstance(call, Encode)]
    )
    assert torch.equal(made, second_by_hand(models, x0, HIRES, prompt=ask().prompt))
    assert sum(isinstance(call, Decode) for call in seen) == 2


def test_a_network_ends_within_a_tile_when_its_job_has_left(
    upscaler: Upscaler, models: ModelRegistry, ask: Ask
) -> None:
    runner = Runner(models)
    request = ask(hires=HIRES | {"upscaler": "x4plus-anime"})
    sampler = sampler_of(request, models, SamplerInputs("pocket-m"))
    call = next(sampler)
    while not isinstance(call, Compute):
        call = sampler.send(runner.answer(call))
    sampler.close()
    with pytest.raises(JobFailedError, match="has left"):
        call.read()
