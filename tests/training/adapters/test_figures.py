"""Figures of adapters on embeddings whose answer is known."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from training.adapters.figures import between, centroids, margin, picked, saturation, told

LABELS = ["a", "b", "c"] * 4


def _features() -> Tensor:
    """Four unit vectors around each of three axes of a space of five dimensions."""
    rng = torch.Generator().manual_seed(0)
    axes = torch.eye(5)[:3].repeat(4, 1)
    return F.normalize(axes + 0.05 * torch.randn(12, 5, generator=rng), dim=1)


def test_a_centroid_is_the_unit_mean_of_its_label_whatever_the_order_of_labels() -> None:
    features = _features()
    centres = centroids(features, LABELS, ("c", "a"))
    assert torch.allclose(centres[1], F.normalize(features[::3].mean(dim=0), dim=0))
    assert torch.allclose(centres.norm(dim=1), torch.ones(2))


def test_every_vector_picks_its_own_centroid_and_no_other() -> None:
    features = _features()
    centres = centroids(features, LABELS, ("a", "b", "c"))
    assert picked(features[1::3], centres, 1) == 1
    assert picked(features[1::3], centres, 0) == 0
    assert picked(features, centres, 2) == pytest.approx(1 / 3)


def test_a_style_is_told_by_the_nearest_drawing_of_the_same_thing() -> None:
    rng = torch.Generator().manual_seed(2)
    things = [F.normalize(torch.randn(3, 5, generator=rng), dim=1) for _ in range(4)]  # each in three styles
    shown = torch.stack([drawings[1] for drawings in things])
    assert told(shown, things, [1] * 4) == 1
    assert told(shown, things, [0] * 4) == 0
    assert told(shown, things, [1, 1, 2, 0]) == 0.5


def test_the_margin_grows_on_the_way_to_a_centroid() -> None:
    features = _features()
    centres = centroids(features, LABELS, ("a", "b", "c"))
    way = [F.normalize(torch.lerp(centres[:1], centres[1:2], at), dim=1) for at in (0.0, 0.3, 0.6, 1.0)]
    margins = [margin(step, centres, 1) for step in way]
    assert margins == sorted(margins)
    assert margins[0] < 0 < margins[-1]


def test_the_line_between_two_centroids_is_measured_from_nought_to_one() -> None:
    first, second = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0])
    aside = torch.tensor([0.0, 0.0, 5.0])
    for at in (0.0, 0.25, 1.0):
        assert between((torch.lerp(first, second, at) + aside)[None], first, second) == pytest.approx(at)


def test_grey_has_no_saturation_and_a_pure_colour_has_all() -> None:
    grey = torch.rand(2, 1, 4, 4).expand(-1, 3, -1, -1)
    red = torch.zeros(2, 3, 4, 4)
    red[:, 0] = 1
    assert saturation(grey) == 0
    assert saturation(red) == 1
    assert saturation(torch.cat([grey, red])) == 0.5
