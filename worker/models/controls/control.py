"""What reads a map beside a UNet, and adds what it finds to that."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor, nn

from jobs.errors import ModelUnavailableError
from worker.canvas import Canvas
from worker.models.device import Device
from worker.rows import Emphasis

KEPT_MAPS = 32  # of each control, as it has read them: of 5 MB each for SD 1.5 at 512 px in fp32


class Place(StrEnum):
    """Where a UNet takes an addition."""

    SKIPS = "skips"  # on the skips, and behind the middle block
    BLOCKS = "blocks"  # at the ends of the down blocks


@dataclass(frozen=True)
class Base:
    """The model that a control runs beside.

    Attributes:
        unet: a ``UNet2DConditionModel``.
        latent_channels: of what it denoises; it may read others after them.
        latent_factor: pixels to a latent, a side.
    """

    unet: nn.Module
    latent_channels: int
    latent_factor: int


@dataclass(frozen=True)
class UNetCall:
    """What a UNet is called with.

    Attributes:
        unet: beside which a control runs.
        latents: [B, C, h, w], as the UNet reads them, without further channels.
        timesteps: [B].
        context: [B, L, D].
        added: what SDXL is told besides, by diffusers' names, each [B, ...]; None of other models.
    """

    unet: nn.Module
    latents: Tensor
    timesteps: Tensor
    context: Tensor
    added: Mapping[str, Tensor] | None = None

    def of(self, rows: Tensor) -> "UNetCall":
        """The call with some of its rows, by their numbers [G]."""
        latents, timesteps, context = (
            part.index_select(0, rows) for part in (self.latents, self.timesteps, self.context)
        )
        added = None
        if self.added is not None:
            added = {name: part.index_select(0, rows) for name, part in self.added.items()}
        return UNetCall(self.unet, latents, timesteps, context, added)


class Control(ABC):
    """One network that reads maps, frozen, on its device.

    Attributes:
        id: in the catalog.
        place: of its additions.
    """

    place: Place

    def __init__(self, control_id: str) -> None:
        self.id = control_id

    @property
    @abstractmethod
    def networks(self) -> tuple[nn.Module, ...]:
        """All that it holds in memory."""

    @abstractmethod
    def require_fit(self, base: Base) -> None:
        """Refuse a UNet that it was not made for.

        Raises:
            ModelUnavailableError: it was made for another.
        """

    @abstractmethod
    def read(self, canvases: Sequence[Canvas]) -> tuple[Tensor, ...]:
        """What depends on N maps of one shape alone, each [N, ...], on the device. Keeps the latest."""

    @abstractmethod
    def additions(self, call: UNetCall, read: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """What a UNet adds in a call of B rows, in its order, each [B, c, h, w]; ``read`` is of B maps."""

    @abstractmethod
    def scales(self, weight: float, emphasis: Emphasis) -> list[float]:
        """What each of its additions is multiplied by."""

    def refuse(self, what: str, own: object, other: object) -> ModelUnavailableError:
        """The error of a UNet of another model."""
        return ModelUnavailableError(
            f"control {self.id!r} was made for another model: its {what} is {own}, and this model's is {other}"
        )


def levels_of(canvases: Sequence[Canvas], device: Device) -> Tensor:
    """The pixels of maps, [N, 3, H, W] in [0, 1], in the device's format."""
    pixels = torch.stack([canvas.pixels for canvas in canvases]).to(device.device).float() / 255
    return pixels.to(device.dtype)


def plain(value: object) -> object:
    """A field that configurations write alike: a list as the tuple of it."""
    return tuple(value) if isinstance(value, list) else value


def config_of(network: nn.Module) -> Mapping[str, Any]:
    """The configuration of a network of diffusers."""
    config: Mapping[str, Any] = dict(network.config)  # type: ignore[arg-type]  # a mapping, not a module
    return config
