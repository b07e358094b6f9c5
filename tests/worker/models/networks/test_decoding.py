"""A VAE that overflows in fp16 is run in fp32, and no other one is."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from worker.models.networks.decoding import Decoder

LATENTS = (3, 4, 8, 8)


def tiny_vae(**config: object) -> Any:
    """With random weights, frozen."""
    torch.manual_seed(2)
    options: dict[str, Any] = {
        "block_out_channels": (8, 16),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "norm_num_groups": 4,
        "scaling_factor": 0.5,
    }
    return AutoencoderKL(**options | config).eval().requires_grad_(False)


def overflowing(vae: Any, by: float = 2.0**17) -> Any:
    """The same VAE, whose numbers before the last norm are many times as large."""
    for part in (vae.decoder.mid_block.resnets[-1].conv2, vae.decoder.up_blocks[0].resnets[0].conv2):
        part.weight.mul_(by)
        part.bias.mul_(by)
    return vae


def half(vae: Any) -> Any:
    return torch.nn.Module.to(vae, dtype=torch.float16)


@torch.no_grad()
def decoded(decoder: Decoder, latents: Tensor) -> Tensor:
    return decoder(latents).float()


def test_this_vae_overflows_in_fp16_alone() -> None:
    with torch.no_grad():
        latents = torch.randn(LATENTS)
        assert bool(decoded(Decoder(overflowing(tiny_vae())), latents).isfinite().all())
        assert not bool(decoded(Decoder(half(overflowing(tiny_vae()))), latents).isfinite().all())
        assert bool(decoded(Decoder(half(tiny_vae())), latents).isfinite().all())


@torch.no_grad()
def test_a_wider_decoder_draws_the_picture_of_fp32_and_leaves_the_vae_to_others() -> None:
    latents, vae = torch.randn(LATENTS), half(overflowing(tiny_vae()))
    decoder, other = Decoder(vae), Decoder(vae)
    assert decoder.widen()
    reference = decoded(Decoder(overflowing(tiny_vae())), latents)
    assert (decoded(decoder, latents) - reference).abs().max() < 1e-2, "the weights have come through fp16"
    assert decoder.vae.dtype == torch.float32
    assert other.vae.dtype == torch.float16
    assert not decoder.widen(), "there is nothing wider"


@torch.no_grad()
def test_the_call_after_one_that_overflowed_is_wide() -> None:
    decoder, latents = Decoder(half(overflowing(tiny_vae()))), torch.randn(LATENTS)
    finite = [bool(decoded(decoder, latents).isfinite().all()) for _ in range(3)]
    assert finite == [False, True, True]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_formats_that_hold_large_numbers_stay(dtype: torch.dtype) -> None:
    decoder = Decoder(torch.nn.Module.to(tiny_vae(force_upcast=True), dtype=dtype))
    assert not decoder.widen()
    assert decoder.vae.dtype == dtype


@pytest.mark.parametrize(("said", "dtype"), [(True, torch.float32), (False, torch.float16)])
def test_a_configuration_that_speaks_of_upcasting_is_obeyed(said: bool, dtype: torch.dtype) -> None:
    assert Decoder(half(tiny_vae(force_upcast=said))).vae.dtype == dtype


def test_a_configuration_that_is_silent_keeps_fp16_although_diffusers_assumes_otherwise(
    tmp_path: Path,
) -> None:
    tiny_vae().save_config(tmp_path)
    file = tmp_path / "config.json"
    file.write_text(file.read_text().replace('"force_upcast": true,', ""))
    vae = AutoencoderKL.from_config(AutoencoderKL.load_config(tmp_path))
    assert vae.config.force_upcast
    assert Decoder(half(vae)).vae.dtype == torch.float16


def test_gradients_flow_through_either_format() -> None:
    for decoder in (Decoder(half(tiny_vae(force_upcast=False))), Decoder(half(tiny_vae(force_upcast=True)))):
        latents = torch.randn(1, 4, 8, 8, requires_grad=True)
        (gradient,) = torch.autograd.grad(decoder(latents).float().sum(), latents)
        assert bool(gradient.isfinite().all())
        assert gradient.abs().sum() > 0
