"""Words with vectors: read as whole words, kept together, and known to their own model alone."""

from typing import Any

import pytest
import torch
from torch import Tensor

from jobs.errors import ModelUnavailableError
from jobs.prompts.parse import branches
from jobs.prompts.prompt import Fragment, LongPrompt, PromptSyntax, Wording, plain
from tests.worker.models.adapters.test_pipeline import ask, latents_of
from tests.worker.models.inversions.conftest import WORDS
from worker.aesthetics.fitting import Fitting
from worker.calls import EncodeText
from worker.engine.runner import Runner
from worker.models.chunks import Chunker
from worker.models.families.stable_diffusion import StableDiffusion
from worker.models.families.text_encoder import last_states
from worker.models.inversions.vocabulary import Vocabulary
from worker.models.registry import ModelRegistry
from worker.rows import TextStates

LENGTH = 77


@pytest.fixture(scope="module")
def model(inverted: ModelRegistry) -> StableDiffusion:
    found = inverted.diffusion("tiny")
    assert isinstance(found, StableDiffusion)
    return found


@pytest.fixture(scope="module")
def vocabulary(model: StableDiffusion) -> Vocabulary:
    return model._encoders[0].vocabulary


def learned(vocabulary: Vocabulary, text: str) -> list[tuple[int, ...]]:
    """The words of a text, as their tokens."""
    return [group for group in vocabulary.groups(text) if group[0] < 0]


def encoded(model: StableDiffusion, text: str, syntax: PromptSyntax) -> Tensor:
    (states,) = model.encode([branches(text, syntax, LongPrompt.CHUNK, 10)[0].at(0)])
    return states.context


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a sks dog", ["sks"]),
        ("a SKS, and sks.", ["sks", "sks"]),
        ("asks", []),
        ("sks2 and sks_a", []),
        ("sks-blob", ["sks-blob"]),
        ("sks-blobs", ["sks"]),
        ("blob sks-blob", ["blob", "sks-blob"]),
        ("a<cat-toy>", []),
        ("(<CAT-TOY>)", ["<cat-toy>"]),
        ("cat-toy", []),
    ],
)
def test_words_are_whole_words_and_the_longest_counts(
    text: str, words: list[str], vocabulary: Vocabulary
) -> None:
    (own,) = zip(*(learned(vocabulary, word) for word in WORDS), strict=True)
    tokens = dict(zip(WORDS, own, strict=True))
    assert learned(vocabulary, text) == [tokens[word] for word in words]
    assert [len(tokens[word]) for word in WORDS] == list(WORDS.values())


def test_each_token_is_its_own_vector(vocabulary: Vocabulary, vectors: dict[str, Tensor]) -> None:
    assert vocabulary.vectors is not None
    for word, expected in vectors.items():
        (tokens,) = learned(vocabulary, word)
        assert torch.equal(vocabulary.vectors[[-1 - token for token in tokens]], expected)


@pytest.mark.parametrize("before", range(70, 76))
def test_the_vectors_of_a_word_stay_in_one_window(before: int, vocabulary: Vocabulary) -> None:
    text = "a " * before + "<cat-toy> dog"
    (tokens,) = learned(vocabulary, "<cat-toy>")
    chunks = Chunker(vocabulary, LENGTH).chunks((Fragment(text),))
    found = [[token for token in chunk.window.tokens if token < 0] for chunk in chunks]
    assert [each for each in found if each] == [list(tokens)]
    assert all(len(chunk.window.tokens) == LENGTH for chunk in chunks)


def test_a_window_is_cut_before_a_word_that_goes_on(model: StableDiffusion) -> None:
    whole, cut = (
        model.encode([Wording(plain(text).parts, long_prompt=LongPrompt.CUT)])[0].context
        for text in ("a " * 73, "a " * 73 + "<cat-toy>")
    )
    assert torch.equal(whole, cut)


