"""Variants of a UNet as a low-rank delta on another's weights: to learn one, to store one in fp16, to merge one.

``worker/models/adapters/delta.py`` has the format, and loads one to serve it.
"""

import math
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


def adapt(unet: UNet2DConditionModel, rank: int, replaced: list[str]) -> None:
    """Freeze a UNet and give every linear or convolutional weight a trained change, in place.

    Those named in ``replaced`` learn it whole, the others as two factors.

    The merged weight is what the layers compute with. That costs the gradient of the whole weight and saves a second
    convolution beside each: about as much work, in far fewer and larger operations.
    """
    unet.requires_grad_(False)
    for name, module in list(unet.named_modules()):
        if isinstance(module, nn.Linear | nn.Conv2d):
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


def trained(unet: UNet2DConditionModel) -> dict[str, Tensor]:
    """What a UNet that ``adapt`` prepared has learned, in fp16: factors under PEFT's names, other tensors whole."""
    tensors: dict[str, Tensor] = {}
    for name, module in unet.named_modules():
        if parametrize.is_parametrized(module, "weight"):
            change = module.parametrizations.weight[0]
            if isinstance(change, LowRank):
                tensors |= {name + A: change.lora_A, name + B: change.lora_B}
            else:
                tensors[f"{name}.weight"] = module.weight
    return {name: tensor.detach().half().contiguous() for name, tensor in tensors.items()}


def export(unet: UNet2DConditionModel, folder: Path, base: Path, rank: int, replaced: list[str]) -> None:
    """Write the delta of a UNet that ``adapt`` prepared.

    Args:
        unet: after training.
        folder: of the delta.
        base: folder of the model that was prepared, whose UNet is one file.
        rank: as for ``adapt``.
        replaced: likewise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_file(trained(unet), folder / WEIGHTS, metadata={"format": "pt"})
    names = ", ".join(f'"{name}"' for name in replaced)
    (weights,) = (base / UNET).glob("*.safetensors")
    (folder / CARD).write_text(
        f'base = "{base.name}"\nbase_sha256 = "{Digests().of(weights)}"\nrank = {rank}\nreplaced = [{names}]\n'
    )


def materialize(base: UNet2DConditionModel, folder: Path) -> UNet2DConditionModel:
    """A UNet of the standard class and fp32 weights: ``base``, which stays as it is, with a delta merged in.

    Raises:
        ValueError: the delta does not fit the base.
    """
    replaced = read_card(folder).replaced
    delta = {name: tensor.float() for name, tensor in load_file(folder / WEIGHTS).items()}
    try:
        state = merge({name: tensor.float() for name, tensor in base.state_dict().items()}, delta, replaced)
    except ValueError as error:
        raise ValueError(f"{folder.name}: {error}") from error
    config = dict(base.config) | {"in_channels": state[FIRST].shape[1]}
    model: UNet2DConditionModel = UNet2DConditionModel.from_config(config)
    model.load_state_dict(state)
    return model.eval()
