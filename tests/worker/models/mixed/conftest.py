"""A tiny Stable Diffusion with everything that a row may carry."""

from pathlib import Path

import pytest
from diffusers import UNet2DConditionModel

from jobs.catalog.adapters import AdapterCard
from jobs.catalog.catalog import Catalog, ModelCard
from jobs.catalog.controls import ControlCard
from jobs.catalog.textual_inversions import TextualInversionCard
from tests.worker.models.adapters.conftest import PX, drafts, files, kind_of, tiny_folder
from tests.worker.models.controls.conftest import control
from tests.worker.models.inversions.conftest import WORDS, learned, vectors
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.settings import WorkerSettings

__all__ = ["drafts", "files", "learned", "tiny_folder", "vectors"]  # fixtures


@pytest.fixture(scope="session")
def mixed(
    tiny_folder: Path,
    files: dict[str, Path],
    learned: dict[str, Path],
    pocket_catalog: Catalog,
    tmp_path_factory: pytest.TempPathFactory,
) -> ModelRegistry:
    size = {"width": PX, "height": PX, "min_px": PX, "max_px": PX}
    model = ModelCard.model_validate({"id": "tiny", "path": tiny_folder, "clip": "pocket-m", **size})
    root, unet = (
        tmp_path_factory.mktemp("mixed"),
        UNet2DConditionModel.from_pretrained(tiny_folder, subfolder="unet"),
    )
    channels = {"edges": {}, "turned": {"controlnet_conditioning_channel_order": "bgr"}}
    for number, (name, config) in enumerate(channels.items()):
        control(unet, number, **config).save_pretrained(root / name)
    catalog = Catalog(
        models=(model,),
        clips=pocket_catalog.clips,
        adapters=tuple(AdapterCard(id=name, path=file, kind=kind_of(name)) for name, file in files.items()),
        controls=tuple(ControlCard(id=name, path=root / name) for name in channels),
        textual_inversions=tuple(
            TextualInversionCard(id=f"w{number}", path=learned[word], word=word)
            for number, word in enumerate(WORDS)
        ),
    )
    return ModelRegistry(catalog, Device(WorkerSettings(device="cpu", dtype="fp32")))
