"""Aesthetic predictors: small networks that predict people's rating of a picture from its CLIP embedding.

Their keys tell the three kinds of published files apart:

- LAION's first (github.com/LAION-AI/aesthetic-predictor): one linear layer, ``weight`` and ``bias``.
- LAION's second (github.com/christophschuhmann/improved-aesthetic-predictor): five linear layers of one ``Sequential``.
  Where ReLUs stand between them, the layers' numbers are 0, 3, 6, 9, 11; without, which makes the whole affine,
  they are 0, 2, 4, 6, 7.
- Ours: any number of linear layers, with ``activation`` and ``clip`` in the file's metadata.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from jobs.errors import InvalidFileError, LodestarError, ModelUnavailableError
from worker.aesthetics.files import read_tensors

_LAYER = re.compile(r"layers\.(\d+)\.(weight|bias)")
_ACTIVATIONS: dict[tuple[int, ...], str] = {(0, 2, 4, 6, 7): "none", (0, 3, 6, 9, 11): "relu"}

Layers = tuple[tuple[Tensor, Tensor], ...]


@dataclass(frozen=True)
class AestheticHead:
    """A predictor. Scores are the network's outputs, not clamped.

    Attributes:
        layers: weights [out, in] and biases [out], float32 on the CPU.
        relu: whether a ReLU stands between two layers.
        clip: id of the CLIP that it was made for, if its file names it.
    """

    layers: Layers
    relu: bool
    clip: str | None = None
    _copies: dict[torch.device, Layers] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def width(self) -> int:
        """Length of the embeddings that it reads."""
        return self.layers[0][0].shape[1]

    def __call__(self, embeddings: Tensor) -> Tensor:
        """Scores [N] of unit vectors [N, E] on any device, differentiable.

        Vectors of another length get meaningless scores.
        """
        hidden = embeddings.float()
        for index, (weight, bias) in enumerate(self._on(hidden.device)):
            if index and self.relu:
                hidden = F.relu(hidden)
            hidden = F.linear(hidden, weight, bias)
        return hidden[..., 0]

    def _on(self, device: torch.device) -> Layers:
        """The layers on a device: copied once, since guidance needs them at every step."""
        if device == self.layers[0][0].device:
            return self.layers
        if device not in self._copies:
            with torch.inference_mode(False):  # or autograd could not use the copies
                self._copies[device] = tuple(
                    (weight.to(device), bias.to(device)) for weight, bias in self.layers
                )
        return self._copies[device]


def load_head(path: Path, *, clip: str, width: int) -> AestheticHead:
    """Read a predictor for a CLIP.

    Args:
        path: a .pth or .safetensors file.
        clip: id of the CLIP whose embeddings it reads.
        width: length of these.

    Raises:
        ModelUnavailableError: the file is missing or of no known kind, or was made for another CLIP.
    """
    try:
        head = parse_head(*read_tensors(path.read_bytes(), path.name), name=path.name)
    except OSError as error:
        raise ModelUnavailableError(f"the aesthetic head {path} cannot be read: {error.strerror}") from error
    except LodestarError as error:
        raise ModelUnavailableError(f"the aesthetic head of {clip}: {error.message}") from error
    if head.clip is not None and head.clip != clip:
        raise ModelUnavailableError(
            f"the aesthetic head {path.name} was made for {head.clip}, not for {clip}"
        )
    if head.width != width:
        raise ModelUnavailableError(
            f"the aesthetic head {path.name} scores embeddings of {head.width} numbers, those of {clip} have {width}"
        )
    return head


def parse_head(tensors: Mapping[str, Tensor], metadata: Mapping[str, str], *, name: str) -> AestheticHead:
    """A predictor from the tensors of its file.

    Raises:
        InvalidFileError: it is of no known kind.
    """
    if set(tensors) == {"weight", "bias"}:
        numbered = {0: (tensors["weight"], tensors["bias"])}
        activation = "none"
    else:
        numbered = _numbered(tensors, name)
        activation = metadata.get("activation") or _ACTIVATIONS.get(tuple(numbered), "")
    if activation not in ("none", "relu"):
        raise InvalidFileError(
            f"{name} does not tell what stands between its layers {', '.join(map(str, numbered))}: "
            "its metadata should name the activation, relu or none"
        )
    layers = tuple((weight.float(), bias.float()) for weight, bias in numbered.values())
    _check_chain(layers, name)
    if not all(bool(tensor.isfinite().all()) for layer in layers for tensor in layer):
        raise InvalidFileError(f"{name} is no aesthetic predictor: some of its numbers are not finite")
    return AestheticHead(layers, activation == "relu", metadata.get("clip"))


def _numbered(tensors: Mapping[str, Tensor], name: str) -> dict[int, tuple[Tensor, Tensor]]:
    parts: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        found = _LAYER.fullmatch(key)
        if found is None:
            raise InvalidFileError(f"{name} is no aesthetic predictor of a known kind: it holds {key!r}")
        parts.setdefault(int(found[1]), {})[found[2]] = tensor
    if not parts or any(len(part) != 2 for part in parts.values()):
        raise InvalidFileError(f"{name} is no aesthetic predictor: a layer lacks its weight or its bias")
    return {number: (parts[number]["weight"], parts[number]["bias"]) for number in sorted(parts)}


def _check_chain(layers: tuple[tuple[Tensor, Tensor], ...], name: str) -> None:
    expected = None
    for weight, bias in layers:
        if (
            weight.ndim != 2
            or bias.shape != weight.shape[:1]
            or (expected or weight.shape[1]) != weight.shape[1]
        ):
            raise InvalidFileError(
                f"{name} is no aesthetic predictor: its layers do not follow on each other"
            )
        expected = weight.shape[0]
    if expected != 1:
        raise InvalidFileError(f"{name} is no aesthetic predictor: it ends in {expected} numbers, not in one")
