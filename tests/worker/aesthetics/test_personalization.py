import copy

import pytest
import torch
from safetensors import safe_open
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPTextModel, CLIPTokenizer

from tests.worker.aesthetics.tuning import tuned_states
from tests.worker.conftest import ROOT
from worker.aesthetics.personalization import TuningCache, blended, slerp, turned
from worker.calls import Tuning

POCKET = ROOT / "models" / "pocket"


@pytest.fixture(scope="module")
def encoder() -> CLIPTextModel:
    """The pocket model's text encoder, as a worker holds it."""
    return (
        CLIPTextModel.from_pretrained(POCKET / "text_encoder", dtype=torch.float32)
        .eval()
        .requires_grad_(False)
    )


@pytest.fixture(scope="module")
def projection() -> Tensor:
    """From its states to pocket-s's space."""
    with safe_open(ROOT / "models/pocket-s/open_clip_model.safetensors", "pt") as file:
        return Tensor(file.get_tensor("text_projection").float())


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(POCKET / "tokenizer")


def windows(tokenizer: CLIPTokenizer, *texts: str) -> Tensor:
    options = {"padding": "max_length", "max_length": 32, "truncation": True, "return_tensors": "pt"}
    ids: Tensor = tokenizer(list(texts), **options).input_ids
    return ids


@pytest.fixture(scope="module")
def direction() -> Tensor:
    return F.normalize(torch.randn(192, generator=torch.Generator().manual_seed(3)), dim=0)


def published_optimisation(
    encoder: CLIPTextModel, projection: Tensor, tokens: Tensor, direction: Tensor, steps: int, lr: float
) -> Tensor:
    """As the paper's code does it: a deep copy, trained in place."""
    model = copy.deepcopy(encoder).requires_grad_(True)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for _ in range(steps):
        features = model(tokens).pooler_output @ projection
        features = features / features.norm(dim=-1, keepdim=True)
        loss = -(features @ direction[:, None])
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
    with torch.no_grad():
        return model(tokens).last_hidden_state  # type: ignore[no-any-return]


@pytest.mark.parametrize("steps", [1, 10])
def test_the_tuned_states_are_those_of_the_published_optimisation(
    encoder: CLIPTextModel, projection: Tensor, tokenizer: CLIPTokenizer, direction: Tensor, steps: int
) -> None:
    tokens = windows(tokenizer, "a red apple on a light blue background")
    expected = published_optimisation(encoder, projection, tokens, direction, steps, 1e-4)
    tuned = tuned_states(encoder, projection, tokens, direction, steps=steps, lr=1e-4)
    torch.testing.assert_close(tuned, expected, atol=1e-5, rtol=1e-5)
    assert not tuned.requires_grad


def test_the_shared_weights_are_never_touched(
    encoder: CLIPTextModel, projection: Tensor, tokenizer: CLIPTokenizer, direction: Tensor
) -> None:
    before = copy.deepcopy(encoder.state_dict())
    tokens = windows(tokenizer, "a red apple")
    own = encoder(tokens).last_hidden_state
    tuned = tuned_states(encoder, projection, tokens, direction, steps=3, lr=1e-3)
    assert not torch.equal(tuned, own)
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert all(weight.grad is None and not weight.requires_grad for weight in encoder.parameters())
    assert torch.equal(encoder(tokens).last_hidden_state, own)


def test_no_steps_change_nothing(
    encoder: CLIPTextModel, projection: Tensor, tokenizer: CLIPTokenizer, direction: Tensor
) -> None:
    tokens = windows(tokenizer, "a red apple")
    tuned = tuned_states(encoder, projection, tokens, direction, steps=0, lr=1e-4)
    assert torch.equal(tuned, encoder(tokens).last_hidden_state)


def test_more_steps_come_nearer_to_the_embedding(
    encoder: CLIPTextModel, projection: Tensor, tokenizer: CLIPTokenizer, direction: Tensor
) -> None:
    tokens = windows(tokenizer, "a red apple")
    end = tokens[0].tolist().index(2047)
    similarities = [
        float(F.normalize(states[0, end] @ projection, dim=0) @ direction)
        for states in (
            tuned_states(encoder, projection, tokens, direction, steps=steps, lr=1e-4)
            for steps in (0, 5, 10, 20)
        )
    ]
    assert similarities == sorted(similarities)
    assert similarities[-1] > similarities[0] + 0.02


def test_all_windows_of_a_long_prompt_are_tuned_together(
    encoder: CLIPTextModel, projection: Tensor, tokenizer: CLIPTokenizer, direction: Tensor
) -> None:
    tokens = windows(tokenizer, "a red apple", "on a light blue background")
    expected = published_optimisation(encoder, projection, tokens, direction, 5, 1e-3)
    tuned = tuned_states(encoder, projection, tokens, direction, steps=5, lr=1e-3)
    torch.testing.assert_close(tuned, expected, atol=1e-5, rtol=1e-5)
    alone = tuned_states(encoder, projection, tokens[:1], direction, steps=5, lr=1e-3)
    assert not torch.allclose(alone, tuned[:1], atol=1e-3)


