"""An IP-Adapter in memory."""

from collections.abc import Sequence
from functools import cached_property

import torch
from diffusers.models.attention_processor import AttnProcessor2_0, XFormersAttnProcessor
from torch import Tensor, nn

from jobs.errors import ModelUnavailableError
from worker.canvas import Canvas
from worker.models.caches import EncodingCache
from worker.models.device import Device
from worker.models.image_prompts.attention import cross_attentions
from worker.models.image_prompts.encoders import ImageEncoder, squared
from worker.models.image_prompts.network import IPAdapter

PICTURES = 64  # whose tokens are kept, of 12 KB each for SD 1.5 in fp32; Plus has four times as many


class ImagePromptAdapter:
    """One IP-Adapter with the encoder of its pictures, frozen, on its device.

    Attributes:
        id: in the catalog.
    """

    def __init__(self, adapter_id: str, network: IPAdapter, encoder: ImageEncoder, device: Device) -> None:
        """Take a network on its device.

        Args:
            adapter_id: in the catalog.
            network: frozen.
            encoder: likewise.
            device: of their weights.

        Raises:
            ModelUnavailableError: the network reads something else than the encoder makes.
        """
        self.id = adapter_id
        self._network, self._encoder, self._device = network, encoder, device
        encoder.require(network.image_proj.features, states=network.reads_states)
        self._known: EncodingCache[Canvas] = EncodingCache(
            self._encode, lambda canvas: canvas.digest, size=PICTURES
        )

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """All that it holds in memory."""
        return self._network, *self._encoder.networks

    @torch.no_grad()
    def tokens(self, canvases: Sequence[Canvas | None]) -> Tensor:
        """The tokens of pictures, and for None those of no picture, which a negative prompt's row reads.

        Keeps the latest: they depend on nothing else.

        Args:
            canvases: N of them.

        Returns:
            [N, T, D], on the device.
        """
        pictures = [canvas for canvas in canvases if canvas is not None]
        known = iter(self._known(pictures).split(1) if pictures else ())
        return torch.cat([self._nothing if canvas is None else next(known) for canvas in canvases])

    @torch.no_grad()
    def keys_and_values(self, tokens: Tensor) -> list[tuple[Tensor, Tensor]]:
        """What each cross-attention of the UNet reads of tokens [N, T, D]: keys and values, both [N, T, inner]."""
        return [(each.to_k_ip(tokens), each.to_v_ip(tokens)) for each in self._network.attentions]

    def require_fit(self, unet: nn.Module) -> None:
        """Refuse a UNet that it was not made for; see ``require_fit``."""
        require_fit(self.id, self._network, unet)

    @cached_property
    def _nothing(self) -> Tensor:
        if self._network.reads_states:
            return self._projected(self._encoder.states(None))
        return self._projected(torch.zeros(1, self._network.image_proj.features))

    def _encode(self, canvases: Sequence[Canvas]) -> Tensor:
        px, device = self._encoder.px, self._device.device
        pictures = torch.cat([squared(canvas.levels(device), px) for canvas in canvases])
        encode = self._encoder.states if self._network.reads_states else self._encoder.embed
        return self._projected(encode(pictures))

    def _projected(self, encodings: Tensor) -> Tensor:
        tokens: Tensor = self._network.image_proj(encodings.to(self._device.device, self._device.dtype))
        return tokens


def require_fit(name: str, network: IPAdapter, unet: nn.Module) -> None:
    """Refuse a UNet that an adapter was not made for, by the shapes of its cross-attentions.

    Args:
        name: of the adapter, for messages.
        network: its weights may be on the meta device.
        unet: likewise.

    Raises:
        ModelUnavailableError: it has other attentions, or attentions of other shapes.
    """
    own = cross_attentions(unet)
    given = network.attentions
    beginning = f"image prompt adapter {name!r} was made for another model: "
    if len(own) != len(given):
        raise ModelUnavailableError(
            f"{beginning}it has keys for {len(given)} cross-attentions, and this model has {len(own)}"
        )
    for (place, attention), its in zip(own.items(), given, strict=True):
        if not isinstance(attention.processor, AttnProcessor2_0 | XFormersAttnProcessor):
            raise ModelUnavailableError(
                f"this model takes no image prompts: its {place} attends in a way of its own"
            )
        for key, layer in (("k", its.to_k_ip), ("v", its.to_v_ip)):
            ours, theirs = getattr(attention, f"to_{key}").weight.shape, layer.weight.shape
            if ours != theirs:
                raise ModelUnavailableError(
                    f"{beginning}for {place} it has to_{key} of {list(theirs)}, and this model {list(ours)}"
                )
