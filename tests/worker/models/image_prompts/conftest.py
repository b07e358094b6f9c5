"""A tiny Stable Diffusion with IP-Adapters of random numbers, a LoRA and a ControlNet."""

from pathlib import Path

import pytest
from diffusers import UNet2DConditionModel

from jobs.catalog.adapters import AdapterCard
from jobs.catalog.catalog import Catalog
from jobs.catalog.controls import ControlCard
from jobs.catalog.image_prompts import ImagePromptCard
from jobs.catalog.models import ModelCard
from tests.worker.models.adapters import writing as adapters
from tests.worker.models.controls.conftest import control
from tests.worker.models.families import checkpoints
from tests.worker.models.image_prompts import writing
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.settings import WorkerSettings

PX = 32


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders and files by name: the model, its encoder, and what is made for it."""
    root = tmp_path_factory.mktemp("prompted")
    tiny = checkpoints.written(lambda: checkpoints.stable_diffusion(prediction_type="epsilon"), root / "sd")
    unet = UNet2DConditionModel.from_pretrained(tiny, subfolder="unet")
    edges = root / "edges"
    control(unet, 1).save_pretrained(edges)
    files = {
        "base": writing.base(unet, 1, features=24),
        "other": writing.base(unet, 2, features=24),
        "plus": writing.plus(unet, 3, states=32),
        "pocket": writing.base(unet, 4, features=192),
        "wider": writing.base(checkpoints.unet(block_out_channels=(32, 96)), 5, features=24),
    }
    return {
        "tiny": tiny,
        "edges": edges,
        "encoder": writing.encoder(root / "encoder", 6, px=PX),
        "ink": adapters.peft(adapters.draw({"unet": unet}, 7, "attn"), root / "ink.safetensors"),
        **{name: writing.saved(tensors, root / f"{name}.safetensors") for name, tensors in files.items()},
    }


@pytest.fixture(scope="session")
def cards(places: dict[str, Path]) -> tuple[ImagePromptCard, ...]:
    """The adapters' entries; one has its pictures encoded by a shipped CLIP."""
    return (
        *(
            ImagePromptCard(id=name, path=places[name], encoder=places["encoder"])
            for name in ("base", "other", "plus", "wider")
        ),
        ImagePromptCard(id="pocket", path=places["pocket"], clip="pocket-s", base=("tiny",), weight=0.8),
    )


@pytest.fixture(scope="session")
def prompted(
    places: dict[str, Path], cards: tuple[ImagePromptCard, ...], pocket_catalog: Catalog
) -> ModelRegistry:
    """The tiny model and all that is made for it, beside the shipped CLIPs."""
    size = {"width": PX, "height": PX, "min_px": PX, "max_px": 2 * PX, "cfg_scale": 5}
    model = ModelCard.model_validate({"id": "tiny", "path": places["tiny"], "clip": "pocket-m", **size})
    catalog = Catalog(
        models=(model,),
        clips=pocket_catalog.clips,
        adapters=(AdapterCard(id="ink", path=places["ink"]),),
        controls=(ControlCard(id="edges", path=places["edges"]),),
        image_prompts=cards,
    )
    return ModelRegistry(catalog, Device(WorkerSettings(device="cpu", dtype="fp32")))
