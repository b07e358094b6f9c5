"""A T2I-Adapter in memory: a small network that reads a map once for a picture (Mou et al. 2023)."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from worker.canvas import Canvas
from worker.models.caches import Latest
from worker.models.controls.control import KEPT_MAPS, Base, Control, Place, UNetCall, config_of, levels_of
from worker.models.device import Device
from worker.rows import Emphasis

_SOFT = (0.25, 0.62, 0.825, 1.0)  # of the web UI's extension, from the first feature to the last
_GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601

Level = tuple[int, int]  # channels, and pixels of the picture to one of the feature


class T2IAdapter(Control):
    """A T2I-Adapter. Its features depend on the map alone, and are added at the ends of the UNet's down blocks."""

    place = Place.BLOCKS

    def __init__(self, control_id: str, network: Any, device: Device) -> None:
        """Find out what features it makes.

        Args:
            control_id: in the catalog.
            network: diffusers' ``T2IAdapter``.
            device: of its weights.
        """
        super().__init__(control_id)
        self._network, self._device = network, device
        self._is_grey = config_of(network)["in_channels"] == 1
        self._features: Latest[str, tuple[Tensor, ...]] = Latest(KEPT_MAPS)
        self._levels = self._found_levels()

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        return (self._network,)

    def require_fit(self, base: Base) -> None:
        taken = levels_taken(base.unet, base.latent_factor)
        if self._levels != taken[: len(self._levels)]:
            raise self.refuse("list of features, as channels and pixels each,", self._levels, taken)

    def read(self, canvases: Sequence[Canvas]) -> tuple[Tensor, ...]:
        each = [self._features.of(canvas.digest, partial(self._run, canvas)) for canvas in canvases]
        return tuple(torch.cat(features) for features in zip(*each, strict=True))

    def additions(self, call: UNetCall, read: tuple[Tensor, ...]) -> tuple[Tensor, ...]:  # noqa: ARG002 -- the same at every step
        return read

    def scales(self, weight: float, emphasis: Emphasis) -> list[float]:
        count = len(self._levels)
        if emphasis is Emphasis.SOFT:
            return [weight * part for part in (*[_SOFT[0]] * count, *_SOFT)[-count:]]
        return emphasis.scales(weight, count - 1)

    @torch.no_grad()
    def _run(self, canvas: Canvas) -> tuple[Tensor, ...]:
        pixels = levels_of([canvas], self._device)
        if self._is_grey:
            pixels = (pixels * pixels.new_tensor(_GREY).view(1, 3, 1, 1)).sum(1, keepdim=True)
        return tuple(self._network(pixels))

    @torch.no_grad()
    def _found_levels(self) -> list[Level]:
        side = self._network.total_downscale_factor
        channels = config_of(self._network)["in_channels"]
        pixels = torch.zeros(1, channels, side, side, device=self._device.device, dtype=self._device.dtype)
        return [(feature.shape[1], side // feature.shape[2]) for feature in self._network(pixels)]


def levels_taken(unet: Any, latent_factor: int) -> list[Level]:
    """The features that diffusers' UNet can add: before a block's downsampling where it reads the text, else after."""
    taken, scale = [], latent_factor
    for block in unet.down_blocks:
        channels, shrinks = block.resnets[-1].out_channels, bool(block.downsamplers)
        is_before = bool(getattr(block, "has_cross_attention", False))
        taken.append((channels, scale if is_before or not shrinks else 2 * scale))
        scale *= 2 if shrinks else 1
    return taken
