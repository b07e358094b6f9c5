"""A denoiser's network, as its device runs it fastest."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from worker.facts import RowSpec
from worker.models.device import Device
from worker.models.networks.compiling import Compiled
from worker.models.networks.graphs import Graphs, Network
from worker.models.networks.keeping import is_int8
from worker.models.networks.tracing import Traced

TEXT_ALONE = RowSpec(context_length=0, context_width=0)


class UNetOutput(nn.Module):
    """A UNet of diffusers' as a function of tensors."""

    def __init__(self, unet: Any, spec: RowSpec = TEXT_ALONE) -> None:
        """Wrap a UNet.

        Args:
            unet: frozen.
            spec: what it is told.
        """
        super().__init__()
        self.unet, self._spec = unet, spec
        self.eval()

    def forward(self, latents: Tensor, timesteps: Tensor, context: Tensor, *told: Tensor) -> Tensor:
        """The output [B, C, h, w] for latents [B, C, h, w], timesteps [B], contexts [B, L, D] and all else."""
        named = conditions(self._spec, told)
        output: Tensor = self.unet(latents, timesteps, context, **named, return_dict=False)[0]
        return output


def conditions(spec: RowSpec, told: Sequence[Tensor]) -> dict[str, Any]:
    """What a UNet is told besides texts, as diffusers names it.

    Args:
        spec: of its rows.
        told: what they have of a vector [B, V] and an embedded guidance scale [B, G], in this order.
    """
    given, named = iter(told), dict[str, Any]()
    if spec.reads_pictures:
        named["class_labels"] = next(given)
    elif spec.vector_width:
        pooled, sizes = next(given).tensor_split([spec.vector_width - spec.size_ids], dim=1)
        named["added_cond_kwargs"] = {"text_embeds": pooled, "time_ids": sizes}
    if spec.guidance_width:
        named["timestep_cond"] = next(given)
    return named


class FastNetwork:
    """A network that answers faster where no gradients are wanted: with the same weights, to the same bits on a CPU."""

    def __init__(self, network: nn.Module, device: Device) -> None:
        """Choose how the device runs it.

        Args:
            network: frozen; from tensors [B, ...] to one tensor [B, ...].
            device: of its weights.
        """
        self._network = network
        self._compiled = Compiled(network, mode=device.compile_mode) if device.compiles else None
        self._fast: Network = self._compiled or network
        if device.graphs is not None:
            self._fast = Graphs(self._fast, device.graphs)
        elif self._compiled is None and device.device.type == "cpu" and not is_int8(network):
            # A frozen trace would hold the weights in full.
            self._fast = Traced(network)

    def prepare(self, *inputs: Tensor) -> None:
        """Do what takes long for inputs [1, ...] of these shapes, with any number of rows."""
        if self._compiled is not None:
            self._compiled.prepare(*inputs)

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Answer inputs [B, ...]."""
        run = self._network if torch.is_grad_enabled() else self._fast
        answer: Tensor = run(*inputs)
        return answer
