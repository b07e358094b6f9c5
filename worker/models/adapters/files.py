"""Reads adapters from the formats that trainers write.

A key of such a file names a layer and a part of its change. Kohya's scripts write ``_`` for each dot of a name, so all
names are compared in that form.
"""

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from jobs.errors import ModelUnavailableError
from worker.models.adapters.factors import Factors

UNET, TEXT, TEXT_2 = "unet", "text_encoder", "text_encoder_2"
MAX_RANK = 512
FEW = 3  # keys that a refusal names

_ENDS = {
    "lora_down.weight": "down",
    "lora_up.weight": "up",
    "lora_mid.weight": "mid",
    "lora.down.weight": "down",
    "lora.up.weight": "up",
    "lora_linear_layer.down.weight": "down",
    "lora_linear_layer.up.weight": "up",
    "lora_A.weight": "down",
    "lora_B.weight": "up",
    "lora_A.default.weight": "down",
    "lora_B.default.weight": "up",
    "alpha": "alpha",
    "dora_scale": "scale",
    "lora_magnitude_vector": "magnitude",
    "lora_magnitude_vector.weight": "magnitude",
    "lora_magnitude_vector.default.weight": "magnitude",
}
_KEY = re.compile(rf"(?P<layer>.+?)[._](?P<end>{'|'.join(map(re.escape, _ENDS))})")
_BEGINNINGS = (
    ("lora_unet_", UNET),
    ("lora_te1_", TEXT),
    ("lora_te2_", TEXT_2),
    ("lora_te_", TEXT),
    ("unet.", UNET),
    ("text_encoder.", TEXT),
    ("text_encoder_2.", TEXT_2),
    ("base_model.model.", UNET),
)
# Kinds of change that are no product of two factors, by what their keys contain.
_OTHERS = {
    ".hada_": "LoHa",
    ".lokr_": "LoKr",
    ".oft_": "OFT",
    "transformer.": "an adapter of a transformer",
}
_OLD_ATTENTION = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}

Parts = dict[str, dict[str, Factors]]


@dataclass
class _Written:
    """What a file writes of one layer."""

    name: str  # with dots, if the file has them
    tensors: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Scaling:
    """How PEFT scales the products: alpha / r, or alpha / sqrt(r) (Kalajdzievski 2023, arXiv 2312.03732).

    Attributes:
        alpha: of every layer; None for its rank.
        by_root: whether the root of the rank divides.
        alphas: by patterns of names, for layers with one of their own.
    """

    alpha: float | None = None
    by_root: bool = False
    alphas: Mapping[str, float] = field(default_factory=dict)

    @staticmethod
    def of(config: Mapping[str, Any]) -> "Scaling":
        """That of an ``adapter_config.json``."""
        return Scaling(
            config.get("lora_alpha"), bool(config.get("use_rslora")), dict(config.get("alpha_pattern") or {})
        )

    def factor(self, name: str, rank: int, written: float | None) -> float:
        """What the product of a layer is multiplied by.

        Args:
            name: of the layer, with dots.
            rank: r.
            written: its alpha, if the file has one.
        """
        own = (alpha for key, alpha in self.alphas.items() if re.fullmatch(rf"(.*\.)?({key})", name))
        alpha = next((each for each in (written, next(own, None), self.alpha) if each is not None), rank)
        return float(alpha) / (math.sqrt(rank) if self.by_root else rank)


def scalings_of(metadata: Mapping[str, str], config: Mapping[str, Any] | None = None) -> dict[str, Scaling]:
    """The scaling of each network.

    Args:
        metadata: of the safetensors header; diffusers keeps PEFT's configuration there.
        config: the ``adapter_config.json`` beside it.
    """
    found: dict[str, Any] = {}
    if "lora_adapter_metadata" in metadata:
        found = json.loads(metadata["lora_adapter_metadata"])
    scalings = {}
    for network in (UNET, TEXT, TEXT_2):
        its = {
            key.removeprefix(f"{network}."): value
            for key, value in found.items()
            if key.startswith(f"{network}.")
        }
        scalings[network] = Scaling.of(its or config or {})
    return scalings


