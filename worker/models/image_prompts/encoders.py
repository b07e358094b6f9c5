"""What encodes the pictures of prompts: the image tower of a CLIP, of transformers or of OpenCLIP."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jobs.errors import ModelUnavailableError
from worker.models.clip import ClipModel
from worker.models.device import Device


class ImageEncoder(Protocol):
    """An image tower in memory, frozen.

    Attributes:
        px: width and height of its input in pixels.
        networks: all that it holds in memory.
    """

    px: int
    networks: tuple[nn.Module, ...]

    def embed(self, pictures: Tensor) -> Tensor:
        """Pictures [N, 3, px, px] in [0, 1] to their embeddings [N, E], not normalised."""

    def states(self, pictures: Tensor | None, /) -> Tensor:
        """The states before its last layer, [N, L, E], of pictures likewise; for None of normalised pixels of 0.

        Raises:
            ModelUnavailableError: it has none that an adapter was trained on.
        """

    def require(self, width: int, *, states: bool) -> None:
        """Refuse an adapter that reads embeddings, or states, of another width.

        Raises:
            ModelUnavailableError: it does.
        """


class VisionEncoder:
    """A CLIPVisionModelWithProjection of transformers."""

    def __init__(self, network: Any, mean: Sequence[float], std: Sequence[float], device: Device) -> None:
        """Take a frozen network on its device.

        Args:
            network: of transformers.
            mean: of the pixels that it was trained on, by colour.
            std: likewise.
            device: of its weights.
        """
        self._network, self._device = network, device
        self._mean, self._std = (
            torch.tensor(values, device=device.device, dtype=torch.float32).view(1, 3, 1, 1)
            for values in (mean, std)
        )
        self.px: int = network.config.image_size
        self.networks: tuple[nn.Module, ...] = (network,)

    @torch.no_grad()
    def embed(self, pictures: Tensor) -> Tensor:
        embeddings: Tensor = self._network(self._normalised(pictures)).image_embeds
        return embeddings

    @torch.no_grad()
    def states(self, pictures: Tensor | None, /) -> Tensor:
        grey = self._mean.expand(1, 3, self.px, self.px)
        pixels = self._normalised(grey if pictures is None else pictures)
        states: Tensor = self._network(pixels, output_hidden_states=True).hidden_states[-2]
        return states

    def _normalised(self, pictures: Tensor) -> Tensor:
        return ((pictures - self._mean) / self._std).to(self._device.dtype)

    def require(self, width: int, *, states: bool) -> None:
        config = self._network.config
        own = config.hidden_size if states else config.projection_dim
        _require_width(width, own, "states" if states else "embeddings")


class ClipEncoder:
    """The image tower of an OpenCLIP, whose embeddings adapters of the base kind read."""

    def __init__(self, clip: ClipModel) -> None:
        self._clip = clip
        self.px, self.networks = clip.px, clip.networks

    def embed(self, pictures: Tensor) -> Tensor:
        return self._clip.project_pictures(pictures)

    def states(self, _pictures: Tensor | None, /) -> Tensor:
        raise ModelUnavailableError(
            "it reads the states of patches, as Plus does: its encoder is a folder of transformers'"
        )

    def require(self, width: int, *, states: bool) -> None:
        if states:
            self.states(None)
        _require_width(width, self._clip.width, "embeddings")


def squared(picture: Tensor, px: int) -> Tensor:
    """A picture [3, H, W] in [0, 1], resized to [1, 3, px, px]."""
    if picture.shape[1:] == (px, px):
        return picture[None]
    return F.interpolate(picture[None], (px, px), mode="bicubic", antialias=True).clamp(0, 1)


def _require_width(width: int, own: int, what: str) -> None:
    if width != own:
        raise ModelUnavailableError(f"it reads {what} of {width} numbers, and its encoder's have {own}")
