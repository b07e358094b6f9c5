"""A full fine-tune beside the model that it was made of: what is equal lies in memory once."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline

from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ModelCard
from tests.worker.models.families import checkpoints
from worker.models.device import Device
from worker.models.loader import taken_bytes
from worker.models.registry import ModelRegistry
from worker.settings import WorkerSettings


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model, and one whose UNet alone was trained on, saved as diffusers' script for DreamBooth does."""
    root = tmp_path_factory.mktemp("fine-tunes")
    base = checkpoints.written(checkpoints.stable_diffusion, root / "base")
    pipeline = StableDiffusionPipeline.from_pretrained(base, safety_checker=None)
    with torch.no_grad():
        for weight in pipeline.unet.parameters():
            weight.add_(0.01 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    pipeline.save_pretrained(root / "tuned")
    # Another version of the libraries, which also notes where the networks came from.
    for part in ("text_encoder", "vae", "unet"):
        file = root / "tuned" / part / "config.json"
        fields = json.loads(file.read_text()) | {
            "_name_or_path": "org/base",
            "transformers_version": "4.30.0",
        }
        file.write_text(json.dumps(fields, indent=4))
    return {"base": base, "tuned": root / "tuned"}


def registry(folders: dict[str, Path], pocket_catalog: Catalog) -> ModelRegistry:
    size = {"width": 32, "height": 32, "min_px": 32, "max_px": 32, "clip": "pocket-m"}
    models = tuple(
        ModelCard.model_validate({"id": name, "path": path, **size}) for name, path in folders.items()
    )
    catalog = Catalog(models=models, clips=pocket_catalog.clips)
    return ModelRegistry(catalog, Device(WorkerSettings(device="cpu", dtype="fp32")))


def taken(models: ModelRegistry) -> int:
    return taken_bytes(each.model for each in models._resident.values())


def test_a_fine_tune_takes_memory_for_what_it_changed_alone(
    folders: dict[str, Path], pocket_catalog: Catalog
) -> None:
    models = registry(folders, pocket_catalog)
    base = models.diffusion("base")
    alone = taken(models)
    tuned = models.diffusion("tuned")
    text_encoder, unet, vae = base.networks
    assert tuned.networks[0] is text_encoder
    assert tuned.networks[2] is vae
    assert tuned.networks[1] is not unet
    unet_bytes = sum(each.nbytes for each in (*unet.parameters(), *unet.buffers()))
    assert taken(models) == alone + unet_bytes


def test_a_tower_of_another_shape_is_its_own(
    folders: dict[str, Path], pocket_catalog: Catalog, tmp_path: Path
) -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(folders["base"], safety_checker=None)
    pipeline.text_encoder.config.hidden_act = "gelu"
    pipeline.save_pretrained(tmp_path / "other")
    models = registry({"base": folders["base"], "other": tmp_path / "other"}, pocket_catalog)
    base, other = models.diffusion("base"), models.diffusion("other")
    assert other.networks[0] is not base.networks[0]
    assert other.networks[1] is base.networks[1]
