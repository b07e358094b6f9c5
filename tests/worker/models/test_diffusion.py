"""Loading a diffusion model from each place that the catalog may name."""

from pathlib import Path

import pytest
import torch

from benchmarks.loading.single_file import write_single_file
from tests.worker.models.predicting import predicted
from tests.worker.models.variants import POCKET, load


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_single_checkpoint_file_is_the_same_model_as_its_folder(plain: Path, tmp_path: Path) -> None:
    file = tmp_path / "plain.safetensors"
    write_single_file(plain, file, layers=1, with_attention=(False, True))
    single, folder = load(file, config=plain), load(plain)
    assert single.facts == folder.facts
    text = folder.encode_texts(["a red apple"])
    assert torch.allclose(single.encode_texts(["a red apple"]), text, atol=1e-5)
    latents = torch.randn(1, folder.facts.latent_channels, 8, 8, generator=torch.Generator().manual_seed(0))
    one, other = (predicted(model, latents, torch.tensor([500]), text) for model in (single, folder))
    assert torch.allclose(one, other, atol=1e-4)
    assert torch.allclose(single.render(latents), folder.render(latents), atol=1e-4)


def test_in_bf16_it_draws_nearly_the_same() -> None:
    full, half = load(POCKET), load(POCKET, dtype="bf16")
    text = full.encode_texts(["a red apple"])
    latents = torch.randn(1, full.facts.latent_channels, 8, 8, generator=torch.Generator().manual_seed(0))
    exact = predicted(full, latents, torch.tensor([500]), text)
    assert (predicted(half, latents, torch.tensor([500]), text) - exact).abs().mean() < 0.05
    assert half.render(latents).dtype == torch.float32


def test_the_rows_of_a_batch_know_nothing_of_each_other() -> None:
    model = load(POCKET)
    context = model.encode_texts(["", "a fox", "a red apple"])
    latents, timesteps = torch.randn(3, model.facts.latent_channels, 8, 8), torch.tensor([3, 500, 999])
    together = predicted(model, latents, timesteps, context)
    for row in range(3):
        alone = predicted(model, latents[row : row + 1], timesteps[row : row + 1], context[row : row + 1])
        assert torch.allclose(together[row], alone[0], atol=1e-5)
    latents[1] = float("nan")
    spoiled = predicted(model, latents, timesteps, context)
    assert torch.equal(spoiled[[0, 2]], together[[0, 2]])


def test_a_text_is_encoded_once_however_often_it_is_asked_for() -> None:
    model = load(POCKET)
    one, other = model.encode_texts(["a fox"]), model.encode_texts(["a red apple", "a fox", "a fox"])
    assert torch.equal(other[1:], torch.cat([one, one]))


def test_a_prompt_beyond_the_context_is_cut_and_not_an_error() -> None:
    model = load(POCKET)
    assert model.encode_texts(["apple " * 300, "apple"]).shape[0] == 2