def require_low_rank(keys: Iterable[str]) -> None:
    """Refuse a file of another kind by its keys.

    Raises:
        ModelUnavailableError: it is no LoRA.
    """
    keys = list(keys)
    for mark, kind in _OTHERS.items():
        if any(mark in key for key in keys):
            raise ModelUnavailableError(f"it is {kind}, which is not served; LoRA is")
    odd = [key for key in keys if _KEY.fullmatch(key) is None]
    if odd or not keys:
        what = f"it has {', '.join(odd[:FEW])}" if odd else "it is empty"
        raise ModelUnavailableError(f"it is not a LoRA: {what}")


def factors_of(tensors: Mapping[str, Tensor], scalings: Mapping[str, Scaling]) -> Parts:
    """The factors for each network, by the layers' names with ``_`` in place of each dot.

    Args:
        tensors: of the file, in the format that the network computes in.
        scalings: by network, see ``scalings_of``.

    Raises:
        ModelUnavailableError: a layer lacks a factor, or its factors do not fit each other, or are not finite.
    """
    require_low_rank(tensors)
    written: dict[tuple[str, str], _Written] = {}
    for key, tensor in tensors.items():
        network, name, part = _read(key)
        entry = written.setdefault((network, name.replace(".", "_")), _Written(name))
        entry.tensors[part] = tensor
    parts: Parts = defaultdict(dict)
    for (network, layer), entry in written.items():
        parts[network][layer] = _factors(entry, scalings[network])
    return dict(parts)


def _read(key: str) -> tuple[str, str, str]:
    """Network, layer and part of a key."""
    match = _KEY.fullmatch(key)
    assert match is not None  # ``require_low_rank``
    written, network = match["layer"], UNET
    for beginning, its in _BEGINNINGS:
        if written.startswith(beginning):
            written, network = written.removeprefix(beginning), its
    is_old = ".processor." in written or match["end"].startswith(("lora.", "lora_linear_layer"))
    name = written.replace(".processor.", ".")
    if network == UNET and name.startswith("text_model"):
        network = TEXT
    if network in {TEXT, TEXT_2}:
        name = re.sub(r"^text_model[._]", "", name)
        head, _, last = name.rpartition(".")
        name = f"{head}.{_OLD_ATTENTION[last]}" if last in _OLD_ATTENTION else name
    elif is_old and name.endswith(".to_out"):
        name += ".0"
    return network, name, _ENDS[match["end"]]


def _factors(entry: _Written, scaling: Scaling) -> Factors:
    parts = entry.tensors
    if "down" not in parts or "up" not in parts:
        raise ModelUnavailableError(f"{entry.name} has only one of its two factors")
    down, up = parts["down"], parts["up"].flatten(1)
    if "mid" in parts:  # a convolution between two of one pixel, as LyCORIS writes it
        down = torch.einsum("pqhw,qi->pihw", parts["mid"].float(), down.flatten(1).float()).to(down)
    rank = len(down)
    if up.shape[1] != rank or not 1 <= rank <= MAX_RANK or down.ndim not in {2, 4}:
        raise ModelUnavailableError(
            f"the factors of {entry.name} are {list(down.shape)} and {list(up.shape)}: ranks go from 1 to {MAX_RANK}, "
            "and both have the same"
        )
    written = float(parts["alpha"]) if "alpha" in parts else None
    up = (up.float() * scaling.factor(entry.name, rank, written)).to(down)
    if not bool(down.isfinite().all() & up.isfinite().all()):
        raise ModelUnavailableError(f"the factors of {entry.name} are not finite in {down.dtype}")
    return Factors(down.contiguous(), up.contiguous(), _magnitude(entry, len(up)))


def _magnitude(entry: _Written, outs: int) -> Tensor | None:
    """The magnitudes of a layer's outputs, [out]; None for a LoRA.

    PEFT writes [out], or [1, out, 1, 1] of a convolution; LyCORIS writes [out, 1, ...], or [1, in, ...] for norms of
    what reads each input.

    Raises:
        ModelUnavailableError: they are of inputs, or as many as the outputs are not, or not positive.
    """
    if "scale" in entry.tensors and len(entry.tensors["scale"]) != outs:
        raise ModelUnavailableError(
            f"{entry.name} has magnitudes of inputs, which are not served; of outputs are"
        )
    found = entry.tensors.get("magnitude", entry.tensors.get("scale"))
    if found is None:
        return None
    if found.numel() != outs or not bool(((found > 0) & found.isfinite()).all()):
        raise ModelUnavailableError(
            f"the magnitudes of {entry.name} are {list(found.shape)}: {outs} positive numbers are due"
        )
    return found.flatten().contiguous()
