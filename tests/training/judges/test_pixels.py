"""The judge that compares with the real drawing, pixel by pixel."""

import pytest
import torch

from tests.training.judges.conftest import THINGS
from training.judges.asked import Asked, Drawings
from training.judges.pixels import PixelJudge
from training.judges.spoiling import noisy


@pytest.mark.parametrize("colour", ["white", "dark blue"])
def test_a_real_drawing_is_no_distance_from_itself_and_the_nearest(drawings: Drawings, colour: str) -> None:
    asked = [Asked(name, "noto", colour) for name in THINGS]
    seen = PixelJudge(drawings).see(torch.stack([drawings.picture(one) for one in asked]), asked)
    assert seen.distance.max() == 0
    assert seen.rank.max() == 0


def test_noise_takes_it_away_and_another_thing_takes_the_first_place(drawings: Drawings) -> None:
    judge, asked = PixelJudge(drawings), [Asked(name, "noto") for name in THINGS]
    pictures = torch.stack([drawings.picture(one) for one in asked])
    spoilt = (pictures + 0.4 * torch.randn(pictures.shape, generator=torch.Generator().manual_seed(0))).clamp(
        0, 1
    )
    assert judge.see(spoilt, asked).distance.min() > 1
    wrong = judge.see(pictures.roll(1, dims=0), asked)
    assert wrong.rank.min() >= 1
    assert wrong.top(1).sum() == 0
    assert wrong.top(len(THINGS)).min() == 1


def test_the_distance_of_a_uniform_change_is_the_change(drawings: Drawings) -> None:
    asked = Asked("fox", "noto", "grey")
    changed = drawings.picture(asked) + 10 / 255
    assert PixelJudge(drawings).see(changed[None], [asked]).distance == pytest.approx(10, abs=1e-4)


def test_what_nobody_drew_is_not_judged(drawings: Drawings) -> None:
    seen = PixelJudge(drawings).see(torch.zeros(1, 3, 64, 64), [Asked("fox", "twemoji")])
    assert seen.distance.isnan().all()
    assert seen.top(5).isnan().all()


def test_noise_of_the_training_pictures_leaves_most_as_they_are() -> None:
    pictures = torch.zeros(400, 3, 4, 4)
    changed = (noisy(pictures, torch.Generator().manual_seed(0)) != 0).flatten(1).any(dim=1).double().mean()
    assert 0.3 < changed < 0.5
