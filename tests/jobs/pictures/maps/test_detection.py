"""Maps of pictures at the size of the result, whatever makes them."""

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from jobs.pictures.maps.detection import map_of, working_size
from jobs.requests.conditions.maps import Preprocessor, ResolvedMap
from jobs.requests.start.init import Fit
from tests.brought_pictures import scene

NAME = f"sha256:{'0' * 64}"
DRAWN = {Preprocessor.CANNY, Preprocessor.SCRIBBLE, Preprocessor.XDOG}


def how(preprocess: Preprocessor, **fields: Any) -> ResolvedMap:
    return ResolvedMap.model_validate({"image": NAME, "preprocess": preprocess, **fields})


def drawing(side: int = 256) -> Image.Image:
    """A circle in black on white."""
    picture = Image.new("RGB", (side, side), "white")
    edge = side // 64
    ImageDraw.Draw(picture).ellipse(
        (side // 5, side // 5, side - side // 5, side - side // 5), outline=0, width=edge
    )
    return picture


def levels(picture: Image.Image) -> Any:
    return np.asarray(picture)


@pytest.mark.parametrize("preprocess", Preprocessor)
@pytest.mark.parametrize("size", [(64, 64), (96, 40)])
@pytest.mark.parametrize("resolution", [None, 200])
def test_every_map_is_a_picture_of_the_wanted_size(
    preprocess: Preprocessor, size: tuple[int, int], resolution: int | None
) -> None:
    made = map_of(drawing(), how(preprocess, resolution=resolution), size, seed=3)
    assert (made.size, made.mode) == (size, "RGB")
    assert made.getextrema() != ((0, 0),) * 3
    if preprocess in DRAWN:
        assert set(np.unique(levels(made))) == {0, 255}


@pytest.mark.parametrize("preprocess", Preprocessor)
def test_the_same_fields_make_the_same_map(preprocess: Preprocessor) -> None:
    made = [map_of(scene(), how(preprocess), (48, 48), seed=7) for _ in range(2)]
    assert np.array_equal(*map(levels, made))


def test_the_picture_itself_is_a_map() -> None:
    assert np.array_equal(levels(map_of(scene(), how(Preprocessor.NONE), (48, 48), 0)), levels(scene()))


def test_black_lines_on_white_become_white_ones_on_black() -> None:
    inverted = levels(map_of(drawing(), how(Preprocessor.INVERT), (256, 256), 0))
    assert np.array_equal(inverted, 255 - levels(drawing()))


@pytest.mark.parametrize("preprocess", [*sorted(DRAWN), Preprocessor.LINEART])
def test_lines_are_where_they_were_drawn(preprocess: Preprocessor) -> None:
    white = levels(map_of(drawing(), how(preprocess), (256, 256), 0))[..., 0] > 60
    rows, columns = np.nonzero(white)
    radii = np.hypot(rows - 128, columns - 128)
    assert len(radii) > 300
    assert radii.min() > 65
    assert radii.max() < 90


def test_a_thin_line_of_a_high_resolution_stays_thin_and_whole_in_a_small_map() -> None:
    fine = levels(map_of(drawing(512), how(Preprocessor.CANNY, resolution=512), (64, 64), 0))[..., 0] > 0
    assert fine[32].sum() <= 6  # four crossings of the circle's two edges
    assert fine.any(axis=0)[14:50].all()


def test_a_line_stays_black_and_white_in_a_larger_map() -> None:
    large = levels(map_of(drawing(), how(Preprocessor.CANNY, resolution=64), (256, 256), 0))
    assert set(np.unique(large)) == {0, 255}


def test_tiles_have_the_colours_and_no_detail() -> None:
    checks = Image.fromarray(np.indices((64, 64)).sum(axis=0).astype(np.uint8) % 2 * 255).convert("RGB")
    tiles = levels(map_of(checks, how(Preprocessor.TILE), (64, 64), 0))
    assert np.abs(tiles.astype(int) - 127).max() <= 1
    one = levels(map_of(checks, how(Preprocessor.TILE, downsample=1), (64, 64), 0))
    assert np.array_equal(one, levels(checks))


def test_shuffling_keeps_colours_and_moves_them_by_its_seed() -> None:
    picture = scene(64, 64)
    one, other = (levels(map_of(picture, how(Preprocessor.SHUFFLE), (64, 64), seed)) for seed in (1, 2))
    assert not np.array_equal(one, other)
    assert np.abs(one.astype(int) - levels(picture)).mean() > 10
    assert one.min() >= levels(picture).min()
    assert one.max() <= levels(picture).max()


def test_shuffling_is_the_same_at_every_size() -> None:
    small, large = (
        map_of(scene(256, 256), how(Preprocessor.SHUFFLE), (side, side), seed=5) for side in (128, 256)
    )
    apart = levels(large.resize((128, 128))).astype(int) - levels(small)
    assert np.abs(apart).mean() < 4


def test_a_resolution_is_that_of_the_shorter_side() -> None:
    assert working_size(how(Preprocessor.CANNY, resolution=512), (96, 64)) == (768, 512)
    assert working_size(how(Preprocessor.CANNY), (96, 64)) == (96, 64)
    assert working_size(how(Preprocessor.TILE, resolution=512), (96, 64)) == (96, 64)


def test_a_narrow_map_is_looked_at_with_no_more_pixels_than_a_square_one() -> None:
    width, height = working_size(how(Preprocessor.CANNY, resolution=2048), (8, 2048))
    assert height == 256 * width
    assert width * height <= 2048**2


def test_a_picture_of_another_shape_is_fitted_first() -> None:
    wide = Image.new("RGB", (128, 64), "white")
    wide.paste(Image.new("RGB", (32, 64), "black"), (0, 0))
    cropped, stretched = (
        levels(map_of(wide, how(Preprocessor.SCRIBBLE, fit=fit), (64, 64), 0))
        for fit in (Fit.CROP, Fit.STRETCH)
    )
    assert not cropped.any()
    assert (stretched[:, :15] == 255).all()
