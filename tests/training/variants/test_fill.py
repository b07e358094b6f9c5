"""Filling holes, against diffusers' own pipeline and against the other way to keep the known part."""

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor

from training.diffusion import scheduler
from training.settings import models_folder
from training.variants.delta import widen
from training.variants.fill import Texts, fill
from training.variants.inpaint_data import Holes

STEPS = 8
SCALE = 3.0
CAPTIONS = ["noto red apple", "flat rocket on a dark blue background"]


@pytest.fixture(scope="module")
def unet() -> UNet2DConditionModel:
    return UNet2DConditionModel.from_pretrained(models_folder() / "pocket" / "unet").float().eval()


@pytest.fixture(scope="module")
def texts() -> Texts:
    return Texts()


def _holes(mask: Tensor) -> tuple[Holes, Tensor]:
    rng = torch.Generator().manual_seed(0)
    x0, hidden, noise = (torch.randn(2, 8, 16, 16, generator=rng) for _ in range(3))
    return Holes(x0, torch.cat([mask.expand(2, 1, 16, 16), hidden], dim=1), CAPTIONS), noise


def _half() -> Tensor:
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., :8] = 1
    return mask


def test_a_picture_that_is_all_hole_is_what_the_pipeline_of_diffusers_draws(
    unet: UNet2DConditionModel, texts: Texts
) -> None:
    holes, noise = _holes(torch.ones(1, 1, 16, 16))
    pipe = StableDiffusionPipeline.from_pretrained(
        models_folder() / "pocket",
        unet=unet,
        scheduler=DDIMScheduler.from_config(scheduler().config, set_alpha_to_one=True),
        safety_checker=None,
        requires_safety_checker=False,
    ).to(torch.float32)
    pipe.set_progress_bar_config(disable=True)
    expected = pipe(
        CAPTIONS, num_inference_steps=STEPS, guidance_scale=SCALE, latents=noise, output_type="latent"
    ).images
    drawn = fill(unet, holes, texts, noise, steps=STEPS, cfg_scale=SCALE)
    assert (drawn - expected).abs().max() < 2e-4


def test_blending_the_estimate_is_noising_the_known_part_anew_at_each_step(
    unet: UNet2DConditionModel, texts: Texts
) -> None:
    mask = _half()
    holes, noise = _holes(mask)
    steps = scheduler()
    steps.set_timesteps(STEPS)
    context = texts(CAPTIONS)
    x = noise
    with torch.no_grad():
        for t in steps.timesteps:
            v = unet(x, t, context).sample
            abar, after = steps.alphas_cumprod[t], t - 1000 // STEPS
            estimate = abar.sqrt() * x - (1 - abar).sqrt() * v
            epsilon = (x - abar.sqrt() * estimate) / (1 - abar).sqrt()
            abar = steps.alphas_cumprod[after] if after >= 0 else torch.tensor(1.0)
            x = abar.sqrt() * estimate + (1 - abar).sqrt() * epsilon
            # At the first level the known part counts as pure noise, so what it is noised with is not quite ``noise``.
            first = steps.alphas_cumprod[steps.timesteps[0]]
            own = (noise - first.sqrt() * holes.x0) / (1 - first).sqrt()
            known = abar.sqrt() * holes.x0 + (1 - abar).sqrt() * own
            x = mask * x + (1 - mask) * known
    drawn = fill(unet, holes, texts, noise, steps=STEPS, cfg_scale=1.0)
    assert (drawn - x).abs().max() < 2e-4
    assert torch.equal(drawn[..., 8:], holes.x0[..., 8:])


def test_a_unet_of_more_channels_is_told_of_the_hole(texts: Texts) -> None:
    unet = UNet2DConditionModel.from_pretrained(models_folder() / "pocket" / "unet").float().eval()
    holes, noise = _holes(_half())
    blind = fill(unet, holes, texts, noise, steps=2, cfg_scale=1.0)
    widen(unet, 17)
    assert torch.allclose(fill(unet, holes, texts, noise, steps=2, cfg_scale=1.0), blind, atol=1e-5)
    with torch.no_grad():
        unet.conv_in.weight[:, 8:] += 0.1
    assert (fill(unet, holes, texts, noise, steps=2, cfg_scale=1.0) - blind).abs().max() > 0.1
