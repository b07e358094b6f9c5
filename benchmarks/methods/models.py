"""The models whose sampling steps are measured: those of the repository, and random ones of other shapes."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import open_clip
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from benchmarks.places import CATALOG, MODELS
from jobs.catalog.catalog import Catalog, load_catalog
from jobs.catalog.models import ClipCard, ModelCard
from worker.models.clip import ClipModel
from worker.models.controls.held import NOTHING, Held
from worker.models.device import Device
from worker.models.families.stable_diffusion import StableDiffusion
from worker.models.loading.clip import load_clip
from worker.models.registry import ModelRegistry


@dataclass(frozen=True)
class Shapes:
    """Networks with random weights."""

    unet: dict[str, Any]
    vae: dict[str, Any]
    text: dict[str, Any]
    clip: str  # an architecture of open_clip, or the path of a folder
    px: int
    dtype: str
    second_text: dict[str, Any] | None = None  # of SDXL's second text encoder


def shipped_models(device: Device) -> Any:
    """The pocket models, and the stock pipeline of the same files."""
    stock, registry = (
        StableDiffusionPipeline.from_pretrained(MODELS / "pocket"),
        ModelRegistry(load_catalog(CATALOG), device),
    )
    return _serving(stock, registry.catalog, device, registry.clip, registry)


def random_models(shapes: Shapes, device: Device) -> Any:
    """Models of these shapes, in the same form."""
    torch.manual_seed(0)
    torch.set_default_dtype(device.dtype)
    folder = MODELS / "pocket"
    stock = StableDiffusionPipeline(
        vae=AutoencoderKL(**shapes.vae),
        text_encoder=CLIPTextModel(CLIPTextConfig(**shapes.text)),
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer", model_max_length=77),
        unet=UNet2DConditionModel(**shapes.unet),
        scheduler=DDIMScheduler.from_pretrained(folder / "scheduler"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    if Path(shapes.clip).is_dir():
        clip = load_clip(ClipCard(id="clip", path=Path(shapes.clip)), device)
    else:
        network = open_clip.create_model(shapes.clip, pretrained=None)
        clip = ClipModel(network, open_clip.get_tokenizer(shapes.clip), device)
    torch.set_default_dtype(torch.float32)
    px = shapes.px
    card = ModelCard(
        id="model", path=folder, clip="clip", cfg_scale=7.5, width=px, height=px, min_px=8, max_px=px
    )
    catalog = Catalog(models=(card,), clips=(ClipCard(id="clip", path=folder),))
    return _serving(stock, catalog, device, lambda _: clip, NOTHING)


def _serving(stock: Any, catalog: Catalog, device: Device, clip: Any, held: Held) -> Any:
    """What batches ask of a registry, and the stock pipeline."""
    model = StableDiffusion(stock.components, device)
    asked = {name: getattr(held, name) for name in ("adapter", "control", "image_prompt")}
    asked |= {"stock": stock, "catalog": catalog, "device": device, "clip": clip}
    return SimpleNamespace(**asked, diffusion=lambda _: model)
