"""How many pictures are kept and held, and how the number is written."""

import pytest
from pydantic import TypeAdapter, ValidationError

from jobs.nights.rules import LEAST_HELD, held_of
from jobs.status.night import MOST_KEPT, Keep, kept_of

KEEP: TypeAdapter[int | str] = TypeAdapter(Keep)


@pytest.mark.parametrize(
    ("made", "keep", "kept"),
    [
        (0, "5%", 0),
        (1, "5%", 1),
        (20, "5%", 1),
        (21, "5%", 2),
        (100, "7%", 7),  # 7.000000000000001 in doubles
        (1000, "0.1%", 1),
        (1001, "0.1%", 2),
        (7, "100%", 7),
        (100_000, "5%", MOST_KEPT),
        (2, 3, 2),
        (50, 3, 3),
    ],
)
def test_a_share_is_of_all_that_were_made_rounded_up(made: int, keep: Keep, kept: int) -> None:
    assert kept_of(made, keep) == kept


@pytest.mark.parametrize(
    ("text", "keep"), [("3", 3), (3, 3), ("5%", "5%"), ("2.5 %", "2.5%"), ("100%", "100%")]
)
def test_a_number_and_a_share_are_told_apart(text: object, keep: Keep) -> None:
    assert KEEP.validate_python(text) == keep


@pytest.mark.parametrize("wrong", [0, -1, MOST_KEPT + 1, "0%", "101%", 0.05, "five", True, None, "5%%"])
def test_what_is_neither_is_refused(wrong: object) -> None:
    with pytest.raises(ValidationError, match="a number from 1 to 500, or a share such as '5%'"):
        KEEP.validate_python(wrong)


def test_as_many_are_held_as_may_come_back() -> None:
    assert held_of(10, 3, 0.1) == 3  # with a number, whoever is out is out
    assert held_of(10, "5%", 0.001) == 750  # at this speed it will be 10,000
    assert held_of(1000, "5%", 0.5) == 150
    assert held_of(1000, "5%", 1.0) == 75
    assert held_of(10, "5%", 1.0) == LEAST_HELD


def test_no_picture_is_lost_that_is_among_the_best_share_in_the_end() -> None:
    """Also with the best first, when the share grows past all of them, at a steady speed."""
    held: list[int] = []
    total = 2000
    for made in range(1, total + 1):
        held.append(-made)  # each one is worse than all before
        held = sorted(held, reverse=True)[: held_of(made, "5%", made / total)]
    assert len(held) >= kept_of(total, "5%")
    assert held[:100] == list(range(-1, -101, -1))
