"""Text encoders that were cut out of a CLIP, with and without its last layers."""

import copy

import pytest
import torch
from open_clip.transformer import TextTransformer
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPTextModel

from jobs.errors import ModelUnavailableError
from tests.worker.aesthetics.tuning import tuned_states
from tests.worker.conftest import ROOT
from worker.calls import Tuning
from worker.models.clip import ClipModel
from worker.models.loading.text_tower import TextTower
from worker.models.registry import ModelRegistry

PROMPT = "a red apple on a light blue background"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def clip(models: ModelRegistry) -> ClipModel:
    return models.clip("pocket-s")


@pytest.fixture(scope="module")
def encoder() -> CLIPTextModel:
    """The pocket model's text encoder."""
    folder = ROOT / "models" / "pocket" / "text_encoder"
    return CLIPTextModel.from_pretrained(folder, dtype=torch.float32).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def shortened(encoder: CLIPTextModel) -> CLIPTextModel:
    """The same without its last layer, as Stable Diffusion 2 has ViT-H's."""
    config = copy.deepcopy(encoder.config)
    config.num_hidden_layers -= 1
    short = CLIPTextModel(config)
    missing, _ = short.load_state_dict(encoder.state_dict(), strict=False)
    assert not missing
    return short.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def tokens(models: ModelRegistry) -> Tensor:
    return models.diffusion("pocket").personalizer._windows(PROMPT)


@pytest.fixture(scope="module")
def direction() -> Tensor:
    return F.normalize(torch.randn(192, generator=torch.Generator().manual_seed(3)), dim=0)


def test_a_tower_knows_its_size(clip: ClipModel) -> None:
    assert (clip.text_tower.layers, clip.text_tower.width, clip.width) == (3, 192, 192)
    assert clip.text_tower.projection.shape == (192, 192)


def test_a_whole_encoder_needs_no_completion(clip: ClipModel) -> None:
    assert clip.text_tower.completion(3, CPU) is None


def test_an_encoder_of_more_layers_is_of_another_clip(clip: ClipModel) -> None:
    with pytest.raises(ModelUnavailableError, match=r"has 4 layers, the CLIP .* has 3"):
        clip.text_tower.completion(4, CPU)


def test_the_missing_layer_is_taken_from_the_clip(
    clip: ClipModel, shortened: CLIPTextModel, tokens: Tensor
) -> None:
    complete = clip.text_tower.completion(2, CPU)
    assert complete is not None
    states: list[Tensor] = []
    norm = next(part for name, part in shortened.named_modules() if name.endswith("final_layer_norm"))
    with norm.register_forward_pre_hook(lambda _module, given: states.append(given[0])):
        shortened(tokens)
    completed = F.normalize(complete(states[0], tokens), dim=-1)
    torch.testing.assert_close(completed, clip.embed_text(PROMPT), atol=1e-3, rtol=0)


def test_a_shortened_encoder_is_tuned_through_the_missing_layer(
    clip: ClipModel, encoder: CLIPTextModel, shortened: CLIPTextModel, tokens: Tensor, direction: Tensor
) -> None:
    """As the whole encoder is, if its last layer and norm stay as they are."""
    tuned = tuned_states(
        shortened,
        clip.text_tower.projection,
        tokens,
        direction,
        steps=3,
        lr=1e-3,
        completion=clip.text_tower.completion(2, CPU),
    )
    whole = copy.deepcopy(encoder)
    early = [
        weight.requires_grad_(True)
        for name, weight in whole.named_parameters()
        if "layers.2." not in name and "final_layer_norm" not in name
    ]
    adam = torch.optim.Adam(early, lr=1e-3)
    for _ in range(3):
        pooled = whole(tokens).pooler_output @ clip.text_tower.projection
        adam.zero_grad()
        (-(F.normalize(pooled, dim=-1) @ direction).mean()).backward()
        adam.step()
    short = copy.deepcopy(shortened)
    short.load_state_dict(whole.state_dict(), strict=False)
    with torch.no_grad():
        expected = short(tokens).last_hidden_state
    torch.testing.assert_close(tuned, expected, atol=2e-3, rtol=0)
    assert float((tuned - shortened(tokens).last_hidden_state).abs().mean()) > 0.02


def test_a_tower_of_another_kind_is_refused() -> None:
    with pytest.raises(ModelUnavailableError, match="its text tower is a Linear"):
        TextTower(torch.nn.Sequential(torch.nn.Linear(1, 1))[0])


def test_a_tower_of_its_own_module_is_known() -> None:
    text = TextTransformer(context_length=32, vocab_size=2048, width=192, heads=6, layers=3, output_dim=192)
    tower = TextTower(_with(text))
    complete = tower.completion(1, CPU)
    assert complete is not None
    states, tokens = torch.randn(2, 32, 192), torch.randint(0, 2047, (2, 32))
    assert complete(states, tokens).shape == (2, 192)


def _with(text: torch.nn.Module) -> torch.nn.Module:
    """A model that keeps its text tower as a module."""
    model = torch.nn.Module()
    model.text = text
    return model


def test_the_encoder_of_another_clip_is_refused(models: ModelRegistry) -> None:
    with pytest.raises(ModelUnavailableError, match="does not belong to the CLIP"):
        models.diffusion("pocket").personalizer.personalize(
            PROMPT, torch.zeros(192), Tuning("d", 1, 1e-4), models.clip("pocket-m")
        )
    wide = copy.copy(models.clip("pocket-s"))
    vars(wide)["text_tower"] = copy.copy(wide.text_tower)
    wide.text_tower.width = 768
    with pytest.raises(ModelUnavailableError, match=r"states of 192 numbers, .* states of 768"):
        models.diffusion("pocket").personalizer.personalize(
            PROMPT, torch.zeros(192), Tuning("d", 2, 1e-4), wide
        )
