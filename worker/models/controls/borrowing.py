"""ControlNets without an encoder of their own: they stand on that of the model beside which they run.

A Control-LoRA (Stability AI 2023) is a ControlNet whose encoder is a change of low rank of the UNet's own. Here it runs
on the UNet in memory: its layers share that one's weights and add their products, so it takes its file's size and goes
with every fine-tune of its base. The UNet's embeddings and its projection of the text are borrowed too, so it also goes
with UNets that diffusers' ``ControlNetModel`` cannot describe.

**Format.** A folder of two files, or one file. ``config.json`` says::

    {"_class_name": "ControlLora", "controlnet_conditioning_channel_order": "rgb"}

where the second field may be left out. ``diffusion_pytorch_model.safetensors`` holds, with n skips of the UNet:

===============================================  =======================================================================
``controlnet_cond_embedding.``                   the encoder of maps, whole, by diffusers' names in a ControlNetModel:
``conv_in``, ``blocks.0``, ..., ``conv_out``     3 x 3 convolutions with biases. Every second block has stride 2, so the
                                                 number of blocks is twice log2 of pixels to latents.
``controlnet_down_blocks.0`` to ``n-1``,         1 x 1 convolutions with biases behind each skip and the middle, whole.
``controlnet_mid_block``
``LAYER.lora_A.weight`` [r, in, ...] and         two factors of a linear or convolutional layer's change, for any layers
``LAYER.lora_B.weight`` [out, r, ...]            of the UNet's first half by the UNet's names: ``conv_in``,
                                                 ``time_embedding``, ``add_embedding``, ``encoder_hid_proj``,
                                                 ``down_blocks``, ``mid_block``. They are not scaled: alpha = r.
``LAYER.weight``, ``LAYER.bias``                 tensors of the same layers that take the place of the UNet's, whole.
===============================================  =======================================================================

What the file has neither factors nor a tensor for is the UNet's. A file without any factors is a whole ControlNet,
which has to hold all. One file may also have the names of the original releases; see ``original``.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding
from torch import Tensor, nn
from torch.nn import functional as F

from jobs.errors import ModelUnavailableError
from worker.canvas import Canvas
from worker.models.adapters.factors import Factors
from worker.models.controls.control import Base, Control, Place, UNetCall
from worker.models.controls.controlnet import MapEncoder
from worker.models.controls.first_half import FirstHalf
from worker.models.device import Device
from worker.models.loading.weights import FEW, fill
from worker.models.networks.int8 import changed_class, to_full
from worker.rows import Emphasis

A, B = ".lora_A.weight", ".lora_B.weight"
HINT, OUTLETS, LAST_OUTLET = "controlnet_cond_embedding.", "controlnet_down_blocks.", "controlnet_mid_block."


class BorrowingControlNet(Control):
    """A ControlNet that borrows the encoder of the UNet beside which it runs."""

    place = Place.SKIPS

    def __init__(
        self, control_id: str, tensors: Mapping[str, Tensor], device: Device, *, is_bgr: bool = False
    ) -> None:
        """Take the tensors of its file, by the names above.

        Args:
            control_id: in the catalog.
            tensors: on the device, in its format.
            device: of them.
            is_bgr: whether it reads blue first.

        Raises:
            ModelUnavailableError: they are not those of such a network.
        """
        super().__init__(control_id)
        self._device = device
        self._maps = MapEncoder(_map_encoder(tensors, device), device, is_bgr=is_bgr)
        self._outlets = _outlets(tensors, device)
        rest = {name: tensor for name, tensor in tensors.items() if not _is_own(name)}
        self._factors = _factors(rest)
        self._whole = {name: tensor for name, tensor in rest.items() if not name.endswith((A, B))}
        self._halves: WeakKeyDictionary[nn.Module, FirstHalf] = WeakKeyDictionary()

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        holder = nn.Module()
        held = [
            *self._whole.values(),
            *(part for each in self._factors.values() for part in (each.down, each.up)),
        ]
        for number, tensor in enumerate(held):
            holder.register_buffer(f"tensor_{number}", tensor)
        return self._maps.network, self._outlets, holder

    def require_fit(self, base: Base) -> None:
        if base.unet in self._halves:
            return
        half = FirstHalf(base.unet, base.latent_channels)
        own = 2 ** (len(self._maps.network.blocks) // 2)  # type: ignore[arg-type]  # a list of modules
        if own != base.latent_factor:
            raise self.refuse("factor", own, base.latent_factor)
        widths: list[Any] = [outlet.in_channels for outlet in self._outlets]
        if widths != half.widths:
            raise self.refuse("list of widths", widths, half.widths)
        self._halves[base.unet] = self._changed(half)

    def _changed(self, half: FirstHalf) -> FirstHalf:
        """The first half of a UNet with this network's changes.

        Raises:
            ModelUnavailableError: some do not fit it.
        """
        layers = dict(half.unet.named_modules())
        for name in self._whole:
            to_full(layers.get(name.rpartition(".")[0], half))
        own = half.unet.state_dict()
        unfit = [
            name for name, tensor in self._whole.items() if name not in own or own[name].shape != tensor.shape
        ]
        fitting = {name: each.for_layer(layers.get(name, half)) for name, each in self._factors.items()}
        unfit += [name for name, each in fitting.items() if each is None]
        if not self._factors:
            unfit += [name for name in own if name not in self._whole]
        if unfit:
            few = ", ".join(unfit[:FEW]) + (", ..." if len(unfit) > FEW else "")
            raise ModelUnavailableError(
                f"control {self.id!r} was made for another model: {len(unfit)} of its tensors do not fit: {few}"
            )
        for name, tensor in self._whole.items():
            layer, _, kind = name.rpartition(".")
            setattr(layers[layer], kind, nn.Parameter(tensor, requires_grad=False))
        for name, factors in fitting.items():
            if factors is not None:
                _lower(layers[name], factors)
        return half.eval()

    def read(self, canvases: Sequence[Canvas]) -> tuple[Tensor, ...]:
        return (self._maps.encode(canvases),)

    def additions(self, call: UNetCall, read: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        half = self._halves.get(call.unet)
        if half is None:
            half = self._halves[call.unet] = self._changed(FirstHalf(call.unet, call.latents.shape[1]))
        found = half(call.latents, call.timesteps, call.context, *read, added=call.added)
        return tuple(outlet(each) for outlet, each in zip(self._outlets, found, strict=True))

    def scales(self, weight: float, emphasis: Emphasis) -> list[float]:
        return emphasis.scales(weight, len(self._outlets) - 1)


class _LowerLinear(nn.Linear):
    """A layer with a change of low rank."""

    factors: Factors

    def forward(self, input: Tensor) -> Tensor:
        low = F.linear(input, self.factors.down)
        return super().forward(input) + F.linear(low, self.factors.up)


class _LowerConvolution(nn.Conv2d):
    """Likewise."""

    factors: Factors

    def forward(self, input: Tensor) -> Tensor:
        low = F.conv2d(input, self.factors.down, None, self.stride, self.padding, self.dilation)
        return super().forward(input) + F.conv2d(low, self.factors.up[:, :, None, None])


def _lower(layer: nn.Module, factors: Factors) -> None:
    is_linear = isinstance(layer, nn.Linear)
    layer.__class__ = changed_class(layer, _LowerLinear) if is_linear else _LowerConvolution
    layer.factors = factors  # type: ignore[assignment]  # no module


def _is_own(name: str) -> bool:
    return name.startswith((HINT, OUTLETS, LAST_OUTLET))


def _map_encoder(tensors: Mapping[str, Tensor], device: Device) -> nn.Module:
    """The encoder of maps, whose shape its tensors tell."""
    named = {name.removeprefix(HINT): tensor for name, tensor in tensors.items() if name.startswith(HINT)}
    blocks = sum(name.startswith("blocks.") and name.endswith(".weight") for name in named)
    first, last = named.get("conv_in.weight"), named.get("conv_out.weight")
    if first is None or last is None or first.ndim != 4 or blocks % 2:
        raise ModelUnavailableError("it has no encoder of maps as ControlNets have one")
    inner = [
        named[f"blocks.{number}.weight"]
        for number in range(1, blocks, 2)
        if f"blocks.{number}.weight" in named
    ]
    with torch.device("meta"):
        network: nn.Module = ControlNetConditioningEmbedding(
            conditioning_embedding_channels=len(last),
            conditioning_channels=first.shape[1],
            block_out_channels=(len(first), *(len(each) for each in inner)),
        )
    fill(network, named, "its encoder of maps", device)
    return network


def _outlets(tensors: Mapping[str, Tensor], device: Device) -> nn.ModuleList:
    """The convolutions behind the skips and the middle."""
    named = {
        f"{name.removeprefix(OUTLETS)}" if name.startswith(OUTLETS) else name: tensor
        for name, tensor in tensors.items()
        if name.startswith((OUTLETS, LAST_OUTLET))
    }
    count = sum(name.endswith(".weight") for name in named)
    named = {
        f"{count - 1}.{name.removeprefix(LAST_OUTLET)}" if name.startswith(LAST_OUTLET) else name: tensor
        for name, tensor in named.items()
    }
    widths = [len(named[f"{number}.weight"]) for number in range(count) if f"{number}.weight" in named]
    with torch.device("meta"):
        network = nn.ModuleList([nn.Conv2d(width, width, 1) for width in widths])
    if not widths or f"{LAST_OUTLET}weight" not in tensors:
        raise ModelUnavailableError("it has no outlets as ControlNets have them")
    fill(network, named, "its outlets", device)
    return network


def _factors(tensors: Mapping[str, Tensor]) -> dict[str, Factors]:
    """The factors by layer.

    Raises:
        ModelUnavailableError: one is without the other, or they have different ranks.
    """
    found = {}
    for layer in dict.fromkeys(
        name.removesuffix(A).removesuffix(B) for name in tensors if name.endswith((A, B))
    ):
        down, up = tensors.get(layer + A), tensors.get(layer + B)
        if down is None or up is None or up.flatten(1).shape[1] != len(down):
            raise ModelUnavailableError(f"{layer} has no two factors of one rank")
        found[layer] = Factors(down, up.flatten(1))
    return found
