"""The guidance gradient against the definition of a gradient."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worker.guidance import clip_losses
from worker.guidance.blur import gaussian_blur
from worker.guidance.cutouts import (
    AUGMENTATIONS,
    Cutouts,
    CutoutSpec,
    add_noise,
    draw_cutouts,
    make_cutouts,
)
from worker.guidance.gradient import Gradient, guidance_gradients
from worker.guidance.objectives import (
    PIXEL_LOSSES,
    AestheticLoss,
    ClipTerm,
    ClipTerms,
    Loss,
    PixelTerm,
    SphericalLoss,
    spherical_distance,
)
from worker.models.registry import ModelRegistry
from worker.sampling.rule import rms

SIZE = (12, 12)


class ToyClip:
    """An embedder small enough for float64 and finite differences."""

    def __init__(self, px: int) -> None:
        self.px = px
        self.network = nn.Sequential(
            nn.Conv2d(3, 6, 4, stride=4), nn.Tanh(), nn.Flatten(), nn.Linear(6 * (px // 4) ** 2, 5)
        ).double()

    def embed(self, pictures: Tensor) -> Tensor:
        return F.normalize(self.network(pictures), dim=-1)


class Toy:
    """A decoder, two embedders, and losses of every kind."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.decoder = nn.Sequential(
            nn.Conv2d(4, 8, 3, padding=1),
            nn.SiLU(),
            nn.Upsample(scale_factor=4),
            nn.Conv2d(8, 3, 3, padding=1),
        ).double()
        self.clips = {"one": ToyClip(8), "two": ToyClip(12)}
        self.head = nn.Linear(5, 1).double()
        self.latents = torch.randn(2, 4, 3, 3, dtype=torch.float64)
        self.losses = [self.loss_of(1, 6, 0.7), self.loss_of(2, 4, -1.3)]

    def loss_of(self, seed: int, count: int, weight: float) -> Loss:
        rng = torch.Generator().manual_seed(seed)
        targets = F.normalize(torch.randn(3, 1, 5, generator=rng, dtype=torch.float64), dim=-1)
        spec = CutoutSpec(count - 2, 2, augmentation=AUGMENTATIONS["disco"])
        first, second = (draw_cutouts(spec, SIZE, clip.px, rng) for clip in self.clips.values())
        near = [
            ClipTerm(number, weight / (number + 1), SphericalLoss(target))
            for number, target in enumerate(targets)
        ]
        liked = ClipTerm(5, 0.2, AestheticLoss(lambda embeddings: self.head(embeddings)[:, 0]))
        return Loss(
            (ClipTerms("one", first, (near[0], near[1])), ClipTerms("two", second, (near[2], liked))),
            (PixelTerm(3, 0.1, "tv"), PixelTerm(4, 0.5, "range")),
        )

    def loss(self, latents: Tensor, loss: Loss) -> Tensor:
        """The loss of one picture written straight from its definition, as one graph."""
        return self.seen(self.decoder(latents), loss)

    def seen(self, picture: Tensor, loss: Loss) -> Tensor:
        """The same of a decoded picture."""
        total = torch.zeros((), dtype=torch.float64)
        for clip_terms in loss.clip_terms:
            drawn = clip_terms.cutouts
            assert drawn.noise is not None
            cutouts = Cutouts(drawn.px, drawn.numbers.double())
            embeddings = self.clips[clip_terms.clip].embed(make_cutouts(picture, cutouts) + drawn.noise)
            for term in clip_terms.terms:
                if isinstance(term.loss, SphericalLoss):
                    distance = spherical_distance(embeddings, term.loss.target)
                else:
                    distance = 1 - self.head(embeddings)[:, 0] / 10
                total = total + term.weight * distance.mean()
        for pixel_term in loss.pixel_terms:
            total = total + pixel_term.weight * PIXEL_LOSSES[pixel_term.property](picture)[0]
        return total

    def gradients(self, latents: Tensor, losses: Sequence[Loss], chunk: int) -> list[Gradient]:
        return guidance_gradients(latents, losses, decode=self.decoder, clips=self.clips, chunk=chunk)


@pytest.fixture
def toy() -> Toy:
    return Toy()


def test_it_equals_finite_differences_of_the_whole_loss(toy: Toy) -> None:
    step = 1e-6
    for own, loss in zip(toy.latents.split(1), toy.losses, strict=True):
        (gradient,) = toy.gradients(own, [loss], chunk=6)
        assert gradient.loss == pytest.approx(toy.loss(own, loss).item())
        for index in range(0, own.numel(), 5):
            shift = torch.zeros_like(own)
            shift.view(-1)[index] = step
            difference = (toy.loss(own + shift, loss) - toy.loss(own - shift, loss)) / (2 * step)
            assert gradient.value.view(-1)[index].item() == pytest.approx(
                difference.item(), abs=1e-8, rel=1e-6
            )


