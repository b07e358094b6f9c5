"""Variants of a UNet as a low-rank delta on another's weights: to learn one, to store one in fp16, to merge one.

``worker/models/adapters/delta.py`` has the format, and loads one to serve it.
"""

import json
import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

from worker.models.adapters.delta import CARD, FIRST, WEIGHTS, A, B, merge, read_card
from worker.models.adapters.factors import Factors
from worker.models.adapters.files import UNET
from worker.models.loading.digests import Digests


@dataclass(frozen=True)
class Layout:
    """In what the layers of a variant are others than those of its base, by the names of tensors.

    Attributes:
        replaced: of another shape than the base's.
        added: that the base has not.
        dropped: that the variant has not.
    """

    replaced: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()

    @property
    def whole(self) -> tuple[str, ...]:
        """Those that the delta holds whole."""
        return (*self.replaced, *self.added)

    @property
    def layers(self) -> set[str]:
        """The layers that they belong to."""
        return {name.rpartition(".")[0] for name in self.whole}


SAME = Layout()


def layout_of(base: UNet2DConditionModel, variant: UNet2DConditionModel) -> Layout:
    """In what the layers of a variant are others than those of its base."""
    before, after = base.state_dict(), variant.state_dict()
    layers = {
        name.rpartition(".")[0]
        for name, tensor in after.items()
        if name not in before or before[name].shape != tensor.shape
    }
    return Layout(
        replaced=tuple(name for name in after if name in before and name.rpartition(".")[0] in layers),
        added=tuple(name for name in after if name not in before),
        dropped=tuple(name for name in before if name not in after),
    )


class LowRank(nn.Module):
    """A frozen weight [out, in, ...] plus a trained change of rank ``rank`` at most, zero at first."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        # No change of a matrix has a higher rank than its shorter side.
        rank = min(rank, len(weight), math.prod(weight.shape[1:]))
        self.lora_A = nn.Parameter(torch.empty(rank, *weight.shape[1:]))
        self.lora_B = nn.Parameter(torch.zeros(len(weight), rank, *(1 for _ in weight.shape[2:])))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with its change."""
        return weight + Factors(self.lora_A, self.lora_B.flatten(1)).product


