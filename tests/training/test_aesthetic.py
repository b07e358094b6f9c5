"""The ways of spoiling a picture that the aesthetic head learns to see."""

import numpy as np
import pytest
import torch

from training.aesthetic import SPOILINGS, Spoiling


def drawing() -> torch.Tensor:
    picture = torch.ones(3, 64, 64)
    picture[:, 16:48, 16:48] = torch.tensor([0.9, 0.2, 0.1]).view(3, 1, 1)
    return picture


@pytest.mark.parametrize("spoil", SPOILINGS)
def test_more_severe_spoiling_leaves_less_of_the_picture(spoil: Spoiling) -> None:
    clean = drawing()
    errors = []
    for severity in (0.0, 1.0):
        drawn = [spoil(clean, severity, np.random.default_rng(seed)) for seed in range(20)]
        assert all(picture.min() >= 0 and picture.max() <= 1 + 1e-6 for picture in drawn)
        errors.append(float(torch.stack([(picture - clean).abs().mean() for picture in drawn]).mean()))
    assert 0 < errors[0] < errors[1]


@pytest.mark.parametrize("spoil", SPOILINGS)
def test_the_clean_picture_is_left_as_it_is(spoil: Spoiling) -> None:
    clean = drawing()
    spoil(clean, 1.0, np.random.default_rng(0))
    assert torch.equal(clean, drawing())
