import re
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.requests.schedules import MAX_LENGTH, PATTERN, most_cutouts, parse_schedule, split_cutouts, value_at

DISCO = ("[12]*400+[4]*600", "[4]*400+[12]*600")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("48", (48.0,)),
        (" 0.5 ", (0.5,)),
        ("[12]*2+[4]*3", (12.0, 12.0, 4.0, 4.0, 4.0)),
        ("[1, 2] * 2 + [3]", (1.0, 2.0, 1.0, 2.0, 3.0)),
        ("[7]", (7.0,)),
        ("[7]*0+[8]", (8.0,)),
    ],
)
def test_a_schedule_is_read_as_disco_wrote_it(text: str, values: tuple[float, ...]) -> None:
    assert parse_schedule(text) == values


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[12*400]",
        "[12]*400+",
        "12*4",
        "[]",
        "[-1]",
        "[1]*2.5",
        "[1]**2",
        "__import__('os')",
        "[1]]",
        "[1e9]",
    ],
)
def test_what_is_no_schedule_is_refused_with_the_part_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is not of a schedule"):
        parse_schedule(text)


@pytest.mark.parametrize("text", ["[1]*999999", "[1]*99999999", "[1]*9999+[2]*2", "+".join(["[1]*6000"] * 2)])
def test_a_schedule_cannot_fill_the_memory(text: str) -> None:
    with pytest.raises(ValueError, match=str(MAX_LENGTH)):
        parse_schedule(text)


def test_a_schedule_without_any_value_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        parse_schedule("[1]*0")


@given(st.text(alphabet="[]0123456789.,*+ e-", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert 1 <= len(parse_schedule(text)) <= MAX_LENGTH


@pytest.mark.parametrize(("progress", "value"), [(0, 12), (0.39, 12), (0.4, 4), (0.99, 4), (1, 4)])
def test_a_schedule_is_stretched_over_the_run(progress: float, value: float) -> None:
    assert value_at(parse_schedule(DISCO[0]), progress) == value


def test_the_most_cutouts_are_found_between_any_breaks() -> None:
    assert most_cutouts(*DISCO) == 16
    assert most_cutouts("[1]*50+[9]*50", "[7]*60+[0]*40") == 16
    with pytest.raises(ValueError, match="CLIP would see nothing"):
        most_cutouts("0", "[0]*3")
    with pytest.raises(ValueError, match=r"1\.5 cutouts"):
        most_cutouts("1.5", "3")


def test_another_number_of_cutouts_keeps_the_proportions() -> None:
    assert split_cutouts(16, *DISCO, 0.1) == (12, 4)
    assert split_cutouts(16, *DISCO, 0.9) == (4, 12)
    assert split_cutouts(8, *DISCO, 0.1) == (6, 2)
    assert split_cutouts(3, "48", "0", 0.5) == (3, 0)
    assert split_cutouts(8, "0", "[4]+[8]", 0.1) == (0, 4)
    assert split_cutouts(8, "[0]+[4]", "[0]+[4]", 0.1) == (0, 0)


def test_a_long_schedule_is_read_once_and_not_at_every_step() -> None:
    """The longest that is taken costs some 20 ms to read; a run asks for it at every step of every picture."""
    overview, inner = "[12]*4001+[4]*5999", "+".join(["[4]"] * 900)

    def ask() -> float:
        start = time.perf_counter()
        split_cutouts(16, overview, inner, 0.5)
        return time.perf_counter() - start

    first, later = ask(), sorted(ask() for _ in range(25))
    assert later[12] < first / 5


@pytest.mark.parametrize("text", [*DISCO, "48", "[1, 2] * 2 + [3]", "[12.0]"])
def test_a_schedule_of_cutouts_is_as_described(text: str) -> None:
    assert re.search(PATTERN, text)


class TooManyError(Exception):
    """A schedule has more values than may be, or none."""


def read(text: str) -> tuple[float, ...]:
    try:
        return parse_schedule(text)
    except ValueError as error:
        if str(error).startswith(("a schedule has at most", "a schedule has at least")):
            raise TooManyError from error
        raise


@given(st.from_regex(PATTERN))
def test_a_text_as_described_is_a_schedule_of_cutouts_unless_it_has_too_many_values(text: str) -> None:
    with suppress(TooManyError):
        assert all(value.is_integer() for value in read(text))