class Whole(nn.Module):
    """A frozen weight [out, in, ...] plus a trained change of any rank, zero at first.

    A product of two factors moves by more than either; what is trained whole has to make up for it.
    """

    GAIN = 4.0

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.change = nn.Parameter(torch.zeros_like(weight))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with its change."""
        return weight + self.GAIN * self.change


def adapt(
    unet: UNet2DConditionModel, rank: int, replaced: Collection[str], free: Collection[str] = ()
) -> None:
    """Freeze a UNet and give every linear or convolutional weight a trained change, in place.

    Those named in ``replaced`` learn it whole, the others as two factors. Layers named in ``free`` get none: they learn
    themselves, with their biases.

    The merged weight is what the layers compute with. That costs the gradient of the whole weight and saves a second
    convolution beside each: about as much work, in far fewer and larger operations.
    """
    unet.requires_grad_(False)
    for name, module in list(unet.named_modules()):
        if name in free:
            module.requires_grad_(True)
        elif isinstance(module, nn.Linear | nn.Conv2d):
            whole = f"{name}.weight" in replaced
            change = Whole(module.weight) if whole else LowRank(module.weight, rank)
            parametrize.register_parametrization(module, "weight", change)


@torch.no_grad()
def begin_with(unet: UNet2DConditionModel, delta: dict[str, Tensor]) -> None:
    """Start the training of a UNet that ``adapt`` prepared from what another delta on the same base has learned.

    Args:
        unet: its factors have that delta's rank at least, and its whole weights that delta's shapes.
        delta: factors under PEFT's names, and whole weights.
    """
    for name, module in unet.named_modules():
        if not parametrize.is_parametrized(module, "weight"):
            continue
        change = module.parametrizations.weight[0]
        if isinstance(change, LowRank):
            a, b = (delta[name + factor].to(change.lora_A.dtype) for factor in (A, B))
            change.lora_A[: len(a)] = a
            change.lora_B[:, : len(a)] = b
        else:
            change.change.copy_(
                (delta[f"{name}.weight"] - module.parametrizations.weight.original) / Whole.GAIN
            )


def widen(unet: UNet2DConditionModel, in_channels: int) -> None:
    """Let a UNet take more input channels, after its own, in place; their weights start at zero."""
    old = unet.conv_in
    new = nn.Conv2d(in_channels, old.out_channels, old.kernel_size, old.stride, old.padding)
    weight = torch.zeros_like(new.weight)
    weight[:, : old.in_channels] = old.weight.detach()
    new.load_state_dict({"weight": weight, "bias": old.bias})
    unet.conv_in = new
    unet.register_to_config(in_channels=in_channels)


def trained(unet: UNet2DConditionModel, whole: Collection[str] = ()) -> dict[str, Tensor]:
    """What a UNet that ``adapt`` prepared has learned, in fp16: factors under PEFT's names, other tensors whole.

    Args:
        unet: after training.
        whole: names of tensors of layers that learned themselves.
    """
    state = unet.state_dict()
    tensors = {name: state[name] for name in whole}
    for name, module in unet.named_modules():
        if parametrize.is_parametrized(module, "weight"):
            change = module.parametrizations.weight[0]
            if isinstance(change, LowRank):
                tensors |= {name + A: change.lora_A, name + B: change.lora_B}
            else:
                tensors[f"{name}.weight"] = module.weight
    return {name: tensor.detach().half().contiguous() for name, tensor in tensors.items()}


def export(
    unet: UNet2DConditionModel,
    folder: Path,
    base: Path,
    rank: int,
    replaced: Collection[str],
    layout: Layout = SAME,
) -> None:
    """Write the delta of a UNet that ``adapt`` prepared.

    Args:
        unet: after training.
        folder: of the delta.
        base: folder of the model that was prepared, whose UNet is one file.
        rank: as for ``adapt``.
        replaced: likewise.
        layout: in what its layers are others than the base's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    learned = trained(unet, layout.whole)
    save_file(learned, folder / WEIGHTS, metadata={"format": "pt"})
    (weights,) = (base / UNET).glob("*.safetensors")
    lines = [f'base = "{base.name}"', f'base_sha256 = "{Digests().of(weights)}"', f"rank = {rank}"]
    lines.append(_listed("replaced", [*replaced, *layout.replaced]))
    if layout != SAME:
        lines += [_listed("added", layout.added), _listed("dropped", layout.dropped)]
        (folder / UNET).mkdir(exist_ok=True)
        private = ("_name_or_path", "_use_default_values")
        config = {name: value for name, value in unet.config.items() if name not in private}
        (folder / UNET / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    (folder / CARD).write_text("\n".join(lines) + "\n")


def _listed(name: str, values: Collection[str]) -> str:
    """A list of a card; one value a line if there are several."""
    if len(values) < 2:
        return f"{name} = [{', '.join(map(_quoted, values))}]"
    return f"{name} = [\n" + "".join(f"    {_quoted(value)},\n" for value in values) + "]"


def _quoted(value: str) -> str:
    return f'"{value}"'


def materialize(base: UNet2DConditionModel, folder: Path) -> UNet2DConditionModel:
    """A UNet of the standard class and fp32 weights: ``base``, which stays as it is, with a delta merged in.

    Raises:
        ValueError: the delta does not fit the base.
    """
    card = read_card(folder)
    delta = {name: tensor.float() for name, tensor in load_file(folder / WEIGHTS).items()}
    try:
        state = merge({name: tensor.float() for name, tensor in base.state_dict().items()}, delta, card)
    except ValueError as error:
        raise ValueError(f"{folder.name}: {error}") from error
    config = dict(base.config) | {"in_channels": state[FIRST].shape[1]}
    if (own := folder / UNET / "config.json").is_file():
        config = json.loads(own.read_text())
    model: UNet2DConditionModel = UNet2DConditionModel.from_config(config)
    model.load_state_dict(state)
    return model.eval()
