"""A diffusion model in memory: text encoder, UNet and VAE, as the engine's calls need them."""

from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from jobs.catalog import ModelCard
from jobs.errors import ModelUnavailableError
from worker.calls import Facts
from worker.models.device import Device
from worker.models.files import locate


class DiffusionModel:
    """One Stable Diffusion checkpoint, frozen, on its device."""

    def __init__(self, pipeline: StableDiffusionPipeline, device: Device) -> None:
        pipeline.to(device.device, device.dtype)
        if device.attention == "xformers":
            pipeline.enable_xformers_memory_efficient_attention()
        self._tokenizer = pipeline.tokenizer
        self._text_encoder = pipeline.text_encoder.eval().requires_grad_(False)
        self._unet = pipeline.unet.eval().requires_grad_(False)
        self._vae = pipeline.vae.eval().requires_grad_(False)
        # Keeps no activations of the decoder for the guidance gradient; it computes them again instead.
        if self._vae.config.sample_size >= 256:
            self._vae.enable_gradient_checkpointing()
        self._device = device
        self.facts = Facts(
            latent_channels=self._vae.config.latent_channels,
            latent_factor=2 ** (len(self._vae.config.block_out_channels) - 1),
            scheduler_config=dict(pipeline.scheduler.config),
        )

    @torch.no_grad()
    def encode_text(self, text: str) -> Tensor:
        """The text encoder's last hidden state [1, L, D]; words beyond its context are cut off."""
        tokens = self._tokenizer(
            text,
            padding="max_length",
            max_length=self._tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        hidden: Tensor = self._text_encoder(tokens.input_ids.to(self._device.device))[0]
        return hidden

    @torch.no_grad()
    def denoise(
        self, latents: Tensor, timestep: Tensor, conditional: Tensor, unconditional: Tensor | None, cfg_scale: float
    ) -> Tensor:
        """The UNet's output under classifier-free guidance (Ho & Salimans 2022, eq. 6): u + w (c - u).

        Args:
            latents: [1, C, h, w].
            timestep: [].
            conditional: [1, L, D].
            unconditional: [1, L, D], or None for the conditional output alone.
            cfg_scale: w.

        Returns:
            [1, C, h, w], float32 on the CPU.
        """
        context = conditional if unconditional is None else torch.cat([unconditional, conditional])
        context = context.to(self._device.device, self._device.dtype)
        batch = latents.to(self._device.device, self._device.dtype).expand(len(context), -1, -1, -1)
        output = self._unet(batch, timestep.to(self._device.device), context).sample.float().cpu()
        if unconditional is None:
            return output  # type: ignore[no-any-return]
        u, c = output.chunk(2)
        return u + cfg_scale * (c - u)  # type: ignore[no-any-return]

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [1, C, h, w] to a picture [1, 3, H, W], nominally in [0, 1] but not clamped; differentiable."""
        latents = latents.to(self._device.device, self._device.dtype)
        picture: Tensor = self._vae.decode(latents / self._vae.config.scaling_factor).sample
        return picture / 2 + 0.5

    @torch.no_grad()
    def render(self, latents: Tensor) -> Tensor:
        """Latents [1, C, h, w] to a finished picture [3, H, W] in [0, 1], float32 on the CPU."""
        return self.decode(latents)[0].float().clamp(0, 1).cpu()


def load_diffusion(card: ModelCard, device: Device) -> DiffusionModel:
    """Load a checkpoint: a diffusers folder, a hub id, or one .safetensors file.

    Raises:
        ModelUnavailableError: its files are missing, damaged, or not safetensors.
    """
    path = locate(card)
    # The checker is another model, which answers for content; who serves pictures to others adds one outside.
    options: dict[str, Any] = {"safety_checker": None, "requires_safety_checker": False}
    try:
        pipeline = _from_file(path, card, options) if path.is_file() else _from_folder(path, options)
    except Exception as error:
        raise ModelUnavailableError(f"{card.id}: {path.name} cannot be loaded: {error}") from error
    return DiffusionModel(pipeline, device)


def _from_folder(path: Path, options: dict[str, Any]) -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(
        path, use_safetensors=True, local_files_only=True, feature_extractor=None, **options
    )


def _from_file(path: Path, card: ModelCard, options: dict[str, Any]) -> StableDiffusionPipeline:
    if card.config is not None:
        options |= {"config": str(card.config), "local_files_only": True}
    return StableDiffusionPipeline.from_single_file(path, **options)
