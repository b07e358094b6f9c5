"""Lines by darkness and by differences of Gaussians."""

import numpy as np
import pytest

from jobs.pictures.maps.lines import blurred, lineart, scribble, xdog


def paper(level: int = 255, size: int = 64) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    return np.full((size, size, 3), level, dtype=np.uint8)


def drawn(level: int = 0) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """A line of two pixels on white."""
    levels = paper()
    levels[:, 31:33] = level
    return levels


@pytest.mark.parametrize("sigma", [0.5, 3.0])
def test_a_blur_spreads_a_point_as_a_gaussian(sigma: float) -> None:
    values = np.zeros((65, 65), dtype=np.float32)
    values[32, 32] = 1
    blur = blurred(values, sigma)
    apart = np.arange(65) - 32
    row = np.exp(-(apart**2) / (2 * sigma**2))
    expected = np.outer(row, row) / row.sum() ** 2
    assert np.abs(blur - expected).max() < 1e-4
    assert blur.sum() == pytest.approx(1, abs=1e-4)


def test_a_blur_keeps_what_is_even_up_to_the_borders() -> None:
    values = np.full((20, 7), 40, dtype=np.float32)
    assert np.abs(blurred(values, 6.0) - 40).max() < 1e-3


def test_a_blur_mirrors_at_the_borders() -> None:
    ramp = np.repeat(np.arange(32, dtype=np.float32)[None], 8, axis=0)
    inside = np.pad(ramp, ((0, 0), (31, 31)), mode="reflect")
    assert np.allclose(blurred(ramp, 2.0), blurred(inside, 2.0)[:, 31:-31], atol=1e-4)


@pytest.mark.parametrize("level", [0, 180])
def test_a_typical_line_is_grey_however_faint_it_is(level: int) -> None:
    lines = lineart(drawn(level))
    assert abs(int(lines[32, 31]) - 127) <= 30
    assert lines[:, :8].max() == 0


def test_paper_has_no_lines() -> None:
    assert lineart(paper(200)).max() == 0
    assert not xdog(paper(200), 1).any()
    assert not scribble(paper(200), 127).any()


def test_what_is_dark_in_one_channel_is_a_scribble() -> None:
    levels = paper()
    levels[10, :, 2] = 100
    assert scribble(levels, 127)[10].all()
    assert scribble(levels, 127).sum() == 64
    assert not scribble(levels, 100).any()


def test_a_lower_threshold_draws_more() -> None:
    levels = drawn(150)
    levels[:, 10:12] = 240
    counts = [int(xdog(levels, threshold).sum()) for threshold in (4, 32, 200)]
    assert counts[0] > counts[1] > counts[2] == 0
    assert xdog(levels, 32)[:, 31:33].all()


def test_a_wide_dark_area_is_drawn_at_its_border_alone() -> None:
    levels = paper()
    levels[:, 32:] = 0
    lines = xdog(levels, 32)
    assert lines[:, 33].all()
    assert not lines[:, 50:].any()
    assert not lines[:, :30].any()
