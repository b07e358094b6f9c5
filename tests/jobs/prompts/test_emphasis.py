"""Emphasis as the web UI's documentation writes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.prompts.emphasis import emphasized
from jobs.prompts.prompt import Fragment

FACTS = [
    ("normal text", [("normal text", 1.0)]),
    ("an (important) word", [("an ", 1.0), ("important", 1.1), (" word", 1.0)]),
    ("(unbalanced", [("unbalanced", 1.1)]),
    (r"\(literal\]", [("(literal]", 1.0)]),
    ("(unnecessary)(parens)", [("unnecessaryparens", 1.1)]),
    ("less [of] it", [("less ", 1.0), ("of", 1 / 1.1), (" it", 1.0)]),
    ("(none:0) (twice: 2 )", [("none", 0.0), (" ", 1.0), ("twice", 2.0)]),
    ("closed) never] opened", [("closed) never] opened", 1.0)]),
    ("a:1.3) ratio 16:9", [("a:1.3) ratio 16:9", 1.0)]),
    (
        "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
        [
            ("a ", 1.0),
            ("house", 1.573),
            (" ", 1.1),
            ("on", 1.0),
            (" a ", 1.1),
            ("hill", 0.55),
            (", sun, ", 1.1),
            ("sky", 1.4641),
            (".", 1.1),
        ],
    ),
    ("", [("", 1.0)]),
]


@pytest.mark.parametrize(("text", "wanted"), FACTS)
def test_brackets_weigh_what_they_hold(text: str, wanted: list[tuple[str, float]]) -> None:
    (passage,) = emphasized(text)
    assert [fragment.text for fragment in passage] == [words for words, _ in wanted]
    assert [fragment.weight for fragment in passage] == pytest.approx([weight for _, weight in wanted])


def test_break_starts_another_passage_with_the_weight_of_its_place() -> None:
    first, second = emphasized("one (two BREAK three) four")
    assert [fragment.text for fragment in (*first, *second)] == ["one ", "two", "three", " four"]
    assert [fragment.weight for fragment in (*first, *second)] == pytest.approx([1.0, 1.1, 1.1, 1.0])
    assert [len(emphasized(text)) for text in ("BREAKFAST", "a BREAK", "BREAK BREAK")] == [1, 2, 3]


@given(st.text(alphabet="ab ([]):.1\\,", max_size=60))
def test_any_text_is_read_and_keeps_its_letters_in_order(text: str) -> None:
    words = "".join(fragment.text for passage in emphasized(text) for fragment in passage)
    assert [letter for letter in words if letter in "ab"] == [letter for letter in text if letter in "ab"]


@given(st.text(alphabet="ab ([]):.1,", max_size=60))
def test_a_text_whose_syntax_is_escaped_reads_as_itself(text: str) -> None:
    escaped = "".join(f"\\{letter}" if letter in "()[]" else letter for letter in text)
    assert emphasized(escaped) == ((Fragment(text),),)
