"""Measures of filled holes, on pictures whose figures are known."""

import pytest
import torch
from torch import Tensor

from training.variants.hole_figures import Truth, background_error, psnr, seam
from training.variants.masks import middle


def _truth() -> Truth:
    """Two pictures with a smooth slope, and a glyph over the left half of each."""
    slope = torch.linspace(0.2, 0.4, 64).expand(2, 3, 64, 64)
    alphas = torch.zeros(2, 1, 64, 64)
    alphas[..., :32] = 1
    return Truth(slope.clone(), alphas, middle())


def _with_hole(truth: Truth, change: float) -> Tensor:
    return truth.pictures + change * truth.mask


def test_psnr_counts_the_hole_alone() -> None:
    truth = _truth()
    assert psnr(_with_hole(truth, 0.1), truth) == pytest.approx(20, abs=1e-3)
    outside = truth.pictures + 0.5 * ~truth.mask
    assert psnr(outside, truth) == pytest.approx(100)


def test_a_seam_is_as_strong_as_the_pictures_own_steps_times_what_it_adds() -> None:
    truth = _truth()
    assert seam(truth.pictures, truth) == pytest.approx(1)
    # Of the edge's pixels half lie left and right, where the slope has a step, and half above and below, without one.
    step, added = 0.2 / 63, 0.1
    expected = (2 * added + (added + step) + (added - step)) / (2 * step)
    assert seam(_with_hole(truth, added), truth) == pytest.approx(expected, rel=1e-3)


def test_the_background_is_measured_where_the_glyph_leaves_it_free() -> None:
    truth = _truth()
    flat = Truth(torch.full((2, 3, 64, 64), 0.5), truth.alphas, truth.mask)
    assert background_error(flat.pictures, flat) == 0
    assert background_error(_with_hole(flat, 0.1), flat) == pytest.approx(25.5, rel=1e-3)
    on_the_glyph = flat.pictures + 0.1 * flat.alphas
    assert background_error(on_the_glyph, flat) == 0


def test_a_picture_whose_glyph_covers_the_hole_is_left_out() -> None:
    truth = _truth()
    alphas = truth.alphas.clone()
    alphas[1] = 1
    one = Truth(torch.full((2, 3, 64, 64), 0.5), alphas, truth.mask)
    made = one.pictures.clone()
    made[1] += 0.3
    assert background_error(made, one) == 0