def test_it_works_under_inference_mode_as_a_worker_calls_it(
    encoder: CLIPTextModel, projection: Tensor, tokenizer: CLIPTokenizer, direction: Tensor
) -> None:
    tokens = windows(tokenizer, "a red apple")
    expected = tuned_states(encoder, projection, tokens, direction, steps=2, lr=1e-4)
    with torch.inference_mode():
        inside = tuned_states(
            encoder, projection.clone(), tokens.clone(), direction.clone(), steps=2, lr=1e-4
        )
    assert torch.equal(inside, expected)


def test_an_encoder_in_half_precision_is_tuned_in_full(
    encoder: CLIPTextModel, projection: Tensor, tokenizer: CLIPTokenizer, direction: Tensor
) -> None:
    half = copy.deepcopy(encoder).to(torch.bfloat16)
    tokens = windows(tokenizer, "a red apple")
    tuned = tuned_states(half, projection, tokens, direction, steps=5, lr=1e-4)
    assert tuned.dtype == torch.float32
    assert (
        half.text_model.final_layer_norm.weight.dtype == torch.bfloat16
        if hasattr(half, "text_model")
        else True
    )


def test_slerp_keeps_the_length_of_unit_vectors_and_its_ends() -> None:
    a, b = F.normalize(torch.randn(2, 4, 8), dim=-1)
    torch.testing.assert_close(slerp(a, b, 0), a)
    torch.testing.assert_close(slerp(a, b, 1), b)
    middle = slerp(a, b, 0.5)
    torch.testing.assert_close(middle.norm(dim=-1), torch.ones(4))
    torch.testing.assert_close(middle, F.normalize(a + b, dim=-1))


def test_slerp_between_equal_vectors_is_that_vector() -> None:
    a = torch.randn(3, 8)
    torch.testing.assert_close(slerp(a, a, 0.3), a)
    assert slerp(a, -a, 0.3).isfinite().all()


def test_the_weight_leads_from_the_encoders_own_words_to_the_tuned_ones() -> None:
    own, tuned = torch.randn(2, 1, 4, 8)
    assert torch.equal(blended(own, tuned, 0, "lerp"), own)
    assert torch.equal(blended(own, tuned, 1, "lerp"), tuned)
    torch.testing.assert_close(blended(own, tuned, 0.9, "lerp"), 0.1 * own + 0.9 * tuned)
    torch.testing.assert_close(blended(own, tuned, 0.9, "slerp"), slerp(own, tuned, 0.9))


def test_a_text_turns_the_embedding_towards_it_or_away() -> None:
    direction, text = F.normalize(torch.randn(2, 16, generator=torch.Generator().manual_seed(1)), dim=-1)
    before = float(direction @ text)
    towards, away = (turned(direction, text, 0.5, negative=negative) for negative in (False, True))
    assert float(towards @ text) > before > float(away @ text)
    for vector in (towards, away):
        assert float(vector.norm()) == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(turned(direction, text, 0, negative=False), direction)
    torch.testing.assert_close(turned(direction, text, 1, negative=False), text)


def test_the_cache_knows_a_tuning_by_all_that_it_depends_on_and_forgets_the_oldest() -> None:
    cache = TuningCache(size=2)
    made: list[str] = []

    def ask(prompt: str, tuning: Tuning) -> Tensor:
        known = cache.find(prompt, tuning)
        if known is not None:
            return known
        made.append(prompt)
        return cache.keep(prompt, tuning, torch.tensor(len(made)))

    one, other = Tuning("a", 10, 1e-4), Tuning("a", 11, 1e-4)
    first = ask("x", one)
    assert ask("x", Tuning("a", 10, 1e-4)) is first
    ask("x", other)
    assert ask("x", one) is first
    ask("y", one)  # forgets other
    assert ask("x", one) is first
    ask("x", other)
    assert made == ["x", "x", "y", "x"]


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "b"},
        {"steps": 9},
        {"lr": 1e-3},
        {"text": "a cat"},
        {"text_angle": 0.2},
        {"text_negative": True},
    ],
)
def test_every_part_of_a_tuning_tells_it_from_others(change: dict[str, object]) -> None:
    base: dict[str, object] = {"digest": "a", "steps": 10, "lr": 1e-4, "text": None, "text_angle": 0.1}
    cache = TuningCache()
    kept = cache.keep("x", Tuning(**base), torch.zeros(1))  # type: ignore[arg-type]
    assert cache.find("x", Tuning(**base)) is kept  # type: ignore[arg-type]
    assert cache.find("x", Tuning(**(base | change))) is None  # type: ignore[arg-type]
