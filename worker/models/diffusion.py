"""A diffusion model in memory: text encoder, UNet and VAE, as the engine's calls need them."""

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from jobs.catalog import ModelCard
from jobs.errors import ModelUnavailableError
from worker.aesthetics.personalization import Tuning, TuningCache, tuned_states, turned
from worker.calls import Facts
from worker.guidance.gradient import vector_jacobian
from worker.guidance.linear_decoder import LinearDecoder, fit_linear_decoder
from worker.models.checkpointing import checkpoint_activations
from worker.models.clip import ClipModel
from worker.models.device import Device
from worker.models.files import NETWORKS, locate, weights
from worker.models.shared import SharedNetworks, digest
from worker.models.texts import TextCache


class DiffusionModel:
    """One Stable Diffusion checkpoint, frozen, on its device.

    Attributes:
        facts: what a sampler must know of it.
        encode_texts: texts to the text encoder's last hidden states [N, L, D]; words beyond its context are cut off.
            Keeps the latest.
        networks: all that take memory.
    """

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
            checkpoint_activations(self._vae.decoder)
        self._device = device
        self.encode_texts = TextCache(self._encode_texts)
        self._tuned = TuningCache()
        self.networks: tuple[torch.nn.Module, ...] = (self._text_encoder, self._unet, self._vae)
        self.facts = Facts(
            latent_channels=self._vae.config.latent_channels,
            latent_factor=2 ** (len(self._vae.config.block_out_channels) - 1),
            scheduler_config=dict(pipeline.scheduler.config),
        )

    @torch.inference_mode()
    def _encode_texts(self, texts: list[str]) -> Tensor:
        tokens = self._tokenizer(
            texts,
            padding="max_length",
            max_length=self._tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        hidden: Tensor = self._text_encoder(tokens.input_ids.to(self._device.device))[0]
        return hidden

    def personalize(self, text: str, direction: Tensor, tuning: Tuning, clip: ClipModel) -> Tensor:
        """A text's hidden states [1, L, D] by the encoder after aesthetic gradients, float32 on the CPU.

        Of a text that is longer than the encoder's context, every window takes part in the tuning, and the first one
        conditions, as in ``encode_texts``.

        Args:
            text: the prompt.
            direction: the taste, a unit vector [E].
            tuning: how to fit the encoder to it, and what the answer is remembered by.
            clip: the CLIP that the text encoder belongs to.

        Raises:
            ModelUnavailableError: the encoder is not of that CLIP.
        """
        return self._tuned(text, tuning, lambda: self._tune(text, direction, tuning, clip))

    def _tune(self, text: str, direction: Tensor, tuning: Tuning, clip: ClipModel) -> Tensor:
        config, tower = self._text_encoder.config, clip.text_tower
        if tower.width != config.hidden_size:
            raise ModelUnavailableError(
                f"the text encoder has states of {config.hidden_size} numbers, and the CLIP that the catalog says it "
                f"belongs to has states of {tower.width}"
            )
        if tuning.text is not None:
            goal = clip.embed_text(tuning.text)[0]
            direction = turned(direction, goal, tuning.text_angle, negative=tuning.text_negative)
        tokens = self._windows(text).to(self._device.device)
        states = tuned_states(
            self._text_encoder,
            tower.projection,
            tokens,
            direction,
            steps=tuning.steps,
            lr=tuning.lr,
            completion=tower.completion(config.num_hidden_layers, self._device.device),
            known=clip.embed_text(text)[0],
        )
        return states[:1].cpu()

    def _windows(self, text: str) -> Tensor:
        """The tokens of a text [N, L], in as many windows of the encoder's context as it takes."""
        tokenizer, length = self._tokenizer, self._tokenizer.model_max_length
        words = tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        starts = range(0, max(len(words), 1), length - 2)
        parts = [
            [tokenizer.bos_token_id, *words[start : start + length - 2], tokenizer.eos_token_id]
            for start in starts
        ]
        return torch.tensor([part + [tokenizer.pad_token_id] * (length - len(part)) for part in parts])

    @torch.inference_mode()
    def predict(self, latents: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        """The UNet's output for a batch whose rows know nothing of each other.

        Args:
            latents: [B, C, h, w], variance preserving.
            timesteps: [B].
            context: the texts' hidden states [B, L, D].

        Returns:
            [B, C, h, w], float32 on the CPU.
        """
        return self._output(latents, timesteps, context).float().cpu()

    @torch.enable_grad()
    def pull_back(self, latents: Tensor, timesteps: Tensor, context: Tensor, gradients: Tensor) -> Tensor:
        """Gradients with respect to the UNet's output, carried back to its latents; arguments as above.

        Args:
            latents: [B, C, h, w].
            timesteps: [B].
            context: [B, L, D].
            gradients: [B, C, h, w].

        Returns:
            [B, C, h, w], float32 on the CPU.
        """
        leaf = latents.detach().requires_grad_(True)
        output = self._output(leaf, timesteps, context)
        return vector_jacobian(output, leaf, gradients.to(output.device)).float().cpu()

    def _output(self, latents: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        output: Tensor = self._unet(
            latents.to(self._device.device, self._device.dtype),
            timesteps.to(self._device.device),
            context.to(self._device.device, self._device.dtype),
            return_dict=False,
        )[0]
        return output

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, C, h, w] to pictures [B, 3, H, W], nominally in [0, 1] but not clamped; differentiable."""
        latents = latents.to(self._device.device, self._device.dtype)
        picture: Tensor = self._vae.decode(latents / self._vae.config.scaling_factor, return_dict=False)[0]
        return picture / 2 + 0.5

    @cached_property
    def decode_linearly(self) -> LinearDecoder:
        """The linear decoder that is nearest to ``decode``; fitted when it is first asked for."""
        return fit_linear_decoder(
            self.decode, self.facts.latent_channels, self.facts.latent_factor, self._device.device
        )

    @torch.inference_mode()
    def render(self, latents: Tensor) -> Tensor:
        """Latents [B, C, h, w] to finished pictures [B, 3, H, W] in [0, 1], float32 on the CPU."""
        return self.decode(latents).float().clamp(0, 1).cpu()


def load_diffusion(card: ModelCard, device: Device, shared: SharedNetworks | None = None) -> DiffusionModel:
    """Load a checkpoint: a diffusers folder, a hub id, or one .safetensors file.

    Args:
        card: what to load.
        device: where to.
        shared: networks in memory; those that a folder has in common with them are not loaded again.

    Raises:
        ModelUnavailableError: its files are missing, damaged, or not safetensors.
    """
    path = locate(card)
    # The checker is another model, which answers for content; who serves pictures to others adds one outside.
    options: dict[str, Any] = {"safety_checker": None, "requires_safety_checker": False}
    try:
        if path.is_file():
            pipeline = _from_file(path, card, options)
        else:
            pipeline = _from_folder(path, options, shared or SharedNetworks())
    except Exception as error:
        raise ModelUnavailableError(f"{card.id}: {path.name} cannot be loaded: {error}") from error
    return DiffusionModel(pipeline, device)


def _from_folder(path: Path, options: dict[str, Any], shared: SharedNetworks) -> StableDiffusionPipeline:
    digests = {name: digest([*(path / name).glob("*.json"), *weights(path / name)]) for name in NETWORKS}
    found = {name: shared.find(digests[name]) for name in NETWORKS}
    options |= {name: network for name, network in found.items() if network is not None}
    pipeline = StableDiffusionPipeline.from_pretrained(
        path, use_safetensors=True, local_files_only=True, feature_extractor=None, **options
    )
    for name in NETWORKS:
        shared.add(digests[name], getattr(pipeline, name))
    return pipeline


def _from_file(path: Path, card: ModelCard, options: dict[str, Any]) -> StableDiffusionPipeline:
    if card.config is not None:
        options |= {"config": str(card.config), "local_files_only": True}
    return StableDiffusionPipeline.from_single_file(path, **options)