def test_it_equals_the_gradient_of_the_whole_graph(toy: Toy) -> None:
    own = toy.latents[:1].clone().requires_grad_(True)
    (whole,) = torch.autograd.grad(toy.loss(own, toy.losses[0]), own)
    (ours,) = toy.gradients(own, toy.losses[:1], chunk=2)
    assert torch.allclose(ours.value, whole, rtol=1e-12, atol=1e-14)


def test_a_blurred_gradient_is_that_of_a_picture_that_can_only_change_in_broad_strokes(toy: Toy) -> None:
    """The blur is symmetric but at the edges, so it may be seen as one in front of the decoder's pixels."""
    clip_alone = replace(toy.losses[0], pixel_terms=())
    picture = toy.decoder(toy.latents[:1]).detach().requires_grad_(True)
    (of_pixels,) = torch.autograd.grad(toy.seen(picture, clip_alone), picture)
    own = toy.latents[:1].clone().requires_grad_(True)
    smooth = gaussian_blur(of_pixels, 0.2 * SIZE[0])
    (whole,) = torch.autograd.grad(toy.decoder(own), own, smooth)
    (ours,) = toy.gradients(own, [replace(clip_alone, blur=0.2)], chunk=3)
    assert torch.allclose(ours.value, whole, rtol=1e-10, atol=1e-14)
    assert not torch.allclose(ours.value, toy.gradients(own, [clip_alone], chunk=3)[0].value, rtol=0.1)


def test_a_blur_leaves_the_losses_the_pixel_terms_and_the_neighbours_alone(toy: Toy) -> None:
    blurred = [replace(toy.losses[0], blur=0.2), toy.losses[1]]
    sharp, both = toy.gradients(toy.latents, toy.losses, 6), toy.gradients(toy.latents, blurred, 6)
    assert both[0].losses == sharp[0].losses
    assert torch.equal(both[1].value, sharp[1].value)
    pixels = replace(toy.losses[0], clip_terms=())
    (plain,), (after,) = (
        toy.gradients(toy.latents[:1], [each], 6) for each in (pixels, replace(pixels, blur=0.2))
    )
    assert torch.equal(plain.value, after.value)


@pytest.mark.parametrize("sigma", [1.0, 4.0])
def test_a_blur_keeps_the_mean_and_spreads_a_point_as_a_gaussian(sigma: float) -> None:
    point = torch.zeros(1, 1, 41, 41, dtype=torch.float64)
    point[..., 20, 20] = 1
    spread = gaussian_blur(point, sigma)
    assert spread.sum().item() == pytest.approx(1)
    at = torch.arange(41, dtype=torch.float64) - 20
    variance = (spread[0, 0].sum(dim=0) * at**2).sum().item()
    assert variance == pytest.approx(sigma**2, rel=0.12)
    assert torch.equal(gaussian_blur(point, 0), point)
    assert torch.allclose(gaussian_blur(torch.full_like(point, 0.3), sigma), torch.full_like(point, 0.3))


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 100])
def test_the_size_of_the_chunks_does_not_change_it(toy: Toy, chunk: int) -> None:
    whole, chunked = (toy.gradients(toy.latents, toy.losses, chunk=size) for size in (6, chunk))
    for one, other in zip(whole, chunked, strict=True):
        assert torch.allclose(one.value, other.value, rtol=1e-12, atol=1e-15)
        assert one.losses == pytest.approx(other.losses)


@pytest.mark.parametrize("chunk", [3, 100])
def test_pictures_that_share_a_batch_get_the_gradient_that_each_gets_alone(toy: Toy, chunk: int) -> None:
    together = toy.gradients(toy.latents, toy.losses, chunk)
    for own, loss, shared in zip(toy.latents.split(1), toy.losses, together, strict=True):
        (alone,) = toy.gradients(own, [loss], chunk)
        assert torch.allclose(alone.value, shared.value, rtol=1e-12, atol=1e-15)
        assert alone.losses == pytest.approx(shared.losses)


def test_the_losses_are_those_of_the_objectives_without_their_weights(toy: Toy) -> None:
    (gradient,) = toy.gradients(toy.latents[:1], toy.losses[:1], chunk=4)
    weights = [term.weight for clip_terms in toy.losses[0].clip_terms for term in clip_terms.terms]
    weights += [term.weight for term in toy.losses[0].pixel_terms]
    numbers = [term.objective for clip_terms in toy.losses[0].clip_terms for term in clip_terms.terms]
    numbers += [term.objective for term in toy.losses[0].pixel_terms]
    total = sum(weight * gradient.losses[number] for weight, number in zip(weights, numbers, strict=True))
    assert gradient.loss == pytest.approx(total)
    assert set(gradient.losses) == set(range(6))


