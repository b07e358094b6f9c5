"""Prompts in compel's syntax; the expected weights are what compel 2.5 reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.prompts.compel import parts_of
from jobs.prompts.prompt import Fragment

FACTS = [
    ("a tall man", [("a tall man", 1.0)]),
    ("a tall+ man", [("a", 1.0), ("tall", 1.1), ("man", 1.0)]),
    ("a tall--- man", [("a", 1.0), ("tall", 0.729), ("man", 1.0)]),
    ("(tall man)1.3 x", [("tall man", 1.3), ("x", 1.0)]),
    ('"tall man".5 x', [("tall man", 0.5), ("x", 1.0)]),
    ("((tall)1.5 man)2", [("tall", 3.0), ("man", 2.0)]),
    ("(tall man) x", [("tall man x", 1.0)]),
    ("a well-known man", [("a well-known man", 1.0)]),
    (r"a \(literal\)", [("a (literal)", 1.0)]),
    ("", [("", 1.0)]),
]


@pytest.mark.parametrize(("text", "wanted"), FACTS)
def test_marks_weigh_the_words_before_them(text: str, wanted: list[tuple[str, float]]) -> None:
    (part,) = parts_of(text)
    (passage,) = part.passages
    assert [fragment.text for fragment in passage] == [words for words, _ in wanted]
    assert [fragment.weight for fragment in passage] == pytest.approx([weight for _, weight in wanted])


def test_a_blend_is_a_weighted_mean_in_one_place() -> None:
    (part,) = parts_of('("a cat", "a dog+").blend(1, 3)')
    assert part.passages == ((Fragment("a cat"),), (Fragment("a"), Fragment("dog", 1.1)))
    assert part.shares == (0.25, 0.75)


def test_a_conjunction_puts_prompts_one_after_the_other() -> None:
    first, second = parts_of('("one, two", (three)).and(1, 0.5)')
    assert (first.passages, first.weight) == (((Fragment("one , two"),),), 1.0)
    assert (second.passages, second.weight) == (((Fragment("three"),),), 0.5)
    assert [part.weight for part in parts_of('("a", "b", "c").and()')] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('("a", "b").blend(1)', "1 weights for 2 prompts"),
        ('("a", "b").blend(1, -1)', "sum to 0"),
        ('("a", "b").and(x, y)', "'x' in .and"),
        ("a cat.swap(dog)", "not served"),
        ("useLora(name, 1)", "not served"),
    ],
)
def test_what_an_operator_cannot_do_is_said(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(").replace(".", r"\.")):
        parts_of(text)


@given(st.text(alphabet='ab (")+-.1,\\', max_size=60))
def test_any_text_is_read(text: str) -> None:
    parts = parts_of(text)
    assert all(sum(part.shares) == pytest.approx(1) for part in parts)
