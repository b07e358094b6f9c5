"""A tiny SDXL of random weights whose first text encoder is the pocket model's, as a folder and in a worker."""

from pathlib import Path
from typing import Any

import torch
from transformers import CLIPTextModel

from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ModelCard
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.resolve.request import resolve
from tests.worker.models.families import checkpoints
from tests.worker.models.variants import POCKET
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.settings import WorkerSettings

PX, LENGTH = 32, 32
FIRST_WIDTH = 192  # of the states of the pocket model's text encoder
SIZES = {"width": PX, "height": PX, "min_px": PX, "max_px": 2 * PX, "cfg_scale": 5}


def xl() -> Any:
    first = CLIPTextModel.from_pretrained(POCKET / "text_encoder", dtype=torch.float32)
    return checkpoints.stable_diffusion_xl(first=first, length=LENGTH)


def xl_folder(folder: Path) -> Path:
    """The model's folder."""
    return checkpoints.written(xl, folder)


def xl_card(folder: Path, name: str = "xl", **fields: Any) -> ModelCard:
    """Its entry of the catalog."""
    named = {"id": name, "path": folder, "family": "sdxl", "clip": "pocket-m", "text_clip": "pocket-s"}
    return ModelCard.model_validate({**named, **SIZES, **fields})


def xl_registry(catalog: Catalog) -> ModelRegistry:
    """A worker's models."""
    return ModelRegistry(catalog, Device(WorkerSettings(device="cpu", dtype="fp32")))


def ask(models: ModelRegistry, **fields: Any) -> ResolvedRequest:
    """A short, seeded request."""
    wanted = {"model": "xl", "prompt": "a fox", "steps": 6, "seed": 7, **fields}
    return resolve(GenerateRequest.model_validate(wanted), models.catalog)
