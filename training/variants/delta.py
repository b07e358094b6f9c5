"""Variants of a UNet as a low-rank delta on another's weights: to learn one, to store one, to load one.

A delta is a folder: ``delta.toml`` names the base, the rank and the replaced tensors; ``delta.safetensors`` holds, in
fp16, those tensors whole and for every other linear or convolutional weight two factors under PEFT's names,
``MODULE.lora_A.weight`` [r, in, ...] and ``MODULE.lora_B.weight`` [out, r, ...] (LoRA, Hu 2021, eq. 3, with alpha = r).
"""

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

WEIGHTS, CARD = "delta.safetensors", "delta.toml"
A, B = ".lora_A.weight", ".lora_B.weight"


def product(a: Tensor, b: Tensor) -> Tensor:
    """The change of a weight that two factors make.

    Args:
        a: [r, in] of a linear layer, [r, in, kh, kw] of a convolution.
        b: [out, r] or [out, r, 1, 1].

    Returns:
        [out, in] or [out, in, kh, kw].
    """
    return (b.flatten(1) @ a.flatten(1)).view(len(b), *a.shape[1:])


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
        return weight + product(self.lora_A, self.lora_B)


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


def widen(unet: UNet2DConditionModel, in_channels: int) -> None:
    """Let a UNet take more input channels, after its own, in place; their weights start at zero."""
    old = unet.conv_in
    new = nn.Conv2d(in_channels, old.out_channels, old.kernel_size, old.stride, old.padding)
    weight = torch.zeros_like(new.weight)
    weight[:, : old.in_channels] = old.weight.detach()
    new.load_state_dict({"weight": weight, "bias": old.bias})
    unet.conv_in = new
    unet.register_to_config(in_channels=in_channels)


def export(unet: UNet2DConditionModel, folder: Path, base: str, rank: int, replaced: list[str]) -> None:
    """Write the delta of a UNet that ``adapt`` prepared."""
    tensors: dict[str, Tensor] = {}
    for name, module in unet.named_modules():
        if parametrize.is_parametrized(module, "weight"):
            change = module.parametrizations.weight[0]
            if isinstance(change, LowRank):
                tensors |= {name + A: change.lora_A, name + B: change.lora_B}
            else:
                tensors[f"{name}.weight"] = module.weight
    folder.mkdir(parents=True, exist_ok=True)
    half = {name: tensor.detach().half().contiguous() for name, tensor in tensors.items()}
    save_file(half, folder / WEIGHTS, metadata={"format": "pt"})
    names = ", ".join(f'"{name}"' for name in replaced)
    (folder / CARD).write_text(f'base = "{base}"\nrank = {rank}\nreplaced = [{names}]\n')


def restore(unet: UNet2DConditionModel, folder: Path) -> None:
    """Give a UNet that ``adapt`` prepared the delta that ``export`` wrote, to train it further."""
    delta = {name: tensor.float() for name, tensor in load_file(folder / WEIGHTS).items()}
    for name, module in unet.named_modules():
        if parametrize.is_parametrized(module, "weight"):
            change = module.parametrizations.weight[0]
            if isinstance(change, LowRank):
                change.load_state_dict({"lora_A": delta[name + A], "lora_B": delta[name + B]})
            else:
                original = module.parametrizations.weight.original
                change.load_state_dict({"change": (delta[f"{name}.weight"] - original) / Whole.GAIN})


def materialize(base: UNet2DConditionModel, folder: Path) -> UNet2DConditionModel:
    """A UNet of the standard class and fp32 weights: ``base``, which stays as it is, with a delta merged in.

    Raises:
        ValueError: the delta does not fit the base.
    """
    card = tomllib.loads((folder / CARD).read_text())
    delta = {name: tensor.float() for name, tensor in load_file(folder / WEIGHTS).items()}
    try:
        state = merge(
            {name: tensor.float() for name, tensor in base.state_dict().items()}, delta, card["replaced"]
        )
    except ValueError as error:
        raise ValueError(f"{folder.name}: {error}") from error
    config = dict(base.config) | {"in_channels": state["conv_in.weight"].shape[1]}
    model: UNet2DConditionModel = UNet2DConditionModel.from_config(config)
    model.load_state_dict(state)
    return model.eval()


def merge(base: Mapping[str, Tensor], delta: Mapping[str, Tensor], replaced: list[str]) -> dict[str, Tensor]:
    """The weights of a variant.

    Args:
        base: weights by name.
        delta: factors of some of them under PEFT's names, and the ``replaced`` tensors whole.
        replaced: names of tensors to take from ``delta``, of whatever shape.

    Raises:
        ValueError: a tensor is missing, belongs nowhere, or has a shape that its layer has not.
    """
    state, left = dict(base), set(delta)
    for name in replaced:
        if name not in delta or name not in base:
            raise ValueError(f"{name} is to be replaced, and not in both the base and the delta")
        state[name] = delta[name]
        left.remove(name)
    for layer in [name.removesuffix(A) for name in delta if name.endswith(A)]:
        a, b, weight = delta[layer + A], delta.get(layer + B), base.get(f"{layer}.weight")
        if b is None or weight is None:
            raise ValueError(f"{layer} has no second factor, or is no layer of the base")
        if weight.shape != (len(b), *a.shape[1:]) or b.shape[1] != len(a):
            raise ValueError(f"{layer} has factors {tuple(a.shape)} and {tuple(b.shape)}")
        state[f"{layer}.weight"] = weight + product(a, b)
        left -= {layer + A, layer + B}
    if left:
        raise ValueError(f"{', '.join(sorted(left))} belong to no layer of the base")
    return state
