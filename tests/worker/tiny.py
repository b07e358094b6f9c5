"""Tiny random networks in place of the pocket models', for properties that many pictures have to show."""

import json
from typing import Any

import open_clip
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from jobs.catalog.catalog import Catalog
from tests.worker.conftest import ROOT
from worker.models.clip import ClipModel
from worker.models.device import Device
from worker.models.families.stable_diffusion import StableDiffusion
from worker.models.loader import Ref
from worker.models.registry import ModelRegistry, _Resident
from worker.settings import WorkerSettings

MODELS = ROOT / "models"
WIDTH = 8


def tiny_models(catalog: Catalog) -> ModelRegistry:
    """The catalog's first model and its CLIPs, as networks of random weights."""
    device = Device(WorkerSettings(device="cpu", dtype="fp32"))
    registry = ModelRegistry(catalog, device)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        registry._resident[Ref("model", "pocket")] = _Resident(_diffusion(device))
        for clip in ("pocket-m", "pocket-s", "pocket-eval"):
            registry._resident[Ref("clip", clip)] = _Resident(_clip(clip, device))
    return registry


def _diffusion(device: Device) -> StableDiffusion:
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
        sample_size=8,
        block_out_channels=(WIDTH, WIDTH),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        norm_num_groups=2,
        attention_head_dim=4,
        cross_attention_dim=WIDTH,
    )
    vae: Any = AutoencoderKL(
        block_out_channels=(WIDTH,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=2,
        latent_channels=4,
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
