"""Diffusion on pixels that knows no text (Ho et al. 2020; Dhariwal & Nichol 2021): CLIP alone steers it.

That is CLIP Guided Diffusion (Katherine Crowson, 2021). The latents of this family are the pixels themselves, in
[-1, 1]: three channels at the picture's size, or 3 f^2 at 1/f of it, in which each place holds a square of f x f
pixels (space to depth, Shi et al. 2016). The two are the same numbers in another order, so noise, steps and gradients
are those of the pixels either way.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DModel
from torch import Tensor, nn
from torch.nn import functional as F

from jobs.errors import ModelUnavailableError
from jobs.prompts.prompt import Wording
from jobs.requests.conditions.families import FamilyName
from worker.facts import ModelFacts, RowSpec
from worker.models.adapters.files import UNET
from worker.models.controls.held import NOTHING, Held
from worker.models.device import Device
from worker.models.families.compatibility import require_schedule
from worker.models.families.denoiser import Denoiser
from worker.models.families.family import Family, Network, Parts, Tensors
from worker.models.families.time_width import TIME_WIDTH, with_time_width
from worker.models.inversions.words import FindWords, no_words
from worker.models.networks.network import FastNetwork
from worker.models.rows import RowBatch
from worker.rows import AdapterUse, TextStates

RGB = 3
_CONDITIONS = ("class_embed_type", "num_class_embeds")


class PixelDiffusion(Denoiser):
    """One checkpoint. Its rows tell nothing, so a picture has one."""

    def __init__(self, parts: Parts, device: Device, find_words: FindWords = no_words) -> None:
        """Bring the parts of a checkpoint to the device; it reads no words."""
        del find_words
        unet = parts["unet"]
        self._factor = pixels_a_side(unet.config)
        facts = ModelFacts(
            latent_channels=unet.config.in_channels,
            latent_factor=self._factor,
            scheduler_config=dict(parts["scheduler"].config),
            row=RowSpec(context_length=1, context_width=1),
            device=device.device,
            measure=lambda _: None,
        )
        levels = len(unet.config.block_out_channels)
        super().__init__((unet,), facts, device, least_side=max(8, 1 << (levels - 1)))
        device.choose_attention(unet)
        self._network = FastNetwork(Unconditional(unet), device)

    def encode(
        self, wordings: Sequence[Wording], uses: Sequence[AdapterUse] = (), held: Held = NOTHING
    ) -> list[TextStates]:
        """Nothing of each wording: a context of one number, which no network reads."""
        del uses, held
        return [TextStates(torch.zeros(1, 1, 1, device=self._device.device)) for _ in wordings]

    @torch.no_grad()
    def prepare(self, latents: Tensor, timesteps: Tensor, rows: RowBatch) -> None:
        self._network.prepare(latents[:1].to(self._device.dtype), timesteps[:1])
        super().prepare(latents, timesteps, rows)

    def _output(self, latents: Tensor, timesteps: Tensor, rows: RowBatch) -> Tensor:
        del rows
        return self._network(latents.to(self._device.dtype), timesteps)

    def decode(self, latents: Tensor) -> Tensor:
        """The pixels from [-1, 1] to [0, 1], in their own places."""
        return F.pixel_shuffle(latents, self._factor) / 2 + 0.5

    def encode_pixels(self, pictures: Tensor) -> Tensor:
        return F.pixel_unshuffle(pictures * 2 - 1, self._factor)


class Unconditional(nn.Module):
    """A UNet of diffusers' as a function of tensors, without the variances that it may have learned besides.

    The solvers have their own (Nichol & Dhariwal 2021, eq. 15 would mix the learned ones with these).
    """

    def __init__(self, unet: UNet2DModel) -> None:
        super().__init__()
        self.unet: Any = unet
        self.eval()

    def forward(self, latents: Tensor, timesteps: Tensor) -> Tensor:
        """The output [B, C, h, w] for latents [B, C, h, w] and timesteps [B]."""
        output: Tensor = self.unet(latents, timesteps, return_dict=False)[0]
        return output[:, : latents.shape[1]]


def pixels_a_side(config: Mapping[str, Any]) -> int:
    """f, the side of the square of pixels that each place of a UNet's input holds.

    Raises:
        ModelUnavailableError: the UNet's channels are not those of such squares.
    """
    channels = config["in_channels"]
    factor = math.isqrt(channels // RGB)
    if factor < 1 or RGB * factor**2 != channels:
        raise ModelUnavailableError(
            f"the UNet takes {channels} channels, and squares of f x f pixels have 3 f^2 (3, 12, 48)"
        )
    return factor


def _require_unconditional(unet: Mapping[str, Any]) -> None:
    """Refuse a UNet that is told something, or gives anything but noise and variances."""
    for field in _CONDITIONS:
        if unet.get(field) is not None:
            raise ModelUnavailableError(
                f"the UNet is told a class: its {field} is {unet[field]!r}, which is not served"
            )
    taken, given = unet["in_channels"], unet["out_channels"]
    if given not in (taken, 2 * taken):
        raise ModelUnavailableError(
            f"the UNet takes {taken} channels and gives {given}; served are {taken}, or {2 * taken} with variances"
        )
    pixels_a_side(unet)


def _require(parts: Parts) -> None:
    """Refuse a scheduler of a kind that no solver knows."""
    require_schedule(parts["scheduler"].config)


def _require_file(checkpoint: Tensors) -> None:
    del checkpoint
    raise ModelUnavailableError(
        "a pixel diffusion is served from a folder; `lodestar convert adm` makes one of a checkpoint file"
    )


def _unet(folder: Path, **changes: Any) -> UNet2DModel:
    config = {**UNet2DModel.load_config(folder), **changes}
    unet: UNet2DModel = UNet2DModel.from_config(config)
    return with_time_width(unet, config.get(TIME_WIDTH))


PIXELS = Family(
    name="diffusion on pixels",
    id=FamilyName.PIXELS,
    networks={
        UNET: Network(
            title="the UNet",
            classes=("UNet2DModel",),
            stem="diffusion_pytorch_model",
            empty=_unet,
            require=_require_unconditional,
            prefix="",
            convert=lambda tensors, _: tensors,
        )
    },
    tokenizers={},
    ignored=frozenset(),
    require=_require,
    require_file=_require_file,
    make=PixelDiffusion,
)
