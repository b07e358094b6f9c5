"""Figures of sharpness and of places, on pictures of which they are known."""

import pytest
import torch

from training.xl.figures import centroids, follows, laplacian_energy


def square(top: int, left: int) -> torch.Tensor:
    picture = torch.ones(3, 32, 32)
    picture[:, top : top + 5, left : left + 7] = 0
    return picture


def test_the_laplacian_of_a_plane_is_nothing_and_that_of_a_dot_is_known() -> None:
    plane = torch.linspace(0, 1, 32).expand(3, 32, 32)
    dot = torch.zeros(3, 32, 32)
    dot[:, 10, 10] = 1
    energy = laplacian_energy(torch.stack([plane, dot]))
    assert energy[0] < 1e-10
    assert energy[1].item() == pytest.approx((16 + 4) / 30**2, rel=1e-5)


def test_a_centroid_is_the_middle_of_what_is_drawn_whatever_the_background_s_noise() -> None:
    noisy = square(4, 10) - 0.05 * torch.rand(1, 32, 32, generator=torch.Generator().manual_seed(0))
    places = centroids(torch.stack([square(4, 10), noisy.clamp(0, 1)]))
    assert torch.allclose(places, torch.tensor([[6.0, 13.0]] * 2), atol=0.02)


def test_a_picture_of_background_alone_has_no_centroid() -> None:
    assert centroids(torch.ones(1, 3, 8, 8)).isnan().all()


def test_drawings_that_move_with_a_cut_follow_it_by_its_slope_wherever_each_begins() -> None:
    cuts = torch.tensor([0.0, 3, 6, 9])
    starts = torch.tensor([[30.0], [22.0]])
    assert follows(cuts, starts - 0.7 * cuts) == pytest.approx((-0.7, -1.0))
    slope, correlation = follows(cuts, starts + torch.tensor([[1.0, -1, -1, 1], [1, -1, -1, 1]]))
    assert (slope, correlation) == pytest.approx((0, 0), abs=1e-6)
