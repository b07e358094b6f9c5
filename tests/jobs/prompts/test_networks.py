"""Adapters in prompts."""

import pytest

from jobs.prompts.networks import NamedAdapter, without_adapters


@pytest.mark.parametrize(
    ("tag", "weight", "text_weight"),
    [
        ("<lora:ink>", 1, 1),
        ("<lora:ink:0.5>", 0.5, 0.5),
        ("<lora:ink:-.5:2>", 2, -0.5),
        ("<lora:ink:te=0.25:unet=0.75>", 0.75, 0.25),
        ("<lora:ink:unet=0.75>", 0.75, 1),
        ("<lora:ink:0.5:dyn=8>", 0.5, 0.5),
        ("<lyco: ink :0.5>", 0.5, 0.5),
    ],
)
def test_a_tag_names_an_adapter_and_is_no_part_of_the_text(
    tag: str, weight: float, text_weight: float
) -> None:
    expected = (NamedAdapter("ink", weight, text_weight),)
    assert without_adapters(f"a fox {tag}, red") == ("a fox , red", expected)


def test_of_a_name_that_repeats_the_first_counts() -> None:
    text, adapters = without_adapters("<lora:a:1><lora:b:2> a fox <lora:a:3>")
    assert text == "a fox"
    assert [(each.name, each.weight) for each in adapters] == [("a", 1), ("b", 2)]


@pytest.mark.parametrize("text", ["a fox", "<lora:>", "a < b > c", "<lora", "<hypernet:x:1>", " (a:1.2) "])
def test_other_texts_stay(text: str) -> None:
    assert without_adapters(text) == (text, ())


@pytest.mark.parametrize("value", ["much", "", "1,5"])
def test_what_is_not_a_number_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=f"'{value}' in <lora:ink:{value}> is not a number"):
        without_adapters(f"<lora:ink:{value}>")


def test_a_huge_number_is_bounded_like_every_other_of_a_prompt() -> None:
    (adapter,) = without_adapters(f"<lora:ink:{'9' * 400}>")[1]
    assert adapter.weight == adapter.text_weight
    assert abs(adapter.weight) <= 1000
