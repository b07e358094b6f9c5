"""The guidance gradient against the definition of a gradient."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worker.guidance.cutouts import Views, draw_views, make_views
from worker.guidance.gradient import Gradient, guidance_gradients, normalized
from worker.guidance.objectives import spherical_distance
from worker.models.registry import ModelRegistry

PX = 8


class Toy:
    """A decoder and an embedder small enough for float64 and finite differences."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.decoder = nn.Sequential(
            nn.Conv2d(4, 8, 3, padding=1),
            nn.SiLU(),
            nn.Upsample(scale_factor=4),
            nn.Conv2d(8, 3, 3, padding=1),
        ).double()
        self.embedder = nn.Sequential(
            nn.Conv2d(3, 6, 4, stride=4), nn.Tanh(), nn.Flatten(), nn.Linear(24, 5)
        ).double()
        self.denoised = torch.randn(1, 4, 3, 3, dtype=torch.float64)
        self.target = F.normalize(torch.randn(1, 5, dtype=torch.float64), dim=-1)
        self.views = draw_views(6, PX, torch.Generator().manual_seed(1)).to(
            torch.device("cpu"), torch.float64
        )

    def embed(self, pictures: Tensor) -> Tensor:
        return F.normalize(self.embedder(pictures), dim=-1)

    def loss(self, latents: Tensor) -> Tensor:
        """The loss written straight from its definition, as one graph."""
        views = make_views(self.decoder(latents), self.views, PX)
        return spherical_distance(self.embed(views), self.target).mean()

    def gradient(self, chunk: int) -> Gradient:
        (gradient,) = guidance_gradients(
            self.denoised,
            self.target,
            [self.views],
            decode=self.decoder,
            embed=self.embed,
            px=PX,
            chunk=chunk,
        )
        return gradient


@pytest.fixture
def toy() -> Toy:
    return Toy()


def test_it_equals_finite_differences_of_the_whole_loss(toy: Toy) -> None:
    gradient = toy.gradient(chunk=6).value.double()
    step = 1e-6
    for index in range(0, toy.denoised.numel(), 5):
        nudge = torch.zeros_like(toy.denoised)
        nudge.view(-1)[index] = step
        difference = (toy.loss(toy.denoised + nudge) - toy.loss(toy.denoised - nudge)) / (2 * step)
        assert gradient.view(-1)[index].item() == pytest.approx(difference.item(), abs=1e-6, rel=1e-4)


@pytest.mark.parametrize("chunk", [1, 2, 4, 5, 100])
def test_the_size_of_the_chunks_does_not_change_it(toy: Toy, chunk: int) -> None:
    whole, chunked = toy.gradient(chunk=6), toy.gradient(chunk=chunk)
    assert torch.allclose(whole.value, chunked.value, rtol=1e-6, atol=1e-9)
    assert whole.loss == pytest.approx(chunked.loss)


def test_it_leaves_no_gradient_on_the_models(toy: Toy) -> None:
    toy.decoder.requires_grad_(False)
    toy.embedder.requires_grad_(False)
    toy.gradient(chunk=2)
    assert all(
        parameter.grad is None for parameter in (*toy.decoder.parameters(), *toy.embedder.parameters())
    )


def test_a_gradient_that_overflows_is_replaced_by_zero_and_reported(toy: Toy) -> None:
    (broken,) = guidance_gradients(
        toy.denoised,
        toy.target,
        [toy.views],
        decode=lambda latents: toy.decoder(latents) * float("inf"),
        embed=toy.embed,
        px=PX,
        chunk=6,
    )
    assert not broken.finite
    assert broken.value.abs().max() == 0


def test_normalizing_makes_the_root_mean_square_one_for_each_picture_alone() -> None:
    gradient = torch.randn(3, 4, 8, 8) * torch.tensor([1e-6, 1.0, 1e4]).view(3, 1, 1, 1)
    rms = normalized(gradient).square().mean(dim=(1, 2, 3)).sqrt()
    assert torch.allclose(rms, torch.ones(3))
    assert normalized(torch.zeros(1, 4, 8, 8)).abs().max() == 0


def test_a_step_along_it_brings_the_real_models_closer_to_the_text(models: ModelRegistry) -> None:
    diffusion, clip = models.diffusion("pocket"), models.clip("pocket-m")
    latents = torch.randn(
        1, diffusion.facts.latent_channels, 8, 8, generator=torch.Generator().manual_seed(0)
    )
    target = clip.embed_text("a red apple")
    views: Views = draw_views(16, clip.px, torch.Generator().manual_seed(1))
    losses = []
    for _ in range(4):
        (gradient,) = guidance_gradients(
            latents, target, [views], decode=diffusion.decode, embed=clip.embed, px=clip.px, chunk=8
        )
        losses.append(gradient.loss)
        latents = latents - 0.05 * normalized(gradient.value)
    assert losses == sorted(losses, reverse=True)
