"""When a gain counts: where a judge that shares nothing with the guide sees it too."""

import math
from dataclasses import fields

import pytest
import torch

from training.judges.asked import Asked, pool
from training.judges.panel import Opinion, change, counts, mean

N = 64


def _opinion(**changed: torch.Tensor) -> Opinion:
    torch.manual_seed(0)
    names = [field.name for field in fields(Opinion)]
    figures = {name: torch.rand(N, dtype=torch.float64) for name in names}
    return Opinion(**{**figures, **changed})


def test_a_gain_of_the_clip_alone_does_not_count() -> None:
    before = _opinion()
    after = _opinion(similarity=before.similarity + 0.1, purified=before.purified + 0.1)
    assert change(before, after, "similarity").mean == pytest.approx(0.1)
    assert counts(before, after) == []


@pytest.mark.parametrize(("field", "better"), [("distance", -1), ("net_top_5", 1), ("drawing_top_5", 1)])
def test_a_gain_that_another_judge_sees_counts_and_a_loss_does_not(field: str, better: int) -> None:
    before = _opinion()
    step = 0.1 + 0.2 * torch.rand(N, dtype=torch.float64)
    for sign, counted in ((better, [field]), (-better, [])):
        after = _opinion(**{field: getattr(before, field) + sign * step})
        assert counts(before, after) == counted


def test_a_change_within_two_standard_errors_does_not_count() -> None:
    before = _opinion()
    noise = torch.randn(N, dtype=torch.float64)
    noise += 1.5 * noise.std() / N**0.5 - noise.mean()
    assert counts(before, _opinion(net_top_5=before.net_top_5 + noise)) == []


def test_pictures_that_a_judge_cannot_tell_are_left_out_of_its_mean() -> None:
    distance = torch.full((N,), math.nan, dtype=torch.float64)
    distance[:2] = torch.tensor([4.0, 8.0])
    assert mean(_opinion(distance=distance), "distance") == 6
    assert change(_opinion(distance=distance), _opinion(distance=distance + 1), "distance").mean == 1


def test_what_was_asked_in_words_and_the_names_it_could_be_taken_for() -> None:
    assert Asked("red apple", "noto", "blue").prompt == "noto red apple on a blue background"
    assert Asked("red apple", "noto").prompt == "noto red apple"
    names = pool("banjo", 256)
    assert names[0] == "banjo"
    assert len(names) == len(set(names)) == 256
