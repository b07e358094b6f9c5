"""Pictures in 8 bits."""

import threading

import numpy as np
import pytest
import torch

from jobs.errors import JobFailedError
from worker.raster import Raster


def test_it_has_the_nearest_of_256_levels_rows_first() -> None:
    pixels = torch.rand(3, 48, 64, generator=torch.Generator().manual_seed(0))
    raster = Raster(pixels)
    assert raster.size == (64, 48)
    rounded = (pixels * 255).round().numpy().astype(np.uint8).transpose(1, 2, 0)
    assert np.array_equal(raster.levels(), rounded)
    assert (raster.pixels() - pixels).abs().max() <= 0.5 / 255 + 1e-6


def test_every_level_comes_back_as_itself() -> None:
    levels = torch.arange(256, dtype=torch.float32).expand(3, 1, 256)
    raster = Raster(levels / 255)
    assert torch.equal(Raster(raster.pixels()).pixels() * 255, levels)


def test_it_keeps_what_the_picture_was_when_it_was_made() -> None:
    pixels = torch.zeros(3, 2, 2)
    raster = Raster(pixels)
    pixels.fill_(1)
    assert raster.levels().max() == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_is_no_colour(value: float) -> None:
    pixels = torch.zeros(3, 2, 2)
    pixels[1, 0, 1] = value
    raster = Raster(pixels)
    assert not raster.is_finite
    with pytest.raises(JobFailedError, match="picture 3 is not finite after decoding"):
        raster.require_finite("picture 3", after="decoding")
    with pytest.raises(JobFailedError, match="not finite"):
        raster.levels()


def test_other_threads_may_read_it() -> None:
    raster, read = Raster(torch.ones(3, 2, 2)), []
    threads = [threading.Thread(target=lambda: read.append(raster.levels().min())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert read == [255] * 4
