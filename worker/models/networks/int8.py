"""Linear layers whose weights are whole numbers of 8 bits: half the memory of fp16.

Weight-only, symmetric, with a scale for each output: w = s q with q from -127 to 127 (Dettmers et al. 2022,
arXiv 2208.07339, sec. 2.1, "absmax"). A layer makes its weights in full for as long as it runs.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LARGEST = 127
BLOCKS = ("down_blocks.", "mid_block.", "up_blocks.")  # of a UNet, beside its embeddings and projections


class Int8Linear(nn.Linear):
    """A frozen linear layer. Its ``weight`` is made anew whenever it is read.

    Attributes:
        whole: q, [out, in], int8.
        scale: s, [out, 1], in the number format of the layer.
    """

    whole: nn.Parameter
    scale: nn.Parameter

    @property
    def weight(self) -> Tensor:  # type: ignore[override]  # a parameter there
        """The weights in full, [out, in]."""
        return self.whole * self.scale

    def forward(self, input: Tensor) -> Tensor:
        """Answer [..., in] by [..., out]."""
        if not torch.is_grad_enabled():
            return F.linear(input, self.weight, self.bias)
        product: Tensor = _Product.apply(input, self.whole, self.scale)
        bias: Any = self.bias
        return product if bias is None else product + bias


class _Product(torch.autograd.Function):
    """x W^T, which keeps no weights in full for its derivative."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, whole: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(whole, scale)
        return F.linear(x, whole * scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        whole, scale = ctx.saved_tensors
        return gradient @ (whole * scale), None, None


def to_int8(unet: nn.Module) -> None:
    """Bring the linear layers of a frozen UNet's blocks to 8 bits, in place.

    Its embeddings and its projection of texts stay: they are small, and what they lose all blocks see.
    """
    for layer in linear_layers(unet):
        _bring(layer)


def linear_layers(unet: nn.Module) -> list[nn.Linear]:
    """Those of its blocks."""
    named = unet.named_modules()
    return [layer for name, layer in named if type(layer) is nn.Linear and name.startswith(BLOCKS)]


def _bring(layer: nn.Linear) -> None:
    weight = layer.weight.detach()
    scale = (weight.float().abs().amax(dim=1, keepdim=True) / LARGEST).to(weight.dtype)
    # A row of zeros has any scale. By the rounded one, so that its rounding is made up for.
    scale = scale.clamp(min=torch.finfo(weight.dtype).tiny)
    whole = (weight.float() / scale.float()).round().clamp(-LARGEST, LARGEST).to(torch.int8)
    changed: Any = layer
    del changed.weight
    changed.__class__ = Int8Linear
    changed.whole = nn.Parameter(whole, requires_grad=False)
    changed.scale = nn.Parameter(scale, requires_grad=False)


def changed_class(layer: nn.Module, changed: type[nn.Linear]) -> type[nn.Module]:
    """A class derived from ``Linear`` for a layer, whose weights may be in 8 bits."""
    plain: Any = changed  # to mypy a class of modules has no hash
    return _joined(plain) if isinstance(layer, Int8Linear) else changed


@cache
def _joined(changed: Any) -> type[nn.Module]:
    bases: Any = changed, Int8Linear
    made: type[nn.Module] = type(f"Int8{changed.__name__}", bases, {})
    return made


def to_full(layer: nn.Module) -> None:
    """Make a plain layer of one in 8 bits, in place; any other stays as it is."""
    if isinstance(layer, Int8Linear):
        changed: Any = layer
        weight = layer.weight
        del changed.whole, changed.scale
        changed.__class__ = nn.Linear
        changed.weight = nn.Parameter(weight, requires_grad=False)
