"""Cutouts of a picture."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from worker.guidance.cutouts import (
    AUGMENTATIONS,
    Augmentation,
    Cutouts,
    CutoutSpec,
    add_noise,
    draw_cutouts,
    make_cutouts,
)

LAION = AUGMENTATIONS["laion"]
SQUARE = (32, 32)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def window(picture: Tensor, size: float, x: float, y: float, px: int) -> Tensor:
    """One untouched window of a picture."""
    return make_cutouts(picture, Cutouts(px, torch.tensor([size, x, y, 0, 1, 1, 1, 1])[:, None]))


def test_a_cutout_without_motion_or_tint_is_the_picture_itself() -> None:
    picture = torch.rand(1, 3, 32, 32)
    cutouts = make_cutouts(picture, draw_cutouts(CutoutSpec(overview=2), SQUARE, 32, rng()))
    assert torch.allclose(cutouts, picture.expand(2, -1, -1, -1), atol=1e-5)


def test_a_window_is_that_part_of_the_picture() -> None:
    # Smooth, since a window whose corners lie between pixels mixes neighbours.
    coarse = torch.rand(1, 3, 4, 4, generator=rng())
    picture = torch.nn.functional.interpolate(coarse, (32, 32), mode="bilinear")
    right_lower = window(picture, 0.5, 0.5, 0.5, 16)
    assert (right_lower - picture[..., 16:, 16:]).abs().mean() < (
        right_lower - picture[..., :16, :16]
    ).abs().mean() / 2


def test_smaller_windows_are_resized_like_any_picture() -> None:
    smooth = F.interpolate(torch.rand(1, 3, 4, 4, generator=rng()), (64, 64), mode="bicubic")
    crop = F.interpolate(smooth[..., 16:48, 16:48], (16, 16), mode="bilinear", antialias=True)
    assert torch.allclose(window(smooth, 0.5, 0.0, 0.0, 16), crop, atol=0.03)


def test_the_same_generator_draws_the_same_cutouts() -> None:
    one, two = (draw_cutouts(CutoutSpec(3, 2, augmentation=LAION), SQUARE, 16, rng(3)) for _ in range(2))
    assert torch.equal(one.numbers, two.numbers)
    assert one.noise is not None
    assert two.noise is not None
    assert torch.equal(one.noise, two.noise)


def test_drawing_cutouts_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    draw_cutouts(CutoutSpec(3, 2, augmentation=LAION), SQUARE, 16, rng(3))
    assert torch.equal(torch.rand(1), expected)


def test_cutouts_made_in_chunks_equal_cutouts_made_at_once() -> None:
    picture = torch.rand(1, 3, 40, 40)
    cutouts = draw_cutouts(CutoutSpec(4, 3, augmentation=LAION), (40, 40), 24, rng(1))
    whole = make_cutouts(picture, cutouts)
    parts = torch.cat([make_cutouts(picture, cutouts.part(start, start + 3)) for start in (0, 3, 6)])
    assert torch.allclose(whole, parts, atol=1e-6)


def test_cutouts_of_several_pictures_equal_those_of_each() -> None:
    pictures = torch.rand(2, 3, 40, 40)
    spec = CutoutSpec(1, augmentation=LAION)
    one, other = (draw_cutouts(spec, (40, 40), 24, rng(seed)) for seed in (1, 2))
    assert one.noise is not None
    assert other.noise is not None
    both = Cutouts(24, torch.cat([one.numbers, other.numbers], dim=1), torch.cat([one.noise, other.noise]))
    alone = [make_cutouts(picture[None], own) for picture, own in zip(pictures, (one, other), strict=True)]
    assert torch.allclose(make_cutouts(pictures, both), torch.cat(alone), atol=1e-6)


def test_noise_is_standard_normal_noise_times_its_strength() -> None:
    generator = rng(5)
    drawn = draw_cutouts(CutoutSpec(3, augmentation=LAION), SQUARE, 16, rng(5))
    torch.rand(11, 3, generator=generator)
    assert drawn.noise is not None
    assert torch.equal(drawn.noise, LAION.noise_std * torch.randn(3, 3, 16, 16, generator=generator))


def test_noise_is_added_where_it_is_and_the_gradient_passes_it() -> None:
    picture = torch.rand(1, 3, 32, 32, requires_grad=True)
    drawn = draw_cutouts(CutoutSpec(3, augmentation=LAION), SQUARE, 16, rng(5))
    made = make_cutouts(picture, drawn)
    assert drawn.noise is not None
    expected = made.detach() + drawn.noise
    add_noise(made, drawn)
    assert torch.equal(made, expected)
    (gradient,) = torch.autograd.grad(made.square().sum(), picture)
    (whole,) = torch.autograd.grad((make_cutouts(picture, drawn) + drawn.noise).square().sum(), picture)
    assert torch.equal(gradient, whole)


def test_cutouts_without_noise_hold_none() -> None:
    assert draw_cutouts(CutoutSpec(3), SQUARE, 16, rng()).noise is None


def test_cutouts_of_laion_differ_by_a_few_percent_only() -> None:
    picture = torch.full((1, 3, 32, 32), 0.5)
    cutouts = make_cutouts(picture, draw_cutouts(CutoutSpec(48, augmentation=LAION), SQUARE, 32, rng()))
    means = cutouts.mean(dim=(1, 2, 3))
    assert means.std() > 0.001
    assert (means - 0.5).abs().max() < 0.5 * 0.06
    drawn = draw_cutouts(CutoutSpec(400, augmentation=LAION), SQUARE, 32, rng())
    assert math.radians(4.5) < drawn.rotation.abs().max() <= math.radians(5)
    assert 0.09 < drawn.x.abs().max() <= 0.1  # half a picture is 1


def test_cutouts_of_disco_are_mirrored_half_of_the_time_and_grey_now_and_then() -> None:
    drawn = draw_cutouts(
        CutoutSpec(0, 1000, inner_grey=0.2, augmentation=AUGMENTATIONS["disco"]), SQUARE, 8, rng()
    )
    assert (drawn.mirror < 0).float().mean() == pytest.approx(0.5, abs=0.05)
    assert (drawn.tints[0] == 0).float().mean() == pytest.approx(0.2, abs=0.04)


def test_a_mirrored_cutout_is_the_picture_from_right_to_left_and_a_grey_one_has_no_colour() -> None:
    picture = torch.rand(1, 3, 16, 16)
    mirrored, grey = (
        make_cutouts(picture, draw_cutouts(CutoutSpec(1, augmentation=changes), (16, 16), 16, rng()))
        for changes in (Augmentation(mirrored=1), Augmentation(grey=1))
    )
    assert torch.allclose(mirrored, picture.flip(-1), atol=1e-5)
    assert torch.allclose(grey, picture.mean(dim=1, keepdim=True).expand_as(grey), atol=1e-5)


def test_crops_have_sizes_from_that_of_clip_to_the_whole_by_the_power_of_cut_pow() -> None:
    sizes = {
        power: draw_cutouts(CutoutSpec(0, 2000, cut_pow=power), (64, 96), 16, rng()).size
        for power in (0.5, 1.0, 4.0)
    }
    for power, size in sizes.items():
        assert size.min() >= 0.25
        assert size.max() <= 1
        assert size.mean().item() == pytest.approx(0.25 + 0.75 / (1 + power), abs=0.02)


def test_a_crop_lies_inside_the_picture() -> None:
    drawn = draw_cutouts(CutoutSpec(0, 500), (64, 96), 16, rng())
    assert (drawn.x.abs() + drawn.size * 64 / 96).max() <= 1 + 1e-6
    assert (drawn.y.abs() + drawn.size).max() <= 1 + 1e-6


def test_stratified_sizes_fill_every_part_of_their_range() -> None:
    drawn = draw_cutouts(CutoutSpec(2, 8, stratified=True), (64, 64), 16, rng())
    shares = (drawn.size[2:] - 0.25) / 0.75
    assert [int(share * 8) for share in shares] == list(range(8))


@pytest.mark.parametrize(("height", "width"), [(32, 64), (64, 32), (48, 80)])
@pytest.mark.parametrize("spec", [CutoutSpec(48, augmentation=LAION), CutoutSpec(0, 48), CutoutSpec(8, 40)])
def test_the_cutouts_of_an_oblong_picture_are_square_and_cover_it_all(
    spec: CutoutSpec, height: int, width: int
) -> None:
    picture = torch.zeros(1, 3, height, width, requires_grad=True)
    cutouts = make_cutouts(picture, draw_cutouts(spec, (height, width), 16, rng()))
    assert cutouts.shape == (48, 3, 16, 16)
    (gradient,) = torch.autograd.grad(cutouts.sum(), picture)
    seen = gradient[0].sum(0) > 0
    assert seen.float().mean() > (0.95 if spec.inner else 0.99)


def test_a_picture_outside_the_unit_range_keeps_its_gradient() -> None:
    picture = torch.full((1, 3, 16, 16), 1.7, requires_grad=True)
    cutouts = make_cutouts(picture, draw_cutouts(CutoutSpec(4, augmentation=LAION), (16, 16), 16, rng()))
    (gradient,) = torch.autograd.grad(cutouts.sum(), picture)
    assert gradient.abs().min() > 0