def test_a_sum_over_cutouts_is_their_mean_times_their_number(toy: Toy) -> None:
    clip_terms = toy.losses[0].clip_terms[0]
    (mean,) = toy.gradients(toy.latents[:1], [Loss((clip_terms,), (), "mean")], chunk=4)
    (total,) = toy.gradients(toy.latents[:1], [Loss((clip_terms,), (), "sum")], chunk=4)
    assert torch.allclose(total.value, mean.value * len(clip_terms.cutouts))
    assert total.loss == pytest.approx(mean.loss * len(clip_terms.cutouts))


def test_the_noise_of_cutouts_is_used_where_it_was_drawn(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is most of what a guided step holds on the host, and is never put together for a batch."""
    drawn, used = [], []
    for terms in (terms for loss in toy.losses for terms in loss.clip_terms):
        assert terms.cutouts.noise is not None
        drawn.append(terms.cutouts.noise.untyped_storage().data_ptr())

    def watched(made: Tensor, cutouts: Cutouts) -> None:
        assert cutouts.noise is not None
        used.append(cutouts.noise.untyped_storage().data_ptr())
        add_noise(made, cutouts)

    monkeypatch.setattr(clip_losses, "add_noise", watched)
    toy.gradients(toy.latents, toy.losses, chunk=3)
    assert set(used) == set(drawn)


def test_it_leaves_no_gradient_on_the_models(toy: Toy) -> None:
    for network in (toy.decoder, toy.head, *(clip.network for clip in toy.clips.values())):
        network.requires_grad_(False)
    toy.gradients(toy.latents, toy.losses, chunk=2)
    assert all(parameter.grad is None for parameter in toy.decoder.parameters())


def test_a_gradient_that_overflows_is_replaced_by_zero_and_reported_for_its_own_picture_alone(
    toy: Toy,
) -> None:
    latents = toy.latents.clone()
    latents[1] = float("inf")
    sound, broken = toy.gradients(latents, toy.losses, chunk=3)
    assert sound.finite
    assert torch.allclose(sound.value, toy.gradients(toy.latents, toy.losses, chunk=3)[0].value)
    assert not broken.finite
    assert broken.value.abs().max() == 0


def test_gradients_too_small_for_half_precision_arrive_whole(toy: Toy) -> None:
    """Through a decoder in fp16, the gradient of a loss of tiny weight is as good as that of a large one."""
    clip_terms = toy.losses[0].clip_terms[0]

    def decode(latents: Tensor) -> Tensor:
        decoded: Tensor = toy.decoder.half()(latents.half())
        return decoded

    latents = toy.latents[:1].float()
    small, large = (
        guidance_gradients(
            latents,
            [Loss((ClipTerms("one", clip_terms.cutouts, (ClipTerm(0, weight, clip_terms.terms[0].loss),)),))],
            decode=decode,
            clips={"one": _Widened(toy.clips["one"])},
            chunk=4,
        )[0]
        for weight in (1e-6, 1.0)
    )
    assert small.value.dtype == torch.float32
    assert torch.allclose(small.value * 1e6, large.value, rtol=1e-2, atol=float(rms(large.value)) * 1e-2)


class _Widened:
    """A float64 embedder for single precision pictures."""

    def __init__(self, clip: ToyClip) -> None:
        self._clip = clip

    def embed(self, pictures: Tensor) -> Tensor:
        return self._clip.embed(pictures.double()).float()


def test_a_step_along_it_brings_the_real_models_closer_to_the_text(models: ModelRegistry) -> None:
    diffusion, clip = models.diffusion("pocket"), models.clip("pocket-m")
    latents = torch.randn(
        1, diffusion.facts.latent_channels, 8, 8, generator=torch.Generator().manual_seed(0)
    )
    target = clip.embed_text("a red apple")
    spec = CutoutSpec(16, augmentation=AUGMENTATIONS["laion"])
    cutouts: Cutouts = draw_cutouts(spec, (64, 64), clip.px, torch.Generator().manual_seed(1))
    loss = Loss((ClipTerms("pocket-m", cutouts, (ClipTerm(0, 1.0, SphericalLoss(target)),)),))
    losses = []
    for _ in range(4):
        (gradient,) = guidance_gradients(
            latents, [loss], decode=diffusion.decode, clips={"pocket-m": clip}, chunk=8
        )
        losses.append(gradient.loss)
        latents = latents - 0.05 * gradient.value / rms(gradient.value)
    assert losses == sorted(losses, reverse=True)
