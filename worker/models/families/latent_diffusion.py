"""A UNet on the latents of a VAE, which is told texts: what Stable Diffusion and SDXL have in common."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from jobs.prompts.prompt import Wording
from worker.facts import ModelFacts, RowSpec
from worker.finite import is_finite
from worker.models.adapters.files import UNET
from worker.models.checkpointing import checkpoint_activations
from worker.models.controls.control import Base, Control, UNetCall
from worker.models.controls.held import NOTHING, Held
from worker.models.device import Device
from worker.models.families.denoiser import Denoiser
from worker.models.families.family import Parts
from worker.models.families.personalizer import Personalizer
from worker.models.families.text_encoder import TextEncoder
from worker.models.image_prompts.adapter import ImagePromptAdapter
from worker.models.networks.coding import PictureCoder
from worker.models.networks.decoding import Decoder
from worker.models.networks.keeping import DECODER, KEEPING, TEXTS, Keeping, Offload
from worker.models.networks.network import FastNetwork, UNetOutput, conditions
from worker.models.rows import RowBatch
from worker.rows import AdapterUse, TextStates

# Pictures of this width or more keep no activations of the decoder for the guidance gradient.
CHECKPOINTED_PX = 256


class LatentDiffusion(Denoiser):
    """One checkpoint. Its contexts are the states of its text encoders, side by side."""

    def __init__(
        self,
        parts: Parts,
        device: Device,
        encoders: Mapping[str, TextEncoder],
        row: RowSpec,
        personalizer: Personalizer | None = None,
    ) -> None:
        """Bring the parts of a checkpoint to the device.

        Args:
            parts: with a UNet, a VAE and a scheduler.
            device: where to.
            encoders: of texts, by their names in adapters' files; their contexts have one length.
            row: what a row carries.
            personalizer: of the first encoder.
        """
        self._encoders = tuple(encoders.values())
        self._unet, vae = parts["unet"], parts["vae"]
        keeping: Keeping = parts.get(KEEPING, Keeping())
        first, levels = self._encoders[0], len(self._unet.config.block_out_channels)
        facts = ModelFacts(
            latent_channels=vae.config.latent_channels,
            latent_factor=2 ** (len(vae.config.block_out_channels) - 1),
            scheduler_config=dict(parts["scheduler"].config),
            row=row,
            device=device.device,
            measure=partial(first.vocabulary.measure, limit=first.length),
            latent_scale=vae.config.scaling_factor,
        )
        super().__init__(
            (*(encoder.network for encoder in self._encoders), self._unet, vae),
            facts,
            device,
            least_side=max(8, 1 << (levels - 1)),
            personalizer=personalizer,
            at_home=[parts[name] for name in parts if keeping.is_home(name)],
            adaptable={
                UNET: self._unet,
                **{name: encoder.reader for name, encoder in encoders.items()},
            },
        )
        for network in (self._unet, vae):
            device.choose_attention(network)
        if vae.config.sample_size >= CHECKPOINTED_PX:
            checkpoint_activations(vae.decoder)
        self._network = FastNetwork(UNetOutput(self._unet, row), device)
        self._decoder = Decoder(vae)
        self._offload = Offload(device.device, self._at_home()) if keeping.offloads else None

    def _at_home(self) -> tuple[torch.nn.Module, ...]:
        return (*(encoder.network for encoder in self._encoders), self._vae)

    def holding(self, *parts: str) -> AbstractContextManager[None]:
        if self._offload is None:
            return super().holding()
        readers = [encoder.reader for encoder in self._encoders] if TEXTS in parts else []
        return self._offload.here([*readers, *([self._vae] if DECODER in parts else [])])

    @property
    def _vae(self) -> Any:
        return self._decoder.vae

    @property
    def _coder(self) -> PictureCoder:
        return PictureCoder(self._decoder, self._device)

    @property
    def networks(self) -> tuple[torch.nn.Module, ...]:
        return (*(encoder.network for encoder in self._encoders), self._unet, self._vae)

    def encode(
        self, wordings: Sequence[Wording], uses: Sequence[AdapterUse] = (), held: Held = NOTHING
    ) -> list[TextStates]:
        with self.holding(TEXTS):
            each = [encoder(wordings, self.adaptations, uses, held) for encoder in self._encoders]
        return [_side_by_side(states) for states in zip(*each, strict=True)]

    def forget_rows(self) -> None:
        for encoder in self._encoders:
            encoder.forget()
        super().forget_rows()

    @torch.no_grad()
    def prepare(self, latents: Tensor, timesteps: Tensor, rows: RowBatch) -> None:
        inputs = self._inputs(rows.with_channels(rows.inputs(latents)), rows.expanded(timesteps), rows)
        self._network.prepare(*(each[:1] for each in inputs))
        super().prepare(latents, timesteps, rows)

    def _inputs(self, latents: Tensor, timesteps: Tensor, rows: RowBatch) -> tuple[Tensor, ...]:
        """All that the network reads of B rows."""
        return latents.to(self._device.dtype), timesteps, rows.context, *rows.told

    def _output(self, latents: Tensor, timesteps: Tensor, rows: RowBatch) -> Tensor:
        inputs = self._inputs(latents, timesteps, rows)
        is_own = rows.mixture is None and rows.prompts is None
        if is_own and rows.controls is None:
            return self._network(*inputs)
        adapted = partial(self.adaptations.run, UNET, rows.mixture, prompts=rows.prompts)
        run = self._unet if is_own else adapted
        told, extra = conditions(self.facts.row, rows.told), {}
        if rows.controls is not None:
            own = inputs[0][:, : self.facts.latent_channels]
            call = UNetCall(self._unet, own, timesteps, rows.context, told.get("added_cond_kwargs"))
            extra = rows.controls.for_unet(call)
        output: Tensor = run(*inputs[:3], **told, **extra, return_dict=False)[0]
        return output

    def require_control(self, control: Control) -> None:
        control.require_fit(Base(self._unet, self.facts.latent_channels, self.facts.latent_factor))

    def require_image_prompt(self, adapter: ImagePromptAdapter) -> None:
        adapter.require_fit(self._unet)

    def encode_pixels(self, pictures: Tensor) -> Tensor:
        latents = self._coder.encode(pictures)
        # A run starts after it, so nothing is lost by waiting for the device.
        if self._decoder.is_narrow and not is_finite(latents) and self._decoder.widen():
            latents = self._coder.encode(pictures)
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        return self._decoder(latents)

    def decode_finished(self, latents: Tensor) -> Tensor:
        return self._coder.decode(latents, self.decode)


def extra_channels(parts: Parts) -> int:
    """Channels that a checkpoint's UNet takes beside the latents."""
    count: int = parts["unet"].config.in_channels - parts["vae"].config.latent_channels
    return count


def guidance_width(parts: Parts) -> int:
    """Numbers that a checkpoint's UNet reads the guidance scale as; 0 if it does not."""
    return parts["unet"].config.time_cond_proj_dim or 0


def _side_by_side(states: Sequence[TextStates]) -> TextStates:
    """The states of several encoders as one: their contexts beside each other, and the pooled ones that there are."""
    if len(states) == 1:
        return states[0]
    pooled = [each.pooled for each in states if each.pooled is not None]
    return TextStates(
        torch.cat([each.context for each in states], -1), torch.cat(pooled, -1) if pooled else None
    )
