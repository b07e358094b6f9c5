"""Prompts that change during a run, as the web UI's documentation writes them."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.prompts.scheduling import scheduled

FACTS = [
    ("test", [(10, "test")]),
    ("a [b:3]", [(3, "a "), (10, "a b")]),
    ("a [b: 3]", [(3, "a "), (10, "a b")]),
    ("a [[[b]]:2]", [(2, "a "), (10, "a [[b]]")]),
    ("[(a:2):3]", [(3, ""), (10, "(a:2)")]),
    ("a [b : c : 1] d", [(1, "a b  d"), (10, "a  c  d")]),
    ("a[b:[c:d:2]:1]e", [(1, "abe"), (2, "ace"), (10, "ade")]),
    ("a [unbalanced", [(10, "a [unbalanced")]),
    ("a [b:.5] c", [(5, "a  c"), (10, "a b c")]),
    ("a [{b|d{:.5] c", [(5, "a  c"), (10, "a {b|d{ c")]),
    ("((a][:b:c [d:3]", [(3, "((a][:b:c "), (10, "((a][:b:c d")]),
    ("[a::3] b", [(3, "a b"), (10, " b")]),
    ("[a:b:99]", [(10, "a")]),
    ("[a:b:0]", [(10, "b")]),
    (r"\[a:b:3]", [(10, r"\[a:b:3]")]),
    ("[a:b:c:3] [a:b]", [(10, "[a:b:c:3] [a:b]")]),
]


@pytest.mark.parametrize(("text", "wanted"), FACTS)
def test_a_bracket_changes_the_prompt_at_its_step(text: str, wanted: list[tuple[int, str]]) -> None:
    assert scheduled(text, 10) == wanted


def at_each_step(text: str, steps: int) -> list[str]:
    """The text of each step, counted from 1."""
    spans = scheduled(text, steps)
    return [next(words for end, words in spans if step <= end) for step in range(1, steps + 1)]


def test_alternatives_take_turns() -> None:
    assert at_each_step("[fe|]male", 4) == ["female", "male", "female", "male"]
    assert at_each_step("[fe|||]male", 6) == ["female", "male", "male", "male", "female", "male"]
    assert at_each_step("[a|[b:c:2]]", 4) == ["a", "b", "a", "c"]


@given(st.text(alphabet="ab ([]):|.13\\", max_size=60), st.integers(1, 30))
def test_any_text_has_a_wording_at_every_step(text: str, steps: int) -> None:
    spans = scheduled(text, steps)
    ends = [end for end, _ in spans]
    assert ends == sorted(set(ends))
    assert ends[-1] == steps
    assert all(one != other for (_, one), (_, other) in pairwise(spans))


@given(st.text(alphabet="ab ():.13,", max_size=60))
def test_text_without_square_brackets_never_changes(text: str) -> None:
    assert scheduled(text, 7) == [(7, text)]


@pytest.mark.parametrize(
    "text",
    ["[" * 5000, "(" * 3000 + "a" + ")" * 3000, "[a:" * 1500 + "b" + ":3]" * 1500, "[a|" * 2000 + "]" * 2000],
)
def test_hostile_nesting_is_read_in_little_time(text: str) -> None:
    began = time.process_time()
    assert scheduled(text, 250)
    assert time.process_time() - began < 1.0
