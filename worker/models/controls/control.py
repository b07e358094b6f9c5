"""A ControlNet in memory: a copy of a UNet's first half that reads a map (Zhang, Rao & Agrawala 2023)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from jobs.errors import ModelUnavailableError
from worker.canvas import Canvas
from worker.models.caches import EncodingCache
from worker.models.device import Device

HINTS = 32  # encoded maps that are kept, of 5 MB each for SD 1.5 at 512 px in fp32

# Fields of both networks' configurations by which their residuals fit each other.
_SHARED = (
    "block_out_channels",
    "layers_per_block",
    "cross_attention_dim",
    "encoder_hid_dim",
    "addition_embed_type",
    "addition_time_embed_dim",
    "projection_class_embeddings_input_dim",
)

Added = Mapping[str, Tensor] | None  # what SDXL's networks are told besides, by diffusers' names


class Control:
    """One ControlNet, frozen, on its device.

    Attributes:
        id: in the catalog.
        residuals_count: n + 1: one for each of the UNet's n skips, and one for its middle.
        encode_maps: canvases of one shape to the maps' encodings [N, c, h, w], on the device. Keeps the latest: they
            depend on nothing else.
    """

    def __init__(self, control_id: str, network: Any, device: Device) -> None:
        """Take a network on its device apart: the encoder of maps is called once for each.

        Args:
            control_id: in the catalog.
            network: diffusers' ``ControlNetModel``.
            device: of its weights.
        """
        self.id = control_id
        self.config: Mapping[str, Any] = dict(network.config)
        self.residuals_count = len(network.controlnet_down_blocks) + 1
        self._encoder, self._network, self._device = network.controlnet_cond_embedding, network, device
        network.controlnet_cond_embedding = nn.Identity()
        network.register_to_config(controlnet_conditioning_channel_order="rgb")  # maps are turned before
        device.choose_attention(network)
        self.encode_maps: EncodingCache[Canvas] = EncodingCache(
            self._encode_maps, lambda canvas: canvas.digest, size=HINTS
        )

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """All that it holds in memory."""
        return self._network, self._encoder

    def require_fit(self, unet: Mapping[str, Any], latent_channels: int, latent_factor: int) -> None:
        """Refuse a UNet that it was not copied from, by the configurations.

        Raises:
            ModelUnavailableError: they differ in what the residuals' shapes depend on.
        """
        own = {**self.config, "factor": 2 ** (len(self.config["conditioning_embedding_out_channels"]) - 1)}
        other = {**unet, "in_channels": latent_channels, "factor": latent_factor}
        for field in (*_SHARED, "in_channels", "factor"):
            if _plain(own.get(field)) != _plain(other.get(field)):
                raise ModelUnavailableError(
                    f"control {self.id!r} was made for another model: its {field} is {own.get(field)}, "
                    f"and this model's is {other.get(field)}"
                )

    @torch.no_grad()
    def _encode_maps(self, canvases: Sequence[Canvas]) -> Tensor:
        pixels = torch.stack([canvas.pixels for canvas in canvases]).to(self._device.device).float() / 255
        if self.config.get("controlnet_conditioning_channel_order") == "bgr":
            pixels = pixels.flip(1)
        encoded: Tensor = self._encoder(pixels.to(self._device.dtype))
        return encoded

    def residuals(
        self, latents: Tensor, timesteps: Tensor, context: Tensor, maps: Tensor, added: Added = None
    ) -> tuple[Tensor, ...]:
        """What is added to the UNet's skips and to its middle, each [B, c, h, w].

        Args:
            latents: [B, C, h, w], as the UNet reads them, without further channels.
            timesteps: [B].
            context: [B, L, D].
            maps: as encoded, [B, c, h, w].
            added: of SDXL, each [B, ...].
        """
        down, middle = self._network(
            latents, timesteps, context, maps, added_cond_kwargs=added, return_dict=False
        )
        return (*down, middle)


def _plain(value: object) -> object:
    """A field that both write alike: a list as the tuple of it."""
    return tuple(value) if isinstance(value, list) else value
