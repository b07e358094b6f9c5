"""The change that an adapter makes to a network: for some of its layers, two factors of low rank."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor, nn
from torch.nn import functional as F

from jobs.requests.conditions.adapters import AdapterKind


@dataclass(frozen=True, eq=False)
class Factors:
    """The change of one layer's weight by an adapter of weight m: W + m B A (Hu et al. 2021, eq. 3).

    With magnitudes it is DoRA's: what each output reads, a row of W + m B A, is brought to its magnitude (Liu et al.
    2024, arXiv 2402.09353, eq. 5).

    Attributes:
        down: A, [r, in] of a linear layer, [r, in, kh, kw] of a convolution.
        up: B, times alpha / r, [out, r].
        magnitude: of each output, [out]; None for a LoRA.
    """

    down: Tensor
    up: Tensor
    magnitude: Tensor | None = None

    @property
    def rank(self) -> int:
        """Number of the rows of A."""
        return len(self.down)

    @property
    def product(self) -> Tensor:
        """B A in the shape of the layer's weight, [out, in] or [out, in, kh, kw], in float32."""
        return (self.up.float() @ self.down.flatten(1).float()).view(len(self.up), *self.down.shape[1:])

    def gain(self, weight: Tensor, adapter_weight: float) -> Tensor | None:
        """What brings each row of the changed weight to its magnitude, [out], float32; None for a LoRA.

        Args:
            weight: W, in the shape of ``product``.
            adapter_weight: m.
        """
        if self.magnitude is None:
            return None
        changed = weight.float() + adapter_weight * self.product
        norms: Tensor = changed.flatten(1).norm(dim=1)
        return self.magnitude.float() / norms

    def for_layer(self, layer: nn.Module) -> "Factors | None":
        """These in the shapes of a layer; None if they are not of it.

        A linear layer and a convolution of one pixel are the same product. A layer that reads more channels than the
        factors, as that of an inpainting UNet does, reads the others as before.
        """
        kernel: tuple[int, ...]
        if isinstance(layer, nn.Linear):
            outs, ins, kernel = layer.out_features, layer.in_features, ()
        elif isinstance(layer, nn.Conv2d) and layer.groups == 1 and layer.padding_mode == "zeros":
            outs, ins, kernel = layer.out_channels, layer.in_channels, tuple(layer.kernel_size)
        else:
            return None
        down = self.down
        if kernel == (1, 1) and down.ndim == 2:
            down = down[:, :, None, None]
        if not kernel and down.ndim == 4 and down.shape[2:] == (1, 1):
            down = down[:, :, 0, 0]
        if len(self.up) != outs or tuple(down.shape[2:]) != kernel or down.shape[1] > ins:
            return None
        if down.shape[1] < ins:
            if not kernel:
                return None
            down = F.pad(down, (0, 0, 0, 0, 0, ins - down.shape[1]))
        return Factors(down.contiguous(), self.up, self.magnitude)


@dataclass(frozen=True, eq=False)
class Adapter:
    """A low-rank adapter in memory, by the names that its file writes.

    Attributes:
        id: in the catalog.
        digest: of its file, in hexadecimal digits.
        parts: the factors for each network, by the layer's name with ``_`` in place of each dot.
    """

    id: str
    digest: str
    parts: Mapping[str, Mapping[str, Factors]]

    @property
    def kind(self) -> AdapterKind:
        """Whether a layer has magnitudes."""
        factors = (its for layers in self.parts.values() for its in layers.values())
        return AdapterKind.DORA if any(its.magnitude is not None for its in factors) else AdapterKind.LORA

    @cached_property
    def networks(self) -> tuple[nn.Module, ...]:
        """Its tensors as a module, as the memory of models is counted."""
        holder = nn.Module()
        for number, tensor in enumerate(self._tensors()):
            holder.register_buffer(f"factor_{number}", tensor)
        return (holder,)

    def _tensors(self) -> Iterator[Tensor]:
        for layers in self.parts.values():
            for factors in layers.values():
                yield factors.down
                yield factors.up
                if factors.magnitude is not None:
                    yield factors.magnitude
