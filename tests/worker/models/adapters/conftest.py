"""A tiny Stable Diffusion with adapters of random numbers."""

from pathlib import Path

import pytest
from diffusers import StableDiffusionPipeline

from jobs.catalog.adapters import AdapterCard
from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ModelCard
from jobs.requests.conditions.adapters import AdapterKind
from tests.worker.models.adapters import writing
from tests.worker.models.families import checkpoints
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.settings import WorkerSettings

PX = 32


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.written(
        lambda: checkpoints.stable_diffusion(prediction_type="epsilon"),
        tmp_path_factory.mktemp("tiny") / "sd",
    )


@pytest.fixture(scope="session")
def drafts(tiny_folder: Path) -> dict[str, writing.Draft]:
    """Adapters by name: of all layers, of attentions, of the UNet's alone."""
    pipeline = StableDiffusionPipeline.from_pretrained(tiny_folder, safety_checker=None)
    both = {"unet": pipeline.unet, "text_encoder": pipeline.text_encoder}
    return {
        "all": writing.draw(both, 1),
        "attention": writing.draw(both, 2, "attn"),
        "unet": writing.draw({"unet": pipeline.unet}, 3, "resnets"),
        "large": writing.draw({"unet": pipeline.unet}, 4, "attn1.to_q", rank=122),
        "dora": writing.decomposed(writing.draw(both, 5), both, 6),
        "small-dora": writing.decomposed(writing.draw({"unet": pipeline.unet}, 7, "attn2"), both, 8),
    }


@pytest.fixture(scope="session")
def files(drafts: dict[str, writing.Draft], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("adapters")
    return {name: writing.peft(draft, root / f"{name}.safetensors") for name, draft in drafts.items()}


def kind_of(name: str) -> AdapterKind:
    return AdapterKind.DORA if "dora" in name else AdapterKind.LORA


@pytest.fixture(scope="session")
def adapted(tiny_folder: Path, files: dict[str, Path], pocket_catalog: Catalog) -> ModelRegistry:
    """The tiny model and the adapters, beside the shipped CLIPs."""
    size = {"width": PX, "height": PX, "min_px": PX, "max_px": PX, "cfg_scale": 5}
    model = ModelCard.model_validate({"id": "tiny", "path": tiny_folder, "clip": "pocket-m", **size})
    adapters = tuple(
        AdapterCard(id=name, path=file, base=("tiny",), kind=kind_of(name)) for name, file in files.items()
    )
    catalog = Catalog(models=(model,), clips=pocket_catalog.clips, adapters=adapters)
    return ModelRegistry(catalog, Device(WorkerSettings(device="cpu", dtype="fp32")))
