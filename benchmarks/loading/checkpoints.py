"""Writes a Stable Diffusion or an SDXL and a CLIP with random weights, in the layouts that workers read."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import Module
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from benchmarks.methods.models import Shapes
from benchmarks.places import MODELS

POCKET, SMALL_CLIP = MODELS / "pocket", MODELS / "pocket-m"
SPREAD = 0.02  # standard deviation of the weights, so that no network overflows
BLOCK = 2**22  # random numbers that are drawn once, and repeated to fill a file
DTYPES = {"fp32": torch.float32, "fp16": torch.float16}


def write_checkpoints(folder: Path, shapes: Shapes, dtype: str) -> None:
    """Write the catalog ``models.toml`` and its two models, unless the folder has them.

    Args:
        folder: in which they lie; about 8 GB for SD 1.5 and ViT-H-14 in fp32.
        shapes: of the networks.
        dtype: of the files, fp32 or fp16.
    """
    if (folder / "models.toml").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_diffusion(folder / "sd", shapes, dtype)
    _write_clip(folder / "clip", shapes.clip, _numbers(dtype))
    (folder / "models.toml").write_text(
        f'[models.sd]\npath = "sd"\nclip = "clip"\nwidth = {shapes.px}\nheight = {shapes.px}\nmin_px = 64\n'
        f'max_px = {shapes.px}\n\n[clips.clip]\npath = "clip"\n'
    )


def _numbers(dtype: str) -> Tensor:
    return torch.randn(BLOCK, generator=torch.Generator().manual_seed(0)).mul_(SPREAD).to(DTYPES[dtype])


def write_diffusion(folder: Path, shapes: Shapes, dtype: str, **scheduler: Any) -> None:
    """Write a Stable Diffusion, or an SDXL where the shapes have a second text encoder.

    Args:
        folder: of its own.
        shapes: of the networks.
        dtype: of the files, fp32 or fp16.
        scheduler: fields of its configuration.
    """
    numbers = _numbers(dtype)
    for part in ("scheduler", "tokenizer"):
        shutil.copytree(POCKET / part, folder / part, dirs_exist_ok=True)
    shutil.copy(POCKET / "model_index.json", folder)
    _edit(folder / "scheduler" / "scheduler_config.json", **scheduler)
    _edit(folder / "tokenizer" / "tokenizer_config.json", model_max_length=77)
    text = CLIPTextConfig(**shapes.text)
    networks: dict[str, tuple[str, Callable[[], Any]]] = {
        "text_encoder": ("model", lambda: CLIPTextModel(text)),
        **_of_xl(folder, shapes),
        "unet": ("diffusion_pytorch_model", lambda: UNet2DConditionModel(**shapes.unet)),
        "vae": ("diffusion_pytorch_model", lambda: AutoencoderKL(**shapes.vae)),
    }
    for name, (stem, build) in networks.items():
        with init_empty_weights():
            network = build()
        (network.config.save_pretrained if stem == "model" else network.save_config)(folder / name)
        _write_weights(network, folder / name / f"{stem}.safetensors", numbers)


def _of_xl(folder: Path, shapes: Shapes) -> dict[str, tuple[str, Callable[[], Any]]]:
    """The networks that SDXL has besides; nothing for shapes without them."""
    if shapes.second_text is None:
        return {}
    shutil.copytree(folder / "tokenizer", folder / "tokenizer_2", dirs_exist_ok=True)
    _edit(
        folder / "model_index.json",
        _class_name="StableDiffusionXLPipeline",
        text_encoder_2=["transformers", "CLIPTextModelWithProjection"],
        tokenizer_2=["transformers", "CLIPTokenizer"],
    )
    config = CLIPTextConfig(**shapes.second_text)
    return {"text_encoder_2": ("model", lambda: CLIPTextModelWithProjection(config))}


def _edit(file: Path, **fields: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | fields, indent=2))


def _write_clip(folder: Path, architecture: str, numbers: Tensor) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if Path(architecture).is_dir():
        for file in Path(architecture).iterdir():
            shutil.copy(file, folder)
        return
    config = {"model_cfg": open_clip.get_model_config(architecture), "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2))
    with init_empty_weights():
        network = open_clip.create_model(architecture, pretrained=None, device="meta")
    _write_weights(network, folder / "open_clip_model.safetensors", numbers)


def _write_weights(network: Module, file: Path, numbers: Tensor) -> None:
    """Each tensor begins elsewhere in the random numbers, and repeats them."""
    tensors, begin = {}, 0
    for name, tensor in network.state_dict().items():
        size = tensor.numel()
        repeated = (
            numbers.roll(-begin).repeat(math.ceil(size / BLOCK)) if size > BLOCK else numbers.roll(-begin)
        )
        tensors[name] = repeated[:size].reshape(tensor.shape).clone()
        begin = (begin + size) % BLOCK
    save_file(tensors, file)
