"""Stable Diffusion 1.x and 2.x: a UNet on the latents of a VAE, conditioned by the states of one CLIP text encoder."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

from jobs.prompts.prompt import Wording
from worker.facts import ModelFacts, RowSpec
from worker.finite import is_finite
from worker.models.adapters.files import TEXT, UNET
from worker.models.adapters.mixture import Mixture
from worker.models.caches import Latest
from worker.models.checkpointing import checkpoint_activations
from worker.models.controls.batching import Controls
from worker.models.controls.control import Base, Control, UNetCall
from worker.models.controls.held import NOTHING, Held
from worker.models.device import Device
from worker.models.families import original
from worker.models.families.compatibility import (
    require_autoencoder,
    require_clip_text_encoder,
    require_latents,
    require_only_texts,
    require_schedule,
    require_text_width,
)
from worker.models.families.denoiser import Denoiser
from worker.models.families.family import Family, Network, Parts
from worker.models.families.personalizer import Personalizer
from worker.models.image_prompts.adapter import ImagePromptAdapter
from worker.models.networks.coding import PictureCoder
from worker.models.networks.decoding import Decoder
from worker.models.networks.network import FastNetwork, UNetOutput
from worker.models.rows import RowBatch
from worker.models.texts import measured, require_vocabulary
from worker.models.wordings import WordingEncoder
from worker.rows import AdapterUse

# Pictures of this width or more keep no activations of the decoder for the guidance gradient.
CHECKPOINTED_PX = 256
ADAPTED_SETS, ADAPTED_WINDOWS = 16, 32  # of texts with adapters: sets, and windows of each


class StableDiffusion(Denoiser):
    """One Stable Diffusion checkpoint. Its contexts are the last hidden states of the text encoder."""

    def __init__(self, parts: Parts, device: Device) -> None:
        """Bring the parts of a checkpoint to the device."""
        self._tokenizer, self._text_encoder = parts["tokenizer"], parts["text_encoder"]
        self._unet, vae = parts["unet"], parts["vae"]
        self._length: int = min(
            self._tokenizer.model_max_length, self._text_encoder.config.max_position_embeddings
        )
        self._wordings = WordingEncoder(self._tokenizer, self._length, self._encode_tokens, device.device)
        self._adapted_wordings: Latest[Mixture, WordingEncoder] = Latest(ADAPTED_SETS)
        facts = ModelFacts(
            latent_channels=vae.config.latent_channels,
            latent_factor=2 ** (len(vae.config.block_out_channels) - 1),
            scheduler_config=dict(parts["scheduler"].config),
            row=RowSpec(
                context_length=self._length,
                context_width=self._text_encoder.config.hidden_size,
                extra_channels=self._unet.config.in_channels - vae.config.latent_channels,
            ),
            device=device.device,
            measure=partial(measured, self._tokenizer, limit=self._length),
        )
        levels = len(self._unet.config.block_out_channels)
        networks = (self._text_encoder, self._unet, vae)
        personalizer = Personalizer(self._tokenizer, self._text_encoder, self._length)
        super().__init__(
            networks,
            facts,
            device,
            least_side=max(8, 1 << (levels - 1)),
            personalizer=personalizer,
            adaptable={UNET: self._unet, TEXT: self._text_encoder},
        )
        for network in (self._unet, vae):
            device.choose_attention(network)
        # The guidance gradient computes the decoder's activations again instead.
        if vae.config.sample_size >= CHECKPOINTED_PX:
            checkpoint_activations(vae.decoder)
        self._network, self._decoder = FastNetwork(UNetOutput(self._unet), device), Decoder(vae)

    @property
    def _vae(self) -> Any:
        return self._decoder.vae

    @property
    def _coder(self) -> PictureCoder:
        return PictureCoder(self._decoder, self._device)

    @property
    def networks(self) -> tuple[torch.nn.Module, ...]:
        return self._text_encoder, self._unet, self._vae

    @torch.no_grad()
    def prepare(self, latents: Tensor, timesteps: Tensor, rows: RowBatch) -> None:
        row = rows.with_channels(rows.inputs(latents))[:1], rows.expanded(timesteps)[:1], rows.context[:1]
        self._network.prepare(*row)
        super().prepare(latents, timesteps, rows)

    def encode(
        self, wordings: Sequence[Wording], uses: Sequence[AdapterUse] = (), held: Held = NOTHING
    ) -> list[Tensor]:
        mixture = self.adaptations.of_all(TEXT, uses, held.adapter)
        return self._wordings(wordings) if mixture is None else self._with(mixture)(wordings)

    def _with(self, mixture: Mixture) -> WordingEncoder:
        """The encoder of wordings by the text encoder with some adapters; keeps the latest."""
        encode = partial(self._encode_tokens, mixture=mixture)
        make = partial(WordingEncoder, self._tokenizer, self._length, encode, self._device.device)
        return self._adapted_wordings.of(mixture, lambda: make(kept=ADAPTED_WINDOWS))

    def forget_rows(self) -> None:
        self._adapted_wordings.clear()
        super().forget_rows()

    @torch.inference_mode()
    def _encode_tokens(self, tokens: Tensor, mask: Tensor | None, mixture: Mixture | None = None) -> Tensor:
        named: dict[str, Any] = {"attention_mask": mask}
        if mixture is None:
            hidden: Tensor = self._text_encoder(tokens, **named)[0]
        else:
            hidden = self.adaptations.run(TEXT, mixture, tokens, **named)[0]
        return hidden

    def _output(self, latents: Tensor, timesteps: Tensor, rows: RowBatch) -> Tensor:
        inputs = latents.to(self._device.dtype), timesteps, rows.context
        is_own = rows.mixture is None and rows.prompts is None
        if is_own and rows.controls is None:
            return self._network(*inputs)
        adapted = partial(self.adaptations.run, UNET, rows.mixture, prompts=rows.prompts)
        run = self._unet if is_own else adapted
        output: Tensor = run(*inputs, **self._residuals(rows.controls, *inputs), return_dict=False)[0]
        return output

    def _residuals(
        self, controls: Controls | None, latents: Tensor, timesteps: Tensor, context: Tensor
    ) -> dict[str, Any]:
        """What controls add to the UNet, as it takes them."""
        if controls is None:
            return {}
        own = latents[:, : self.facts.latent_channels]
        return controls.for_unet(UNetCall(self._unet, own, timesteps, context))

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


def _require(parts: Parts) -> None:
    """Refuse parts that do not fit each other, by their configurations.

    Raises:
        ModelUnavailableError: they do not.
    """
    unet, vae, text_encoder = parts["unet"].config, parts["vae"].config, parts["text_encoder"].config
    require_latents(unet, vae)
    require_text_width(unet, text_encoder.hidden_size)
    require_autoencoder(vae)
    require_vocabulary(parts["tokenizer"], text_encoder.vocab_size)
    require_schedule(parts["scheduler"].config)


def _text_encoder(folder: Path) -> CLIPTextModel:
    return CLIPTextModel(CLIPTextConfig.from_pretrained(folder, local_files_only=True))


def _unet(folder: Path, **changes: Any) -> UNet2DConditionModel:
    config = {**UNet2DConditionModel.load_config(folder), **changes}
    unet: UNet2DConditionModel = UNet2DConditionModel.from_config(config)
    return unet


STABLE_DIFFUSION = Family(
    name="Stable Diffusion 1.x and 2.x",
    networks={
        "text_encoder": Network(
            title="the text encoder",
            classes=("CLIPTextModel", "CLIPTextModelWithProjection"),
            stem="model",
            empty=_text_encoder,
            require=require_clip_text_encoder,
            prefix=original.TEXT,
            convert=original.text_encoder,
            is_unread=original.is_unread_text,
        ),
        "unet": Network(
            title="the UNet",
            classes=("UNet2DConditionModel",),
            stem="diffusion_pytorch_model",
            empty=_unet,
            require=require_only_texts,
            prefix=original.UNET,
            convert=original.unet,
        ),
        "vae": Network(
            title="the VAE",
            classes=("AutoencoderKL",),
            stem="diffusion_pytorch_model",
            empty=lambda folder: AutoencoderKL.from_config(AutoencoderKL.load_config(folder)),
            require=lambda _: None,
            prefix=original.VAE,
            convert=original.vae,
            renamed=original.with_new_attention,
        ),
    },
    tokenizers={"tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast")},
    ignored=frozenset({"safety_checker", "feature_extractor", "image_encoder"}),
    require=_require,
    require_file=original.require_latents_of_file,
    make=StableDiffusion,
)
