"""Instructions say what changes, and nothing else."""

import numpy as np
import pytest

from training.captions import COLOURS
from training.edits.instructions import instruction
from training.glyphs import STYLES


def said(count: int = 200, **wanted: str) -> set[str]:
    rng = np.random.default_rng(0)
    return {instruction(rng, name="fox", **wanted) for _ in range(count)}


def test_a_background_is_said_in_each_way_and_with_the_name() -> None:
    assert said(colour="dark blue") == {
        "on a dark blue background",
        "a dark blue background",
        "make the background dark blue",
        "fox on a dark blue background",
    }


def test_a_style_and_both_are_said() -> None:
    assert said(style="flat") == {"flat style", "in flat style", "make it flat", "flat fox"}
    assert all("flat" in words and "red background" in words for words in said(style="flat", colour="red"))


def test_nothing_to_change_is_an_error() -> None:
    with pytest.raises(ValueError, match="a colour, a style or both"):
        said(1)


def test_colours_and_styles_are_not_mistaken_for_each_other() -> None:
    assert not set(STYLES) & {word for colour in COLOURS for word in colour.split()}
