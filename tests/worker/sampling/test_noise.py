"""Fresh noise, drawn on another thread: the numbers that it would have on this one."""

import pytest
import torch

from worker.sampling.noise import AT_A_TIME, noise_stream


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


@pytest.mark.parametrize("side", [8, 9])
@pytest.mark.parametrize("count", [1, AT_A_TIME, 2 * AT_A_TIME + 1])
def test_it_is_the_same_drawn_together_and_one_by_one(side: int, count: int) -> None:
    shape, rng = (1, 4, side, side), generator()
    expected = [torch.randn(shape, generator=rng) for _ in range(count)]
    stream = noise_stream(generator(), shape, count)
    for each in expected:
        assert torch.equal(next(stream), each)
    with pytest.raises(StopIteration):
        next(stream)
