"""The losses of guidance against their formulas."""

import pytest
import torch
from torch.nn import functional as F

from worker.guidance.objectives import (
    PIXEL_LOSSES,
    AestheticLoss,
    SphericalLoss,
    out_of_range,
    saturation,
    spherical_distance,
    total_variation,
)


def test_spherical_distance_is_half_the_squared_angle() -> None:
    angles = torch.linspace(0.01, 3.1, 50, dtype=torch.float64)
    x = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    y = torch.stack([angles.cos(), angles.sin()], dim=-1)
    assert torch.allclose(spherical_distance(x, y), angles.square() / 2, atol=1e-9)


def test_its_gradient_is_right_by_finite_differences() -> None:
    torch.manual_seed(0)
    y = F.normalize(torch.randn(1, 6, dtype=torch.float64), dim=-1)
    x = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: spherical_distance(F.normalize(x, dim=-1), y), (x,))


def test_its_gradient_is_finite_where_the_vectors_are_equal_or_opposite() -> None:
    y = F.normalize(torch.ones(1, 4), dim=-1)
    for x in (y.clone(), -y):
        x = x.requires_grad_(True)
        (gradient,) = torch.autograd.grad(spherical_distance(x, y).sum(), x)
        assert gradient.isfinite().all()


def test_total_variation_is_that_of_a_sum_over_neighbours_written_out() -> None:
    picture = torch.rand(1, 3, 5, 4, dtype=torch.float64) * 2 - 0.5
    x = 2 * picture[0] - 1
    total = 0.0
    for channel in range(3):
        for row in range(5):
            for column in range(4):
                here = x[channel, row, column]
                if column < 3:
                    total += float((x[channel, row, column + 1] - here) ** 2)
                if row < 4:
                    total += float((x[channel, row + 1, column] - here) ** 2)
    assert total_variation(picture).item() == pytest.approx(total / 60)


def test_what_is_beyond_black_and_white_is_squared_for_range_and_plain_for_saturation() -> None:
    picture = torch.full((1, 3, 2, 2), 0.5)
    picture[0, 0, 0, 0], picture[0, 1, 1, 1] = 1.5, -0.25  # 2 and -1.5 on the scale from -1 to 1
    assert out_of_range(picture).item() == pytest.approx((1.0**2 + 0.5**2) / 12)
    assert saturation(picture).item() == pytest.approx((1.0 + 0.5) / 12)


@pytest.mark.parametrize("name", sorted(PIXEL_LOSSES))
def test_pixel_losses_are_of_each_picture_alone_and_their_gradients_are_right(name: str) -> None:
    pictures = torch.rand(2, 3, 4, 6, dtype=torch.float64) * 3 - 1
    loss = PIXEL_LOSSES[name]  # type: ignore[index]
    alone = torch.cat([loss(picture[None]) for picture in pictures])
    assert torch.allclose(loss(pictures), alone)
    assert torch.autograd.gradcheck(lambda pictures: loss(pictures), (pictures.requires_grad_(True),))


def test_the_loss_of_a_target_is_a_distance_and_of_a_predictor_a_score() -> None:
    embeddings = F.normalize(torch.randn(4, 6, dtype=torch.float64), dim=-1)
    target = F.normalize(torch.randn(1, 6, dtype=torch.float64), dim=-1)
    assert torch.equal(SphericalLoss(target)(embeddings), spherical_distance(embeddings, target))
    liked = AestheticLoss(lambda e: 10 * e[:, 0])
    assert torch.allclose(liked(embeddings), 1 - embeddings[:, 0])
