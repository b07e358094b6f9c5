"""A tiny Stable Diffusion with everything that a row may carry."""

import shutil
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel

from jobs.catalog.adapters import AdapterCard
from jobs.catalog.catalog import Catalog
from jobs.catalog.controls import ControlCard
from jobs.catalog.image_prompts import ImagePromptCard
from jobs.catalog.models import ModelCard
from jobs.catalog.textual_inversions import TextualInversionCard
from jobs.requests.conditions.families import ModelKind
from tests.worker.models.adapters.conftest import PX, drafts, files, kind_of, tiny_folder
from tests.worker.models.controls.conftest import control
from tests.worker.models.image_prompts import writing
from tests.worker.models.inversions.conftest import WORDS, learned, vectors
from training.variants.delta import widen
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.settings import WorkerSettings

__all__ = ["drafts", "files", "learned", "tiny_folder", "vectors"]  # fixtures


def editing(folder: Path, copy: Path) -> Path:
    """A copy of a model whose UNet also reads the latents of a picture."""
    shutil.copytree(folder, copy)
    unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet")
    own = unet.config.in_channels
    widen(unet, 2 * own)
    torch.nn.init.normal_(
        unet.conv_in.weight.data[:, own:], std=0.1, generator=torch.Generator().manual_seed(0)
    )
    unet.save_pretrained(copy / "unet")
    return copy


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
    root = tmp_path_factory.mktemp("mixed")
    unet = UNet2DConditionModel.from_pretrained(tiny_folder, subfolder="unet")
    editor = model.model_copy(
        update={"id": "tiny-edit", "path": editing(tiny_folder, root / "edit"), "kind": ModelKind.EDIT}
    )
    channels = {"edges": {}, "turned": {"controlnet_conditioning_channel_order": "bgr"}}
    for number, (name, config) in enumerate(channels.items()):
        control(unet, number, **config).save_pretrained(root / name)
    seen, shipped = (
        writing.saved(writing.base(unet, features, features), root / f"{features}.safetensors")
        for features in (24, 192)
    )
    catalog = Catalog(
        models=(model, editor),
        clips=pocket_catalog.clips,
        adapters=tuple(AdapterCard(id=name, path=file, kind=kind_of(name)) for name, file in files.items()),
        controls=tuple(ControlCard(id=name, path=root / name) for name in channels),
        image_prompts=(
            ImagePromptCard(id="seen", path=seen, encoder=writing.encoder(root / "encoder", 6, px=PX)),
            ImagePromptCard(id="shipped", path=shipped, clip="pocket-s"),
        ),
        textual_inversions=tuple(
            TextualInversionCard(id=f"w{number}", path=learned[word], word=word)
            for number, word in enumerate(WORDS)
        ),
    )
    return ModelRegistry(catalog, Device(WorkerSettings(device="cpu", dtype="fp32")))
