"""A ControlNet in memory: a copy of a UNet's first half that reads a map (Zhang, Rao & Agrawala 2023)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from worker.canvas import Canvas
from worker.models.caches import EncodingCache
from worker.models.controls.control import (
    KEPT_MAPS,
    Base,
    Control,
    Place,
    UNetCall,
    config_of,
    levels_of,
    plain,
)
from worker.models.device import Device
from worker.rows import Emphasis

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


class MapEncoder:
    """The encoder of a ControlNet's maps; keeps the latest encodings, which depend on nothing else."""

    def __init__(self, network: nn.Module, device: Device, *, is_bgr: bool) -> None:
        """Encode nothing yet.

        Args:
            network: of pixels [N, 3, H, W] in [0, 1], on the device.
            device: its.
            is_bgr: whether it reads blue first.
        """
        self.network, self._device, self._is_bgr = network, device, is_bgr
        self.encode: EncodingCache[Canvas] = EncodingCache(
            self._encode, lambda canvas: canvas.digest, size=KEPT_MAPS
        )

    @torch.no_grad()
    def _encode(self, canvases: Sequence[Canvas]) -> Tensor:
        pixels = levels_of(canvases, self._device)
        encoded: Tensor = self.network(pixels.flip(1) if self._is_bgr else pixels)
        return encoded


class ControlNet(Control):
    """A ControlNet with a configuration of its own."""

    place = Place.SKIPS

    def __init__(self, control_id: str, network: Any, device: Device) -> None:
        """Take a network on its device apart: the encoder of maps is called once for each.

        Args:
            control_id: in the catalog.
            network: diffusers' ``ControlNetModel``.
            device: of its weights.
        """
        super().__init__(control_id)
        self.config = config_of(network)
        is_bgr = self.config.get("controlnet_conditioning_channel_order") == "bgr"
        self._maps = MapEncoder(network.controlnet_cond_embedding, device, is_bgr=is_bgr)
        self._network = network
        network.controlnet_cond_embedding = nn.Identity()
        network.register_to_config(controlnet_conditioning_channel_order="rgb")  # maps are turned before
        device.choose_attention(network)

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        return self._network, self._maps.network

    def require_fit(self, base: Base) -> None:
        own = {**self.config, "factor": 2 ** (len(self.config["conditioning_embedding_out_channels"]) - 1)}
        other = {**config_of(base.unet), "in_channels": base.latent_channels, "factor": base.latent_factor}
        for field in (*_SHARED, "in_channels", "factor"):
            if plain(own.get(field)) != plain(other.get(field)):
                raise self.refuse(field, own.get(field), other.get(field))

    def read(self, canvases: Sequence[Canvas]) -> tuple[Tensor, ...]:
        return (self._maps.encode(canvases),)

    def additions(self, call: UNetCall, read: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        inputs = call.latents, call.timesteps, call.context
        down, middle = self._network(*inputs, *read, added_cond_kwargs=call.added, return_dict=False)
        return (*down, middle)

    def scales(self, weight: float, emphasis: Emphasis) -> list[float]:
        return emphasis.scales(weight, len(self._network.controlnet_down_blocks))