def test_texts_without_words_and_the_model_beside_keep_their_bits(
    inverted: ModelRegistry, model: StableDiffusion
) -> None:
    unlearned = inverted.diffusion("unlearned")
    assert unlearned.networks[0] is model.networks[0]
    texts = ["a fox", "", "asks, cat-toy " * 20]
    assert torch.equal(model.encode_texts(texts), unlearned.encode_texts(texts))
    assert not torch.allclose(model.encode_texts(["sks"]), unlearned.encode_texts(["sks"]), atol=1e-3)


def test_the_text_encoder_stays_as_it_is(inverted: ModelRegistry, model: StableDiffusion) -> None:
    encoder = model.networks[0]
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    kinds = [type(module) for module in encoder.modules()]
    latents_of(ask(inverted, prompt="sks and <cat-toy>"), inverted)
    after = encoder.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert kinds == [type(module) for module in encoder.modules()]
    own = {tensor.data_ptr() for tensor in model._encoders[0].reader.parameters()}
    assert own == {tensor.data_ptr() for tensor in encoder.parameters()}


def test_a_weight_holds_for_all_vectors_of_a_word(model: StableDiffusion) -> None:
    states = encoded(model, "a <cat-toy> dog", PromptSyntax.A1111)
    scaled = states.clone()
    scaled[:, 2:5] *= 1.5  # after the start and "a"
    expected = scaled * (states.mean() / scaled.mean())
    weighted = encoded(model, "a (<cat-toy>:1.5) dog", PromptSyntax.A1111)
    assert torch.allclose(weighted, expected, atol=1e-4)


@pytest.mark.parametrize("text", ["a <cat-toy>+ dog", "a (<cat-toy>)1.1 dog"])
def test_compels_weights_hold_for_all_vectors_of_a_word(text: str, model: StableDiffusion) -> None:
    states, empty = encoded(model, "a <cat-toy> dog", PromptSyntax.COMPEL), model.encode_texts([""])
    expected = states.clone()
    expected[:, 2:5] = empty[:, 2:5] + 1.1 * (states - empty)[:, 2:5]
    assert torch.allclose(encoded(model, text, PromptSyntax.COMPEL), expected, atol=1e-4)


def test_a_text_is_as_long_as_its_vectors(model: StableDiffusion) -> None:
    measure = model.facts.measure
    fox, with_word = measure("a fox"), measure("a <cat-toy> fox")
    assert fox is not None
    assert with_word is not None
    assert with_word.tokens == fox.tokens + 3


def test_personalization_reads_words_too(model: StableDiffusion) -> None:
    tokens, direction = model.personalizer._windows("a photo of <cat-toy>"), torch.ones(32)
    fitting = Fitting(
        model._encoders[0].reader, torch.eye(32), tokens, direction, steps=2, lr=0.01, read=last_states
    )
    assert torch.allclose(fitting.states(), model.encode_texts(["a photo of <cat-toy>"]), atol=1e-5)
    before = fitting.states()
    fitting.advance(60)
    assert not torch.allclose(fitting.states(), before, atol=1e-4)
    # The place whose state stands for the whole text is its end, as without the word.
    assert int(tokens.argmax()) == tokens[0].tolist().index(
        model._encoders[0].vocabulary.tokenizer.eos_token_id
    )


def test_a_word_that_cannot_be_used_fails_its_own_job_alone(inverted: ModelRegistry) -> None:
    runner = Runner(inverted)
    good, bad, other = runner.run(
        [EncodeText("tiny", plain(text)) for text in ("a fox", "a Wide fox", "sks")]
    )
    assert isinstance(bad, ModelUnavailableError)
    assert "'wide' cannot be used with 'tiny': its vectors have 768 numbers" in bad.message
    assert isinstance(good, TextStates)
    assert isinstance(other, TextStates)


def test_one_for_any_model_fails_the_jobs_that_use_it_where_it_does_not_fit(inverted: ModelRegistry) -> None:
    unlearned: Any = inverted.diffusion("unlearned")
    assert unlearned._encoders[0].vocabulary.vectors is None
    runner = Runner(inverted)
    good, bad = runner.run([EncodeText("unlearned", plain(text)) for text in ("sks", "a for-any")])
    assert isinstance(good, TextStates)
    assert isinstance(bad, ModelUnavailableError)
    assert "its entry names no base" in bad.message
