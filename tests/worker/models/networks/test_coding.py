"""A VAE in bands answers as it does in one pass, and is run so where one pass does not fit."""

from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from tests.worker.models.networks.test_decoding import tiny_vae
from tests.worker.models.variants import POCKET
from worker.models.device import Device
from worker.models.networks.banded_vae import decode_in_bands, encode_in_bands, is_banded
from worker.models.networks.bands import Bands
from worker.models.networks.coding import PictureCoder
from worker.models.networks.decoding import Decoder
from worker.settings import WorkerSettings

CPU = torch.device("cpu")
ROWS = (1, 40_000)  # bytes of a band: two rows of some maps, and of others many


@pytest.fixture(scope="module", params=["tiny", "pocket"])
def vae(request: pytest.FixtureRequest) -> Any:
    """Of two levels and random weights; of three levels and trained, with blocks without a shortcut."""
    if request.param == "tiny":
        return tiny_vae(latent_channels=4, layers_per_block=2)
    return AutoencoderKL.from_pretrained(POCKET / "vae").eval().requires_grad_(False)


def latents_for(vae: Any, height: int, width: int) -> Tensor:
    return torch.randn(
        1, vae.config.latent_channels, height, width, generator=torch.Generator().manual_seed(1)
    )


def device_with(batch_gib: float) -> Device:
    return Device(WorkerSettings(device="cpu", batch_memory_gib=batch_gib))


@torch.no_grad()
@pytest.mark.parametrize("band_bytes", ROWS)
def test_a_picture_in_bands_is_that_of_one_pass(vae: Any, band_bytes: float) -> None:
    latents = latents_for(vae, 13, 10)
    whole = vae.decode(latents).sample
    banded = decode_in_bands(vae, latents, Bands(CPU, CPU, band_bytes))
    assert banded.shape == whole.shape
    assert float((banded - whole).abs().max()) < 2e-5 * float(whole.abs().max())


@torch.no_grad()
@pytest.mark.parametrize("band_bytes", ROWS)
def test_latents_in_bands_are_those_of_one_pass(vae: Any, band_bytes: float) -> None:
    picture = torch.rand(1, 3, 40, 56, generator=torch.Generator().manual_seed(2)) * 2 - 1
    whole = vae.encode(picture).latent_dist.parameters
    banded = encode_in_bands(vae, picture, Bands(CPU, CPU, band_bytes))
    assert banded.shape == whole.shape
    assert float((banded - whole).abs().max()) < 2e-5 * float(whole.abs().max())


@torch.no_grad()
def test_what_does_not_fit_is_run_in_bands_row_by_row(vae: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    latents = torch.cat([latents_for(vae, 8, 8), latents_for(vae, 8, 8).neg()])
    whole = Decoder(vae)
    ample, scarce = (PictureCoder(whole, device_with(gib)) for gib in (1.0, 1e-6))
    pictures = ample.decode(latents, whole)
    modes = ample.encode(pictures.clamp(0, 1))
    with monkeypatch.context() as without:
        without.setattr(AutoencoderKL, "decode", _fails)
        without.setattr(AutoencoderKL, "encode", _fails)
        assert torch.allclose(scarce.decode(latents, whole), pictures, atol=1e-4)
        assert torch.allclose(scarce.encode(pictures.clamp(0, 1)), modes, atol=1e-4)


@torch.no_grad()
def test_a_pass_that_runs_out_of_memory_is_run_again_in_bands(
    vae: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, latents = Decoder(vae), latents_for(vae, 8, 8)
    coder = PictureCoder(whole, device_with(1.0))
    picture = coder.decode(latents, whole)
    monkeypatch.setattr(AutoencoderKL, "decode", _fails)
    assert torch.allclose(coder.decode(latents, whole), picture, atol=1e-4)
    with pytest.raises(torch.OutOfMemoryError):  # of two, which may fit one by one
        coder.decode(torch.cat([latents, latents]), whole)


def test_a_vae_of_other_blocks_is_run_in_one_pass() -> None:
    other = tiny_vae(
        latent_channels=4, up_block_types=("AttnUpDecoderBlock2D", "UpDecoderBlock2D"), norm_num_groups=4
    )
    assert not is_banded(other)
    whole, latents = Decoder(other), latents_for(other, 8, 8)
    coder = PictureCoder(whole, device_with(1e-6))
    assert torch.equal(coder.decode(latents, whole), whole(latents))


def _fails(*_: object, **__: object) -> None:
    raise torch.OutOfMemoryError("no room")
