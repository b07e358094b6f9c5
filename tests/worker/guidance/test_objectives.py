"""The losses of guidance against their formulas."""

import torch
from torch.nn import functional as F

from worker.guidance.objectives import spherical_distance


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
