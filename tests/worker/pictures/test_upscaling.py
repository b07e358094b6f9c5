import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from jobs.errors import MissingExtraError
from worker.pictures import upscaling
from worker.pictures.upscaling import Upscaler, held_upscaler, require_upscaler


@pytest.fixture(scope="module")
def upscaler() -> Upscaler:
    """The network for drawings."""
    try:
        require_upscaler()
    except MissingExtraError:
        if os.environ.get("CI"):
            raise
        pytest.skip("needs the extra `upscale`")
    return Upscaler("x4plus-anime", threads=1)


@pytest.fixture(scope="module")
def disc() -> Tensor:
    """A white disc on red, 40 x 24 pixels."""
    y, x = torch.meshgrid(torch.arange(24.0), torch.arange(40.0), indexing="ij")
    inside = ((y - 12) ** 2 + (x - 20) ** 2).sqrt() < 8
    return torch.where(inside, torch.ones(3, 1, 1), torch.tensor([0.8, 0.1, 0.1]).view(3, 1, 1))


@pytest.mark.parametrize("factor", [2, 4])
def test_a_picture_grows_and_shows_the_same(upscaler: Upscaler, disc: Tensor, factor: int) -> None:
    large = upscaler(disc, factor)
    assert large.shape == (3, 24 * factor, 40 * factor)
    assert 0 <= float(large.min()) <= float(large.max()) <= 1
    small = F.interpolate(large[None], (24, 40), mode="area")[0]
    assert float((small - disc).abs().mean()) < 0.03


def test_edges_are_sharper_than_interpolated_ones(upscaler: Upscaler, disc: Tensor) -> None:
    smooth = F.interpolate(disc[None], scale_factor=4, mode="bicubic", antialias=True)[0].clamp(0, 1)

    def steepest(picture: Tensor) -> float:
        row = picture[1, 48]
        return float((row[1:] - row[:-1]).abs().max())

    assert steepest(upscaler(disc, 4)) > 1.2 * steepest(smooth)


def test_tiles_fit_together(upscaler: Upscaler, disc: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = upscaler(disc, 4)
    monkeypatch.setattr(upscaling, "TILE_PX", 20)
    tiled = upscaler(disc, 4)
    assert float((whole - tiled).abs().mean()) < 0.01


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upscaling, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[upscale\]'"):
        Upscaler("x4plus", threads=1)


def test_a_network_is_loaded_once_and_serves_several_threads(upscaler: Upscaler, disc: Tensor) -> None:
    held = held_upscaler("x4plus-anime", 1)
    assert held_upscaler("x4plus-anime", 1) is held
    pictures = [disc, disc.flip(1), 1 - disc, disc.roll(1, 0)]
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda picture: held(picture, 4), pictures))
    assert all(torch.equal(each, upscaler(picture, 4)) for each, picture in zip(made, pictures, strict=True))
