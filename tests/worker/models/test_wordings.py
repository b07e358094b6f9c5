"""The states of prompts with weights, by the formulas of each syntax, with the pocket text encoder."""

import math

import pytest
import torch
from torch import Tensor

from jobs.prompts.parse import branches
from jobs.prompts.prompt import LongPrompt, PromptSyntax, Wording
from tests.worker.models.predicting import pocket_of
from tests.worker.models.variants import POCKET, load
from worker.models.families.denoiser import Denoiser
from worker.models.registry import ModelRegistry

LENGTH = 32
A1111, COMPEL = PromptSyntax.A1111, PromptSyntax.COMPEL


@pytest.fixture(scope="module")
def model(models: ModelRegistry) -> Denoiser:
    return pocket_of(models)


def wording(text: str, syntax: PromptSyntax, long_prompt: LongPrompt = LongPrompt.CHUNK) -> Wording:
    """What a prompt says at its first step."""
    return branches(text, syntax, long_prompt, 10)[0].at(0)


def encoded(model: Denoiser, text: str, syntax: PromptSyntax) -> Tensor:
    """The context of a prompt."""
    (states,) = model.encode([wording(text, syntax)])
    return states.context


def close(one: Tensor, other: Tensor) -> bool:
    """Whether two contexts are equal up to rounding."""
    return one.shape == other.shape and torch.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("syntax", [A1111, COMPEL])
def test_a_prompt_without_weights_is_the_plain_one_bit_for_bit(model: Denoiser, syntax: PromptSyntax) -> None:
    text = "a red apple on a light blue background"
    assert torch.equal(encoded(model, text, syntax), model.encode_texts([text]))


def test_the_web_uis_weights_scale_states_and_keep_their_mean(model: Denoiser) -> None:
    plain_states = model.encode_texts(["a red apple"])
    weighted = encoded(model, "a (red:1.5) apple", A1111)
    scaled = plain_states.clone()
    scaled[:, 2] *= 1.5  # after the start and "a"
    assert close(weighted, scaled * (plain_states.mean() / scaled.mean()))
    assert not close(weighted, plain_states)


def test_compels_weights_move_states_away_from_the_empty_texts(model: Denoiser) -> None:
    states, empty = model.encode_texts(["a red apple"]), model.encode_texts([""])
    expected = states.clone()
    expected[:, 2] = empty[:, 2] + 1.21 * (states - empty)[:, 2]
    assert close(encoded(model, "a red++ apple", COMPEL), expected)


def test_what_compel_weakens_is_mixed_with_the_prompt_without_it(model: Denoiser) -> None:
    weak, without = (encoded(model, f"a (red){weight} apple", COMPEL) for weight in ("0.5", "0.00001"))
    strong = model.encode_texts(["a red apple"])
    assert close(encoded(model, "a (red)1.0 apple", COMPEL), strong)
    # Hidden words have no influence on the states after them.
    other = encoded(model, "a (pink)0.00001 apple", COMPEL)
    assert torch.allclose(without[:, 3:], other[:, 3:], atol=1e-3)
    share = math.tan(math.pi / 4)
    empty = model.encode_texts([""])
    half = strong.clone()
    half[:, 2] = empty[:, 2] + 0.5 * (strong - empty)[:, 2]
    assert close((weak[:, 3:] * (1 + share) - half[:, 3:]) / share, without[:, 3:])


def test_blends_and_conjunctions_are_means_and_sequences(model: Denoiser) -> None:
    fox, apple, empty = model.encode_texts(["a fox", "a red apple", ""]).split(1)
    blend = encoded(model, '("a fox", "a red apple").blend(1, 3)', COMPEL)
    assert close(blend, 0.25 * fox + 0.75 * apple)
    both = encoded(model, '("a fox", "a red apple").and(1, 0.5)', COMPEL)
    assert close(both, torch.cat([fox, empty + 0.5 * (apple - empty)], dim=1))


def test_break_and_long_prompts_take_more_windows(model: Denoiser) -> None:
    fox, apple = model.encode_texts(["a fox", "a red apple"]).split(1)
    assert close(encoded(model, "a fox BREAK a red apple", A1111), torch.cat([fox, apple], dim=1))
    words = "apple " * 70
    long = encoded(model, words, A1111)
    assert long.shape[1] == 3 * LENGTH
    assert close(long[:, :LENGTH], model.encode_texts([words]))
    (cut,) = model.encode([wording(words, A1111, LongPrompt.CUT)])
    assert torch.equal(cut.context, model.encode_texts([words]))


def test_a_window_ends_at_a_comma_that_is_near(model: Denoiser) -> None:
    near = "apple " * 20 + ", " + "fox " * 15
    first, second = encoded(model, near, A1111).split(LENGTH, dim=1)
    assert close(first, model.encode_texts(["apple " * 20 + ","]))
    assert close(second, model.encode_texts(["fox " * 15]))
    far = "apple , " + "fox " * 35
    first, _ = encoded(model, far, A1111).split(LENGTH, dim=1)
    assert close(first, model.encode_texts([far]))


def test_a_context_does_not_depend_on_its_neighbours(model: Denoiser) -> None:
    texts = ["a (fox:1.4)", "a [house]", "apple " * 40, "a red apple"]
    alone = [encoded(model, text, A1111) for text in texts]
    fresh = load(POCKET)  # which remembers nothing
    together = fresh.encode([wording(text, A1111) for text in texts])
    for one, other in zip(alone, together, strict=True):
        assert close(one, other.context)


def test_the_empty_text_is_a_window_like_others(model: Denoiser) -> None:
    assert torch.equal(encoded(model, "", A1111), model.encode_texts([""]))
