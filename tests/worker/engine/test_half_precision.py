"""What half precision changes: how far mates move a picture, and decoders that overflow."""

import copy
from collections.abc import Callable

import pytest
import torch

from jobs.catalog.catalog import Catalog
from jobs.errors import JobFailedError
from jobs.requests.request import ResolvedRequest
from tests.worker.engine.test_device_state import NoReading
from tests.worker.models.predicting import pocket_of
from worker.engine.offline import generate_all
from worker.engine.runner import Runner
from worker.engine.solo import generate
from worker.models.device import Device
from worker.models.families.stable_diffusion import StableDiffusion
from worker.models.networks.decoding import Decoder
from worker.models.registry import ModelRegistry
from worker.sampling.inputs import SamplerInputs
from worker.settings import WorkerSettings

Ask = Callable[..., ResolvedRequest]

# The bounds of docs/engine.md, of pixels in [0, 1]: without guidance, and with. That of fp32 is test_batching's.
BOUNDS = {"fp16": (4e-3, 4e-2), "bf16": (3e-2, 1e-1)}
NAMES = ("apple", "fox", "car", "cat")


def registry(catalog: Catalog, dtype: str) -> ModelRegistry:
    """The shipped models on the CPU, in any format: its kernels of fp16 are too slow to serve, but not to test."""
    device = Device(WorkerSettings(device="cpu", dtype="fp32"))
    device.dtype_name = dtype
    return ModelRegistry(catalog, device)


@pytest.mark.slow("draws pictures alone and in a batch in both half formats")
@pytest.mark.parametrize("dtype", list(BOUNDS))
def test_mates_move_a_picture_by_no_more_than_the_bound_of_its_format(
    dtype: str, pocket_catalog: Catalog, ask: Ask
) -> None:
    runner = Runner(registry(pocket_catalog, dtype))
    # A CPU's way back in fp16 takes a hundred times as long.
    names, steps, cutouts = (NAMES[:2], 2, 1) if dtype == "fp16" else (NAMES, 6, 2)
    for guidance, bound in zip((None, {"cutouts": cutouts}), BOUNDS[dtype], strict=True):
        asked = [
            ask(prompt=f"a {name}", seed=seed, steps=steps, sampler="ddim", guidance=guidance)
            for seed, name in enumerate(names)
        ]
        together = [pictures[0].pixels for pictures in generate_all(asked, runner, at_a_time=len(asked))]
        alone = [generate(each, runner, SamplerInputs("pocket-m")).pixels for each in asked[:2]]
        moved = max(float((one - other).abs().max()) for one, other in zip(alone, together, strict=False))
        print(f"{dtype} {'guided' if guidance else 'unguided'}: {moved:.1e}")
        assert moved < bound


@pytest.fixture(scope="module")
def half(pocket_catalog: Catalog) -> ModelRegistry:
    return registry(pocket_catalog, "fp16")


@pytest.fixture
def model(half: ModelRegistry) -> StableDiffusion:
    """The shipped model in fp16, whose VAE's file says nothing of upcasting."""
    model = pocket_of(half)
    vae = torch.nn.Module.to(copy.deepcopy(model._vae), dtype=torch.float16)
    vae.register_to_config(force_upcast=False)
    model._decoder = Decoder(vae)
    model.__dict__.pop("decode_linearly", None)
    return model


@pytest.fixture
def overflowing(model: StableDiffusion) -> StableDiffusion:
    """The same with a weight so large that no picture fits fp16."""
    weight = model._vae.decoder.mid_block.resnets[-1].conv2.weight
    weight.mul_(3e4 / weight.abs().max())
    assert not bool(Decoder(model._vae)(torch.randn(1, 8, 8, 8)).isfinite().all())
    return model


def test_a_picture_that_overflows_is_finite_the_second_time_and_its_mates_are_the_first(
    model: StableDiffusion, capsys: pytest.CaptureFixture[str]
) -> None:
    ordinary = torch.randn(2, 8, 8, 8, generator=torch.Generator().manual_seed(4))
    huge = 1e5 * ordinary[:1]  # more than fp16 holds
    before = model.render(ordinary)
    with NoReading():
        first, overflowed, second = model.render(torch.cat([ordinary[:1], huge, ordinary[1:]])).split(1)
    assert bool(overflowed.isnan().any())
    assert (first - before[:1]).abs().max() < 1e-3
    assert (second - before[1:]).abs().max() < 1e-3
    assert model._vae.dtype == torch.float16
    for _ in range(2):
        assert bool(model.render(huge).isfinite().all())
    assert model._vae.dtype == torch.float32
    assert model.networks[2] is model._vae, "its memory counts"
    assert capsys.readouterr().out.count("overflows in fp16") == 1


def test_latents_that_are_not_finite_say_nothing_of_the_vae(model: StableDiffusion) -> None:
    for _ in range(2):
        model.render(torch.full((1, 8, 8, 8), float("nan")))
    assert model._vae.dtype == torch.float16


def test_a_job_whose_vae_overflows_in_fp16_gets_its_picture(
    overflowing: StableDiffusion, half: ModelRegistry, ask: Ask
) -> None:
    runner, asked = Runner(half), ask(steps=2)
    picture = generate(asked, runner, SamplerInputs("pocket-m")).pixels
    assert bool(picture.isfinite().all())
    assert picture.std() > 0.01, "it is not one colour"
    assert picture.shape == (3, 64, 64)


def test_a_linear_decoder_is_fitted_to_finite_pictures(overflowing: StableDiffusion) -> None:
    fitted = overflowing.decode_linearly
    assert fitted.is_finite
    assert fitted.weight.abs().max() > 0
    assert overflowing._vae.dtype == torch.float32


def test_guidance_goes_on_after_the_step_at_which_the_decoder_overflowed(
    overflowing: StableDiffusion, half: ModelRegistry, ask: Ask
) -> None:
    guidance = {"scale": 0.3, "cutouts": 1, "trace": True, "start": 0.0, "last_step": True}
    made = generate(ask(steps=3, guidance=guidance), Runner(half), SamplerInputs("pocket-m"))
    assert [step.skipped for step in made.trace or ()] == [True, False, False]


def test_a_picture_whose_encoding_overflows_is_encoded_wider(model: StableDiffusion) -> None:
    pictures = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(5))
    weight = model._vae.encoder.mid_block.resnets[-1].conv2.weight
    weight.mul_(3e4 / weight.abs().max())
    with torch.no_grad():
        assert bool(model.encode_pixels(pictures).isfinite().all())
    assert model._vae.dtype == torch.float32


def test_a_picture_that_stays_without_numbers_fails_its_job_instead_of_being_black(
    model: StableDiffusion, half: ModelRegistry, ask: Ask
) -> None:
    model._vae.decoder.conv_out.bias.fill_(float("nan"))
    with pytest.raises(JobFailedError, match="picture 0 is not finite after decoding"):
        generate(ask(steps=1), Runner(half), SamplerInputs("pocket-m"))
