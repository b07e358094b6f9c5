"""A tiny Stable Diffusion of random weights, as a folder: an oracle's pipelines and a worker load the same."""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

from jobs.catalog.catalog import load_catalog
from tests.worker.conftest import ROOT
from tests.worker.sampling.noise_schedule import STABLE_DIFFUSION
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.settings import WorkerSettings

SIDE = 64
_CATALOG = """
[models.tiny]
path = "{folder}"
kind = "{kind}"
clip = "pocket-m"
width = {side}
height = {side}
min_px = 32
max_px = 128

[clips.pocket-m]
path = "{root}/models/pocket-m"
"""


def tiny_folder(folder: Path, in_channels: int = 4, **scheduler: Any) -> Path:
    """The model: a UNet that gives four channels, a VAE of factor 8, and the text encoder of the pocket model."""
    pocket = StableDiffusionPipeline.from_pretrained(ROOT / "models" / "pocket")
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=SIDE // 8,
        in_channels=in_channels,
        out_channels=4,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=pocket.text_encoder.config.hidden_size,
        attention_head_dim=4,
        norm_num_groups=16,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=SIDE,
        scaling_factor=0.18215,
    )
    pocket.register_modules(
        unet=unet, vae=vae, scheduler=DDIMScheduler.from_config(STABLE_DIFFUSION | scheduler)
    )
    pocket.save_pretrained(folder)
    return folder


def tiny_registry(folder: Path, kind: str = "text") -> ModelRegistry:
    """The worker's models: the tiny one, of a kind, and a CLIP."""
    file = folder.parent / "models.toml"
    file.write_text(_CATALOG.format(folder=folder, root=ROOT, side=SIDE, kind=kind))
    return ModelRegistry(load_catalog(file), Device(WorkerSettings(device="cpu", dtype="fp32")))
