"""What the style adapters learn from, and what they do not."""

import numpy as np

from training import glyphs
from training.adapters.evaluate_style import shipped
from training.adapters.style import LOOKED_AT
from training.adapters.styles import glazed, inked, is_held_out
from training.captions import COLOURS
from training.settings import models_folder


def _drawing() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    rng = np.random.default_rng(0)
    rgba = np.zeros((8, 8, 4), dtype=np.uint8)
    rgba[..., 3] = rng.integers(0, 256, size=(8, 8))
    return rgba


def test_ink_is_white_where_the_background_is_dark_and_black_elsewhere() -> None:
    rgba = _drawing()
    for colour, values in COLOURS.items():
        shown = inked(rgba, colour)
        is_dark = max(values) <= 90
        assert (shown[..., :3] == (255 if is_dark else 0)).all(), colour
        assert (shown[..., 3] == rgba[..., 3]).all()
    assert (rgba[..., :3] == 0).all()


def test_delft_is_blue_and_keeps_shapes_and_shades() -> None:
    rng = np.random.default_rng(1)
    rgba = rng.integers(0, 256, size=(16, 16, 4), dtype=np.uint8)
    painted = glazed(rgba).astype(int)
    red, green, blue = np.moveaxis(painted[..., :3], -1, 0)
    assert (blue >= green).all()
    assert (green >= red).all()
    assert (painted[..., 3] == rgba[..., 3]).all()
    shades = [rgb @ np.array([0.299, 0.587, 0.114]) for rgb in (rgba[..., :3], painted[..., :3])]
    assert np.corrcoef(*(shade.ravel() for shade in shades))[0, 1] > 0.999


def test_a_tenth_of_the_learned_names_is_held_out_and_some_of_them_are_looked_at() -> None:
    names = glyphs.learned()
    held_out = [name for name in names if is_held_out(name)]
    assert 0.05 < len(held_out) / len(names) < 0.15
    assert [is_held_out(name) for name in LOOKED_AT] == [False] * 4 + [True] * 4
    assert set(LOOKED_AT) <= set(names)


def test_styles_that_are_measured_have_an_adapter_with_a_card() -> None:
    assert {"blob", "delft", "ink"} <= set(shipped())
    assert all((models_folder() / "adapters" / style / "README.md").is_file() for style in shipped())
