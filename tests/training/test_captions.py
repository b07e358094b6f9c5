"""Training pictures and their captions."""

import numpy as np
import torch

from training.captions import COLOURS, caption, compose
from training.clip import augment
from training.glyphs import Glyph, is_held_out, vocabulary
from training.loop import Plan


def test_a_caption_names_its_background_unless_it_is_white() -> None:
    rng = np.random.default_rng(0)
    glyph = Glyph("red apple", "noto")
    assert caption(glyph, "light blue", rng, drop=0) == "noto red apple on a light blue background"
    assert caption(glyph, "white", rng, drop=0) == "noto red apple"


def test_a_glyph_covers_its_background_by_its_alpha() -> None:
    rgba = np.zeros((2, 2, 4), dtype=np.uint8)
    rgba[0, 0] = (255, 0, 0, 255)
    rgba[0, 1] = (255, 0, 0, 128)
    picture = (compose(rgba, "white") + 1) / 2
    assert picture[:, 0, 0].tolist() == [1, 0, 0]
    assert np.allclose(picture[:, 0, 1], [1, 0.498, 0.498], atol=0.01)
    assert np.allclose(picture[:, 1, 1], np.array(COLOURS["white"]) / 255)


def test_about_one_name_in_twenty_is_held_out_and_always_the_same() -> None:
    names = [f"thing {number}" for number in range(4000)]
    share = sum(is_held_out(name) for name in names) / len(names)
    assert 0.04 < share < 0.06
    assert is_held_out("volcano")
    assert not is_held_out("red apple")


def test_the_vocabulary_is_as_long_as_planned_and_has_no_name_twice() -> None:
    names = vocabulary()
    assert 400 <= len(names) == len(set(names)) <= 600


def test_augmenting_is_reproducible_and_changes_each_picture_differently() -> None:
    picture = torch.rand(1, 3, 64, 64).expand(4, -1, -1, -1)
    one, two = (augment(picture, torch.Generator().manual_seed(0)) for _ in range(2))
    assert torch.equal(one, two)
    assert (one[0] - one[1]).abs().mean() > 0.01


def test_the_learning_rate_warms_up_stays_and_falls_to_a_fiftieth() -> None:
    plan = Plan(steps=1000, lr=1.0, warmup_steps=100)
    assert plan.lr_at(0) == 0.02
    assert [plan.lr_at(step) for step in (100, 500, 750)] == [1.0, 1.0, 1.0]
    assert plan.lr_at(875) == 0.5
    assert plan.lr_at(1000) == 0.02
