"""Drawings of stated sizes and cuts."""

import numpy as np
import pytest
import torch

from training.captions import compose
from training.xl.drawings import MOST_CUT_PX, SIDES, Making, made, random_making
from training.xl.figures import centroids, laplacian_energy


@pytest.fixture
def drawing() -> np.ndarray:
    """A dark checked square in the middle."""
    rgba = np.zeros((64, 64, 4), np.uint8)
    y, x = np.mgrid[:64, :64]
    inside = (abs(y - 31.5) < 16) & (abs(x - 31.5) < 16)
    rgba[inside, 3] = 255
    rgba[inside & ((x // 4 + y // 4) % 2 == 0), :3] = 120
    return rgba


def test_the_ids_are_in_the_order_of_sdxl() -> None:
    assert Making(24, top=3, left=5).ids == [24, 24, 3, 5, 64, 64]


def test_a_making_that_states_nothing_is_the_drawing_itself(drawing: np.ndarray) -> None:
    assert (made(drawing, "pink", Making()) == compose(drawing, "pink")).all()


def test_a_drawing_moves_by_what_is_cut(drawing: np.ndarray) -> None:
    pictures = [made(drawing, "white", making) for making in (Making(), Making(top=4, left=9))]
    before, after = centroids(torch.from_numpy(np.stack(pictures)) / 2 + 0.5)
    assert torch.allclose(before - after, torch.tensor([4.0, 9.0]))


def test_the_smaller_it_was_the_softer_it_is(drawing: np.ndarray) -> None:
    pictures = np.stack([made(drawing, "white", Making(side)) for side in SIDES])
    energies = laplacian_energy(torch.from_numpy(pictures) / 2 + 0.5).tolist()
    assert energies == sorted(energies)
    assert energies[-1] > 4 * energies[0]
    assert np.abs(pictures).max() <= 1


def test_random_makings_cover_all_sizes_and_cuts() -> None:
    rng = np.random.default_rng(0)
    makings = [random_making(rng) for _ in range(2000)]
    assert {making.side for making in makings} == set(SIDES)
    assert {making.left for making in makings} == set(range(MOST_CUT_PX + 1))
    assert 0.35 < sum(making.top == making.left == 0 for making in makings) / 2000 < 0.45
