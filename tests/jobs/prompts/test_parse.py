"""Prompts as rows and wordings, whatever their syntax."""

import math

import pytest

from jobs.prompts.parse import MAX_BRANCHES, MAX_WORDINGS, branches, plain_words
from jobs.prompts.prompt import MAX_WEIGHT, Fragment, LongPrompt, PromptSyntax

A1111, COMPEL, PLAIN = PromptSyntax.A1111, PromptSyntax.COMPEL, PromptSyntax.PLAIN


def test_a_plain_prompt_is_its_own_text_whatever_stands_in_it() -> None:
    text = "a (b:1.3) AND [c|d] e++"
    (branch,) = branches(text, PLAIN, LongPrompt.CUT, 10)
    (part,) = branch.at(5).parts
    assert part.passages == ((Fragment(text),),)
    assert plain_words(text, PLAIN, 10) == text


def test_and_makes_rows_with_weights() -> None:
    first, second, third = branches("a fox AND a box :0.5 AND c:-1", A1111, LongPrompt.CHUNK, 10)
    assert [branch.weight for branch in (first, second, third)] == [1.0, 0.5, -1.0]
    assert [branch.at(0).text for branch in (first, second, third)] == ["a fox", "a box", "c"]
    (alone,) = branches("a fox:0.5", A1111, LongPrompt.CHUNK, 10)
    assert (alone.weight, alone.at(0).text) == (1.0, "a fox:0.5")
    (negative,) = branches("a AND b", A1111, LongPrompt.CHUNK, 10, joins=False)
    assert negative.at(0).text == "a AND b"


def test_a_branch_has_the_wording_of_its_step() -> None:
    (branch,) = branches("a [(fox:1.5):box:.5]", A1111, LongPrompt.CHUNK, 10)
    assert [branch.at(step).text for step in (0, 5, 6, 9, 10)] == [
        "a fox",
        "a fox",
        "a box",
        "a box",
        "a box",
    ]


def test_the_words_of_a_prompt_have_no_syntax() -> None:
    assert plain_words("a ((fox)), [day:night:.5] AND snow:.5", A1111, 10) == "a fox, night, snow"
    assert plain_words('("a fox+", "a box").blend(1, 1)', COMPEL, 10) == "a fox a box"


def test_prompts_with_too_many_rows_or_wordings_are_refused() -> None:
    with pytest.raises(ValueError, match=f"at most {MAX_BRANCHES}"):
        branches(" AND ".join("abcdefghijkl"), A1111, LongPrompt.CHUNK, 10)
    words = "|".join(f"w{number}" for number in range(MAX_WORDINGS + 1))
    with pytest.raises(ValueError, match=f"at most {MAX_WORDINGS}"):
        branches(f"[{words}]", A1111, LongPrompt.CHUNK, 250)


@pytest.mark.parametrize("digits", [5, 40, 400])
@pytest.mark.parametrize(
    ("text", "syntax"),
    [
        ("(a:{0}) [[(b:-{0})]]", A1111),
        ("((((a:{0}):{0}):0):{0})", A1111),
        ("a:{0} AND b:-{0}", A1111),
        ("[a:b:{0}] [c:d:-{0}] [e:{0}.5]", A1111),
        ("((a){0} b){0}", COMPEL),
        ('("a", "b").blend({0}, 1)', COMPEL),
        ('("a", "b").and({0}, -{0})', COMPEL),
    ],
)
def test_no_number_in_a_prompt_overflows(text: str, syntax: PromptSyntax, digits: int) -> None:
    for branch in branches(text.format("9" * digits), syntax, LongPrompt.CHUNK, 10):
        parts = [part for span in branch.spans for part in span.wording.parts]
        passages = [passage for part in parts for passage in part.passages]
        weights = [fragment.weight for passage in passages for fragment in passage]
        weights += [branch.weight, *(part.weight for part in parts)]
        assert all(abs(weight) <= MAX_WEIGHT for weight in weights)
        assert all(math.isfinite(share) for part in parts for share in part.shares)
