"""A denoiser's network, as its device runs it fastest."""

from typing import Any

import torch
from torch import Tensor, nn

from worker.models.device import Device
from worker.models.networks.compiling import Compiled
from worker.models.networks.graphs import Graphs, Network
from worker.models.networks.tracing import Traced


class UNetOutput(nn.Module):
    """A UNet of diffusers' as a function of tensors."""

    def __init__(self, unet: Any, size_ids: int = 0) -> None:
        """Wrap a UNet.

        Args:
            unet: frozen.
            size_ids: as for ``added_conditions``.
        """
        super().__init__()
        self.unet, self.size_ids = unet, size_ids
        self.eval()

    def forward(
        self, latents: Tensor, timesteps: Tensor, context: Tensor, vector: Tensor | None = None
    ) -> Tensor:
        """The output [B, C, h, w] for latents [B, C, h, w], timesteps [B], contexts [B, L, D] and vectors [B, V]."""
        added = added_conditions(vector, self.size_ids)
        output: Tensor = self.unet(latents, timesteps, context, added_cond_kwargs=added, return_dict=False)[0]
        return output


def added_conditions(vector: Tensor | None, size_ids: int) -> dict[str, Tensor] | None:
    """What SDXL's networks are told besides, as diffusers names it; None without a vector.

    Args:
        vector: pooled texts and sizes, [B, V].
        size_ids: how many of its numbers, the last ones, tell sizes.
    """
    if vector is None:
        return None
    return {
        "text_embeds": vector[:, : vector.shape[1] - size_ids],
        "time_ids": vector[:, vector.shape[1] - size_ids :],
    }


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
        elif self._compiled is None and device.device.type == "cpu":
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
