"""Writes IP-Adapters of random numbers, as they are published."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

HEADS, HEAD_WIDTH, DEPTH = 2, 64, 4  # diffusers reads no other depth
Tensors = dict[str, Tensor]


def encoder(folder: Path, seed: int, *, px: int) -> Path:
    """A folder of a CLIPVisionModelWithProjection."""
    torch.manual_seed(seed)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_hidden_layers": 3}
    config = CLIPVisionConfig(image_size=px, patch_size=8, projection_dim=24, **shape)
    CLIPVisionModelWithProjection(config).save_pretrained(folder)
    return folder


def base(unet: Any, seed: int, features: int, tokens: int = 4) -> Tensors:
    """The base kind, for embeddings of so many numbers."""
    rng, width = torch.Generator().manual_seed(seed), unet.config.cross_attention_dim
    return {
        "image_proj.proj.weight": _drawn(rng, tokens * width, features),
        "image_proj.proj.bias": _drawn(rng, tokens * width, 1)[:, 0],
        **{f"image_proj.{name}": each for name, each in _norm(rng, "norm", width).items()},
        **_attentions(unet, rng),
    }


def plus(unet: Any, seed: int, states: int, tokens: int = 6, inner: int = 48) -> Tensors:
    """Plus, for states of so many numbers."""
    rng, width, attended = (
        torch.Generator().manual_seed(seed),
        unet.config.cross_attention_dim,
        HEADS * HEAD_WIDTH,
    )
    parts = {
        "latents": torch.randn(1, tokens, inner, generator=rng),
        "proj_in.weight": _drawn(rng, inner, states),
        "proj_in.bias": _drawn(rng, inner, 1)[:, 0],
        "proj_out.weight": _drawn(rng, width, inner),
        "proj_out.bias": _drawn(rng, width, 1)[:, 0],
        **_norm(rng, "norm_out", width),
    }
    for number in range(DEPTH):
        beginning = f"layers.{number}"
        parts |= {
            **_norm(rng, f"{beginning}.0.norm1", inner),
            **_norm(rng, f"{beginning}.0.norm2", inner),
            f"{beginning}.0.to_q.weight": _drawn(rng, attended, inner),
            f"{beginning}.0.to_kv.weight": _drawn(rng, 2 * attended, inner),
            f"{beginning}.0.to_out.weight": _drawn(rng, inner, attended),
            **_norm(rng, f"{beginning}.1.0", inner),
            f"{beginning}.1.1.weight": _drawn(rng, 4 * inner, inner),
            f"{beginning}.1.3.weight": _drawn(rng, inner, 4 * inner),
        }
    return {f"image_proj.{name}": each for name, each in parts.items()} | _attentions(unet, rng)


def saved(tensors: Tensors, file: Path) -> Path:
    save_file({name: each.contiguous() for name, each in tensors.items()}, file)
    return file


def _attentions(unet: Any, rng: torch.Generator) -> Tensors:
    names = [name for name in unet.attn_processors if not name.endswith("attn1.processor")]
    found = {}
    for number, name in enumerate(names):
        inner, width = unet.get_submodule(name.removesuffix(".processor")).to_k.weight.shape
        for key in ("k", "v"):
            found[f"ip_adapter.{2 * number + 1}.to_{key}_ip.weight"] = _drawn(rng, inner, width)
    return found


def _norm(rng: torch.Generator, name: str, width: int) -> Tensors:
    return {
        f"{name}.weight": 1 + 0.2 * torch.randn(width, generator=rng),
        f"{name}.bias": _drawn(rng, width, 1)[:, 0],
    }


def _drawn(rng: torch.Generator, outputs: int, inputs: int) -> Tensor:
    drawn: Tensor = torch.randn(outputs, inputs, generator=rng) / inputs**0.5
    return drawn
