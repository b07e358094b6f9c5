"""The rows of a run, from prompts in every syntax."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from jobs.errors import InvalidRequestError
from jobs.prompts.prompt import EMPTY, Wording
from jobs.requests.request import ResolvedRequest
from worker.calls import EncodeText
from worker.facts import RowSpec
from worker.rows import TextStates
from worker.sampling.conditions.conditioning import Conditions, condition
from worker.sampling.inputs import SamplerInputs

Ask = Callable[..., ResolvedRequest]
PLAIN = RowSpec(context_length=4, context_width=2)
ZEROING = replace(PLAIN, is_zero_for_nothing=True)


def conditions(request: ResolvedRequest, spec: RowSpec = PLAIN) -> tuple[Conditions, dict[Wording, float]]:
    """The conditions of a request, and the value that fills the context of each wording."""
    values: dict[Wording, float] = {}
    generator = condition(request, spec, SamplerInputs("pocket-m"))
    try:
        call = next(generator)
        while True:
            assert isinstance(call, EncodeText)
            assert call.wording not in values, "a wording is encoded once"
            values[call.wording] = float(len(values) + 1)
            windows = 1 + len(call.wording.text) // 200
            context = torch.full((1, 4 * windows, 2), values[call.wording])
            call = generator.send(TextStates(context, context[:, 0]))
    except StopIteration as end:
        return end.value, values


def texts_at(request: ResolvedRequest, step: int) -> list[tuple[str, float]]:
    """The words and the weight of each row at a step."""
    found, values = conditions(request)
    words = {value: wording.text for wording, value in values.items()}
    return [(words[float(row.context[0, 0, 0])], round(row.weight, 6)) for row in found.at(step)]


def test_a_plain_prompt_has_the_rows_of_classifier_free_guidance(ask: Ask) -> None:
    request = ask(prompt="a (fox) AND b", negative_prompt="blurry", cfg_scale=4)
    assert texts_at(request, 0) == [("a (fox) AND b", 4.0), ("blurry", -3.0)]
    assert texts_at(ask(prompt="a", cfg_scale=1), 0) == [("a", 1.0)]
    assert texts_at(ask(prompt="a", cfg_scale=0), 0) == [("", 1.0)]


def test_and_adds_a_row_for_each_prompt(ask: Ask) -> None:
    request = ask(prompt="a fox AND a box:0.5", cfg_scale=4, prompt_syntax="a1111")
    assert texts_at(request, 0) == [("a fox", 4.0), ("a box", 2.0), ("", -5.0)]
    assert request.rows == 3
    half = ask(prompt="a fox:0.5 AND a box:0.5", cfg_scale=1, prompt_syntax="a1111")
    assert texts_at(half, 0) == [("a fox", 0.5), ("a box", 0.5)]
    assert half.rows == 2


def test_a_change_takes_place_at_its_step(ask: Ask) -> None:
    request = ask(prompt="[fox:box:0.5]", negative_prompt="[x:5]", steps=10, prompt_syntax="a1111")
    said = [[text for text, _ in texts_at(request, step)] for step in range(10)]
    assert said == [["fox", ""]] * 6 + [["box", "x"]] * 4
    found, _ = conditions(request)
    assert found.at(1) is found.at(5), "rows that stay are the same object, so that batches keep them"


def test_all_contexts_of_a_run_have_one_length(ask: Ask) -> None:
    request = ask(prompt="[fox:" + "word " * 90 + ":0.5]", steps=10, prompt_syntax="a1111")
    found, values = conditions(request)
    shapes = {row.context.shape for step in range(10) for row in found.at(step)}
    assert shapes == {(1, 12, 2)}
    assert float(found.at(0)[0].context[0, -1, 0]) == values[EMPTY]


def test_an_empty_negative_prompt_is_zeros_where_a_model_was_trained_so(ask: Ask) -> None:
    long = "word " * 90
    for prompt in ("", long):
        found, _ = conditions(ask(prompt=prompt, prompt_syntax="a1111"), ZEROING)
        text, nothing = found.at(0)
        assert nothing.context.shape == text.context.shape
        assert nothing.vector is not None
        assert not bool(nothing.context.any() or nothing.vector.any())
        assert text.vector is not None
        assert bool(text.context.all() and text.vector.all())
    for fields in ({"negative_prompt": "grey"}, {"cfg_scale": 1}):
        found, _ = conditions(ask(prompt="", **fields), ZEROING)
        assert all(bool(row.context.all()) for row in found.at(0))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"prompt": '("a", "b").blend(1)', "prompt_syntax": "compel"}, "prompt"),
        ({"negative_prompt": "x.swap(y)", "prompt_syntax": "compel"}, "negative_prompt"),
        ({"prompt": " AND ".join("abcdefghij"), "prompt_syntax": "a1111"}, "prompt"),
        ({"prompt": "[]()", "prompt_syntax": "a1111", "select": {"candidates": 2, "by": "clip"}}, None),
        ({"prompt": "a AND b", "prompt_syntax": "a1111", "guidance": {"preset": "diffusers"}}, "prompt"),
    ],
)
def test_a_prompt_that_means_nothing_is_refused_by_its_field(
    ask: Ask, fields: dict[str, object], field: str | None
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        ask(**fields)
    assert field is None or refused.value.field == field


def test_guidance_and_scores_read_the_words_alone(ask: Ask) -> None:
    request = ask(prompt="a ((red)) apple AND [day:night:.5]:.3", prompt_syntax="a1111", guidance={})
    assert request.words == "a red apple, night"
    assert request.guidance is not None
    assert getattr(request.guidance.objectives[0], "text", None) == "a red apple, night"
