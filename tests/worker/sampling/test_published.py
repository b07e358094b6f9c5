"""The numbers of the diffusers community pipeline, on the pocket models.

``LODESTAR_CLIP_GUIDED_PIPELINE`` is the path of its file, which is fetched from the repository of diffusers:
``examples/community/clip_guided_stable_diffusion.py``.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from benchmarks.methods.community import community_pipeline
from jobs.requests.request import ResolvedRequest
from tests.worker.conftest import ROOT
from worker.engine.runner import Runner
from worker.engine.solo import generate
from worker.models.families.stable_diffusion import StableDiffusion
from worker.models.registry import ModelRegistry
from worker.sampling.inputs import SamplerInputs

FILE = os.environ.get("LODESTAR_CLIP_GUIDED_PIPELINE")
CONTRAST = 0.2


@pytest.fixture
def models(trained: ModelRegistry) -> ModelRegistry:
    """The shipped ones."""
    return trained


@pytest.mark.skipif(FILE is None, reason="LODESTAR_CLIP_GUIDED_PIPELINE is not set")
@pytest.mark.filterwarnings("ignore")
def test_the_preset_diffusers_draws_what_the_community_pipeline_draws(
    models: ModelRegistry, ask: Callable[..., ResolvedRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With pictures of little contrast: theirs are clamped before CLIP sees them, which would cut the gradient."""
    request = ask(
        sampler="ddim", steps=6, guidance={"preset": "diffusers", "overview_cuts": 1, "inner_cuts": 0}
    )
    clip = models.clip("pocket-m")
    stock = StableDiffusionPipeline.from_pretrained(ROOT / "models" / "pocket").to(torch.float32)
    decode = stock.vae.decode

    def faint(latents: Tensor, **options: object) -> object:
        decoded = decode(latents, **options)
        decoded.sample = CONTRAST * decoded.sample
        return decoded

    stock.vae.decode = faint
    assert FILE is not None
    pipeline = community_pipeline(
        Path(FILE), stock, clip.networks[0], clip.embed_text(request.prompt), clip.px
    )
    size = stock.unet.config.sample_size
    shape = (1, stock.unet.config.in_channels, size, size)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(request.seed))
    theirs = pipeline(
        request.prompt,
        height=8 * size,  # it takes all latents for an eighth of the picture
        width=8 * size,
        num_inference_steps=request.steps,
        guidance_scale=request.cfg_scale,
        clip_guidance_scale=100,
        use_cutouts=False,
        latents=noise,
        output_type="np",
    ).images[0]

    ours = StableDiffusion.decode
    monkeypatch.setattr(
        StableDiffusion, "decode", lambda self, latents: 0.5 + CONTRAST * (ours(self, latents) - 0.5)
    )
    guided = generate(request, Runner(models), SamplerInputs("pocket-m")).pixels.permute(1, 2, 0).numpy()
    plain = generate(request.model_copy(update={"guidance": None}), Runner(models), SamplerInputs("pocket-m"))
    assert abs(guided - theirs).max() < 1e-3 * CONTRAST
    assert abs(plain.pixels.permute(1, 2, 0).numpy() - theirs).max() > 0.05 * CONTRAST
