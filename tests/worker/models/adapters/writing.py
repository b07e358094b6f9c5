"""Writes adapters of random numbers in the formats that trainers write."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from worker.models.adapters.fitting import changeable

RANK, ALPHA = 4, 2.0
NEW_NAMES = {"q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "out_proj": "to_out"}


@dataclass(frozen=True)
class Drawn:
    """A layer's factors, as a trainer has them, and the magnitudes of a DoRA."""

    down: Tensor
    up: Tensor
    magnitude: Tensor | None = None  # [out]


Draft = Mapping[str, Mapping[str, Drawn]]  # by network and layer


def draw(
    networks: Mapping[str, nn.Module], seed: int, only: str = "", rank: int = RANK, size: float = 0.3
) -> Draft:
    """An adapter of the layers whose names hold a text."""
    rng = torch.Generator().manual_seed(seed)
    return {
        part: {
            name: _drawn(layer, rank, size, rng)
            for name, layer in changeable(network).items()
            if only in name and "embeddings" not in name and name != "text_projection"
        }
        for part, network in networks.items()
    }


def _drawn(layer: nn.Module, rank: int, size: float, rng: torch.Generator) -> Drawn:
    weight: Any = layer.weight
    down = torch.randn(rank, *weight.shape[1:], generator=rng) * size / weight[0].numel() ** 0.5
    up = torch.randn(len(weight), rank, generator=rng) * size
    return Drawn(down, up if weight.ndim == 2 else up[:, :, None, None])


def decomposed(draft: Draft, networks: Mapping[str, nn.Module], seed: int) -> Draft:
    """The adapter as a DoRA, with magnitudes near those of the networks' weights."""
    rng = torch.Generator().manual_seed(seed)
    return {
        part: {
            name: _decomposed(its, networks[part].get_submodule(name), rng) for name, its in layers.items()
        }
        for part, layers in draft.items()
    }


def _decomposed(drawn: Drawn, layer: nn.Module, rng: torch.Generator) -> Drawn:
    weight: Any = layer.weight
    norms = weight.detach().flatten(1).norm(dim=1)
    return Drawn(drawn.down, drawn.up, norms * (1 + 0.3 * torch.rand(len(norms), generator=rng)))


def kohya(draft: Draft, file: Path, unet_name: Callable[[str], str] = str) -> Path:
    """As Kohya's scripts write it; ``unet_name`` gives the name of a UNet's layer."""
    first = "lora_te1_" if "text_encoder_2" in draft else "lora_te_"
    beginnings = {
        "unet": "lora_unet_",
        "text_encoder": f"{first}text_model_",
        "text_encoder_2": "lora_te2_text_model_",
    }
    tensors = {}
    for part, layers in draft.items():
        for name, its in layers.items():
            written = unet_name(name) if part == "unet" else name.removeprefix("text_model.")
            key = beginnings[part] + written.replace(".", "_")
            tensors[f"{key}.lora_down.weight"], tensors[f"{key}.lora_up.weight"] = its.down, its.up
            tensors[f"{key}.alpha"] = torch.tensor(ALPHA)
            if its.magnitude is not None:
                tensors[f"{key}.dora_scale"] = its.magnitude.view(-1, *[1] * (its.down.ndim - 1))
    return _saved(tensors, file)


def peft(draft: Draft, file: Path, *, long: bool = False, **metadata: object) -> Path:
    """As diffusers writes it, with PEFT's configuration in the header.

    Args:
        draft: the adapter.
        file: to write.
        long: whether the text encoder's names begin as those of older versions of transformers.
        metadata: of the configuration.
    """
    tensors: dict[str, Tensor] = {}
    config: dict[str, object] = {}
    for part, layers in draft.items():
        names = {name: _long(part, name) if long else name for name in layers}
        for name, its in layers.items():
            key = f"{part}.{names[name]}"
            tensors[f"{key}.lora_A.weight"], tensors[f"{key}.lora_B.weight"] = its.down, its.up
            if its.magnitude is not None:
                shape = (-1,) if its.down.ndim == 2 else (1, -1, 1, 1)
                tensors[f"{key}.lora_magnitude_vector"] = its.magnitude.view(shape)
        first = next(iter(layers.values()))
        of_part = {
            "r": len(first.down),
            "lora_alpha": ALPHA,
            "target_modules": list(names.values()),
            **metadata,
        }
        if first.magnitude is not None:
            of_part["use_dora"] = True
        config |= {f"{part}.{key}": value for key, value in of_part.items()}
    return _saved(tensors, file, {"lora_adapter_metadata": json.dumps(config)})


def old(draft: Draft, file: Path) -> Path:
    """As older versions of diffusers wrote it: attentions alone, and no alpha, so that it goes into a factor."""
    tensors = {}
    for part, layers in draft.items():
        for name, its in layers.items():
            head, _, last = _long(part, name).replace("to_out.0", "to_out").rpartition(".")
            key = f"{part}.{head}.{NEW_NAMES.get(last, last)}_lora"
            if part == "unet":
                key = f"{part}.{head}.processor.{last}_lora"
            tensors[f"{key}.down.weight"], tensors[f"{key}.up.weight"] = its.down, its.up * ALPHA / RANK
    return _saved(tensors, file)


def folder(draft: Draft, path: Path) -> Path:
    """As PEFT itself writes the part of the UNet: a folder with a configuration."""
    path.mkdir()
    config = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA}
    (path / "adapter_config.json").write_text(json.dumps(config))
    tensors = {}
    for name, its in draft["unet"].items():
        key = f"base_model.model.{name}"
        tensors[f"{key}.lora_A.weight"], tensors[f"{key}.lora_B.weight"] = its.down, its.up
    _saved(tensors, path / "adapter_model.safetensors")
    return path


def _long(part: str, name: str) -> str:
    """The name of a layer with the beginning that older text encoders have."""
    is_short = part == "text_encoder" and not name.startswith("text_model.")
    return f"text_model.{name}" if is_short else name


def _saved(tensors: dict[str, Tensor], file: Path, metadata: dict[str, str] | None = None) -> Path:
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, file, metadata)
    return file
