"""The coarse decoder that is fitted to a VAE."""

import torch
from torch import Tensor
from torch.nn import functional as F

from worker.guidance.linear_decoder import fit_linear_decoder
from worker.models.registry import ModelRegistry

CPU = torch.device("cpu")


def test_it_finds_a_decoder_that_is_linear_itself() -> None:
    rng = torch.Generator().manual_seed(1)
    weight, bias = torch.randn(12, 4, 3, 3, generator=rng), torch.randn(12, generator=rng)

    def decode(latents: Tensor) -> Tensor:
        return F.pixel_shuffle(F.conv2d(F.pad(latents, [1] * 4, mode="replicate"), weight, bias), 2)

    fitted = fit_linear_decoder(decode, 4, 2, CPU)
    latents = torch.randn(2, 4, 5, 7, generator=rng)
    assert torch.allclose(fitted(latents), decode(latents), atol=0.02)


def test_of_the_real_one_it_knows_most_and_the_way_back(models: ModelRegistry) -> None:
    model = models.diffusion("pocket")
    assert model.decode_linearly is model.decode_linearly  # fitted once
    rng = torch.Generator().manual_seed(2)
    latents = torch.randn(4, model.facts.latent_channels, 16, 16, generator=rng)
    exact, coarse = model.decode(latents), model.decode_linearly(latents)
    assert coarse.shape == exact.shape == (4, 3, 64, 64)
    assert (exact - coarse).var() < 0.5 * exact.var()
    (back,) = torch.autograd.grad(model.decode_linearly(latents.requires_grad_(True)).square().sum(), latents)
    assert back.isfinite().all()
    assert back.abs().max() > 0
