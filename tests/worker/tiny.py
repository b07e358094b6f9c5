"""Tiny random networks in place of the pocket models', for properties that many pictures have to show."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from jobs.catalog.catalog import Catalog
from worker.models.clip import ClipModel
from worker.models.device import Device
from worker.models.families.stable_diffusion import StableDiffusion
from worker.models.loader import Loaded, Ref
from worker.models.registry import ModelRegistry, _Resident
from worker.settings import WorkerSettings

MODELS = Path(__file__).parents[2] / "models"
WIDTH = 8


@dataclass(frozen=True)
class Shape:
    """Of latents: their channels, and how many pixels are a side of one."""

    channels: int = 4
    factor: int = 8


STABLE = Shape()  # of Stable Diffusion's latents
POCKET = Shape(channels=8, factor=4)  # of the pocket model's


def tiny_models(catalog: Catalog, shape: Shape = STABLE) -> ModelRegistry:
    """The catalog's models that draw from noise and in holes, and its CLIPs, as networks of random weights."""
    device = Device(WorkerSettings(device="cpu", dtype="fp32"))
    registry = ModelRegistry(catalog, device)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        networks: dict[Ref, Loaded] = {Ref("model", "pocket"): _diffusion(device, shape)}
        networks |= {
            Ref("clip", clip): _clip(clip, device) for clip in ("pocket-m", "pocket-s", "pocket-eval")
        }
        networks[Ref("model", "pocket-inpaint")] = _diffusion(device, shape, 2 * shape.channels + 1)
    for ref, model in networks.items():
        registry._resident[ref] = _Resident(model, registry._loads.source_of(ref))
    return registry


def _diffusion(device: Device, shape: Shape, in_channels: int | None = None) -> StableDiffusion:
    tokenizer: Any = CLIPTokenizer.from_pretrained(MODELS / "pocket" / "tokenizer")
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=1,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    unet: Any = UNet2DConditionModel(
        sample_size=64 // shape.factor,
        in_channels=in_channels or shape.channels,
        out_channels=shape.channels,
        block_out_channels=(WIDTH, WIDTH),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        norm_num_groups=2,
        attention_head_dim=4,
        cross_attention_dim=WIDTH,
    )
    levels = shape.factor.bit_length()
    vae: Any = AutoencoderKL(
        block_out_channels=(WIDTH,) * levels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        norm_num_groups=2,
        latent_channels=shape.channels,
        sample_size=64,
    )
    schedule = json.loads((MODELS / "pocket" / "scheduler" / "scheduler_config.json").read_text())
    parts: Any = {
        "tokenizer": tokenizer,
        "text_encoder": CLIPTextModel(text),
        "unet": unet,
        "vae": vae,
        "scheduler": DDIMScheduler.from_config(schedule),
    }
    return StableDiffusion(parts, device)


def _clip(name: str, device: Device) -> ClipModel:
    config = json.loads((MODELS / name / "open_clip_config.json").read_text())["model_cfg"]
    small = {"width": WIDTH, "layers": 1}
    network = open_clip.CLIP(
        embed_dim=WIDTH,
        vision_cfg={"image_size": 16, "patch_size": 8, "head_width": 4, **small},
        text_cfg={
            "context_length": config["text_cfg"]["context_length"],
            "vocab_size": config["text_cfg"]["vocab_size"],
            "heads": 1,
            **small,
        },
    )
    return ClipModel(network, open_clip.get_tokenizer(f"local-dir:{MODELS / name}"), device)
