"""Edges."""

import numpy as np
import pytest

from jobs.pictures.maps.edges import canny


def drawn(height: int = 16, width: int = 16) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    return np.zeros((height, width, 3), dtype=np.uint8)


def test_a_step_is_one_line_wherever_it_lies() -> None:
    levels = drawn()
    levels[:, 8:] = 255
    edges = canny(levels, 100, 200)
    assert edges.sum(axis=1).tolist() == [1] * 16
    assert canny(levels.transpose(1, 0, 2), 100, 200).sum(axis=0).tolist() == [1] * 16


def test_a_slanted_step_is_a_line_without_gaps() -> None:
    rows, columns = np.indices((32, 32))
    levels = drawn(32, 32)
    levels[columns > rows] = 255
    edges = canny(levels, 100, 200)
    assert edges.any(axis=1).sum() >= 30
    assert edges.sum() <= 2 * 32


def test_a_step_of_one_channel_counts() -> None:
    levels = drawn()
    levels[:, 8:, 2] = 255
    assert canny(levels, 100, 200).any()


def test_nothing_has_no_edges() -> None:
    assert not canny(drawn() + 7, 1, 2).any()


@pytest.mark.parametrize(("low", "count"), [(100, 30), (700, 15)])
def test_a_weak_edge_goes_on_from_a_strong_one(low: float, count: int) -> None:
    levels = drawn(30, 16)
    levels[:, 8:] = 150  # a gradient of 600
    levels[:15, 8:] = 255  # of 1020
    edges = canny(levels, low, 800)[:, 6:10].any(axis=1)
    assert abs(int(edges.sum()) - count) <= 1


def test_a_weak_edge_alone_is_none() -> None:
    levels = drawn()
    levels[:, 8:] = 150
    assert not canny(levels, 100, 800).any()


def test_a_long_edge_is_followed_to_its_end() -> None:
    levels = drawn(400, 16)
    levels[:, 8:] = 150
    levels[0, 8:] = 255
    assert canny(levels, 100, 700)[2:, 6:10].any(axis=1).sum() > 390
