"""Loading a diffusion model from each place that the catalog may name."""

from pathlib import Path

import pytest
import torch

from jobs.catalog import ModelCard
from tests.worker.conftest import ROOT
from tests.worker.models.single_file import write_single_file
from worker.models.device import Device
from worker.models.diffusion import DiffusionModel, load_diffusion
from worker.settings import WorkerSettings

POCKET = ROOT / "models" / "pocket"


def load(path: Path, *, config: Path | None = None, dtype: str = "fp32") -> DiffusionModel:
    card = ModelCard(
        id="m", path=path, config=config, clip="c", width=64, height=64, min_px=64, max_px=64
    )
    return load_diffusion(card, Device(WorkerSettings.model_validate({"device": "cpu", "dtype": dtype})))


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_single_checkpoint_file_is_the_same_model_as_its_folder(tmp_path: Path) -> None:
    file = tmp_path / "pocket.safetensors"
    write_single_file(POCKET, file, layers=1, with_attention=(False, True))
    single, folder = load(file, config=POCKET), load(POCKET)
    assert single.facts == folder.facts
    text = folder.encode_text("a red apple")
    assert torch.allclose(single.encode_text("a red apple"), text, atol=1e-5)
    latents = torch.randn(1, folder.facts.latent_channels, 8, 8, generator=torch.Generator().manual_seed(0))
    one, other = (model.denoise(latents, torch.tensor(500), text, None, 1) for model in (single, folder))
    assert torch.allclose(one, other, atol=1e-4)
    assert torch.allclose(single.render(latents), folder.render(latents), atol=1e-4)


def test_in_bf16_it_draws_nearly_the_same() -> None:
    full, half = load(POCKET), load(POCKET, dtype="bf16")
    text = full.encode_text("a red apple")
    latents = torch.randn(1, full.facts.latent_channels, 8, 8, generator=torch.Generator().manual_seed(0))
    exact = full.denoise(latents, torch.tensor(500), text, None, 1)
    assert (half.denoise(latents, torch.tensor(500), text, None, 1) - exact).abs().mean() < 0.05
    assert half.render(latents).dtype == torch.float32


def test_classifier_free_guidance_is_the_formula() -> None:
    model = load(POCKET)
    empty, text = model.encode_text(""), model.encode_text("a fox")
    latents, t = torch.randn(1, model.facts.latent_channels, 8, 8), torch.tensor(300)
    u, c = (model.denoise(latents, t, context, None, 1) for context in (empty, text))
    assert torch.allclose(model.denoise(latents, t, text, empty, 5.0), u + 5 * (c - u), atol=1e-4)


def test_a_prompt_beyond_the_context_is_cut_and_not_an_error() -> None:
    model = load(POCKET)
    assert model.encode_text("apple " * 300).shape == model.encode_text("apple").shape
