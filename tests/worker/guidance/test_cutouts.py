"""Views of a picture."""

import pytest
import torch

from worker.guidance.cutouts import Views, draw_views, make_views


def still_views(count: int, px: int) -> Views:
    """Views that change nothing."""
    return Views(*(torch.zeros(count) for _ in range(7)), noise=torch.zeros(count, 3, px, px))  # type: ignore[misc]


def test_a_view_without_motion_or_tint_is_the_picture_itself() -> None:
    picture = torch.rand(1, 3, 32, 32)
    views = make_views(picture, still_views(2, 32), 32)
    assert torch.allclose(views, picture.expand(2, -1, -1, -1), atol=1e-5)


def test_the_same_generator_draws_the_same_views() -> None:
    one, two = (draw_views(5, 16, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one.rotation, two.rotation)
    assert torch.equal(one.noise, two.noise)


def test_drawing_views_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    draw_views(5, 16, torch.Generator().manual_seed(3))
    assert torch.equal(torch.rand(1), expected)


def test_views_made_in_chunks_equal_views_made_at_once() -> None:
    picture = torch.rand(1, 3, 40, 40)
    views = draw_views(7, 24, torch.Generator().manual_seed(1))
    whole = make_views(picture, views, 24)
    parts = torch.cat([make_views(picture, views.part(start, start + 3), 24) for start in (0, 3, 6)])
    assert torch.allclose(whole, parts, atol=1e-6)


def test_views_differ_by_a_few_percent_only() -> None:
    picture = torch.full((1, 3, 32, 32), 0.5)
    views = make_views(picture, draw_views(48, 32, torch.Generator().manual_seed(0)), 32)
    means = views.mean(dim=(1, 2, 3))
    assert means.std() > 0.001
    assert (means - 0.5).abs().max() < 0.5 * 0.06


@pytest.mark.parametrize(("height", "width"), [(32, 64), (64, 32), (48, 80)])
def test_the_views_of_an_oblong_picture_are_square_and_cover_it_all(height: int, width: int) -> None:
    picture = torch.zeros(1, 3, height, width, requires_grad=True)
    views = make_views(picture, draw_views(48, 16, torch.Generator().manual_seed(0)), 16)
    assert views.shape == (48, 3, 16, 16)
    (gradient,) = torch.autograd.grad(views.sum(), picture)
    seen = gradient[0].sum(0) > 0
    assert seen.float().mean() > 0.99


def test_a_picture_outside_the_unit_range_keeps_its_gradient() -> None:
    picture = torch.full((1, 3, 16, 16), 1.7, requires_grad=True)
    views = make_views(picture, draw_views(4, 16, torch.Generator().manual_seed(0)), 16)
    (gradient,) = torch.autograd.grad(views.sum(), picture)
    assert gradient.abs().min() > 0
