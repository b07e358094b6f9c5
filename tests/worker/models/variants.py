"""Copies of the pocket model that differ in one file, for tests of loading."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from jobs.catalog.models import ModelCard
from tests.worker.conftest import ROOT
from worker.models.device import Device
from worker.models.families.denoiser import Denoiser
from worker.models.families.stable_diffusion import STABLE_DIFFUSION
from worker.models.loading.diffusion import load_diffusion
from worker.settings import WorkerSettings

STEMS = STABLE_DIFFUSION.stems
POCKET = ROOT / "models" / "pocket"
Tensors = dict[str, Tensor]


def copy_of_pocket(folder: Path, *touched: str) -> Path:
    """The pocket model in a new folder. Parts that are not going to be touched are links to the real ones."""
    folder.mkdir()
    shutil.copy(POCKET / "model_index.json", folder)
    for part in ("scheduler", "tokenizer", *STEMS):
        if part in touched:
            shutil.copytree(POCKET / part, folder / part)
        else:
            (folder / part).symlink_to(POCKET / part)
    return folder


def weights_of(network: Path) -> Path:
    """The file of a network's weights."""
    return network / f"{STEMS[network.name]}.safetensors"


def rewrite(network: Path, change: Callable[[Tensors], Tensors]) -> None:
    """Change the weights of a network."""
    file = weights_of(network)
    tensors = change(load_file(file))
    file.unlink()  # tensors that were kept are still mapped from it
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, file)


def edit(file: Path, **fields: Any) -> None:
    """Change fields of a JSON file."""
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def load(path: Path, *, config: Path | None = None, dtype: str = "fp32", **fields: Any) -> Denoiser:
    """Load a model as a worker on a CPU does."""
    size = {"width": 64, "height": 64, "min_px": 64, "max_px": 64}
    card = ModelCard.model_validate(
        {"id": "m", "path": path, "config": config, "clip": "c", **size, **fields}
    )
    return load_diffusion(card, Device(WorkerSettings.model_validate({"device": "cpu", "dtype": dtype})))
