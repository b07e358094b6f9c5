"""A diffusion model in memory: text encoder, UNet and VAE, as the engine's calls need them."""

import math
from collections.abc import Sequence
from functools import cached_property, partial

import torch
from torch import Tensor

from jobs.errors import ModelUnavailableError
from worker.aesthetics.fitting import Fitting
from worker.aesthetics.personalization import TuningCache, turned
from worker.calls import Tuning
from worker.facts import ModelFacts
from worker.guidance.gradient import vector_jacobian
from worker.guidance.linear_decoder import LinearDecoder, fit_linear_decoder
from worker.models.checkpointing import checkpoint_activations
from worker.models.clip import ClipModel
from worker.models.device import Device
from worker.models.encodings import EncodingCache
from worker.models.loading.parts import Parts
from worker.models.rows import RowBatch, RowBatches
from worker.models.texts import TextCache, measured
from worker.pictures.canvas import Canvas
from worker.rows import Rows

PICTURES = 64  # encodings that are kept, of 64 KB each at 512 pixels a side


class DiffusionModel:
    """One Stable Diffusion checkpoint, frozen, on its device.

    Attributes:
        facts: its properties, for samplers.
        encode_texts: texts to the text encoder's last hidden states [N, L, D]; words beyond its context are cut off.
            Keeps the latest.
        encode_pictures: canvases of one shape to latents [N, C, h, w], scaled for the denoiser, float32 on the device.
            Keeps the latest.
        networks: all that it holds in memory.
    """

    def __init__(self, parts: Parts, device: Device) -> None:
        self._tokenizer = parts.tokenizer
        for network in (parts.text_encoder, parts.unet, parts.vae):
            # Not diffusers' own, which warns of weights in single precision even where there are none.
            torch.nn.Module.to(network, device.device, device.dtype).eval().requires_grad_(False)
        self._text_encoder, self._unet, self._vae = parts.text_encoder, parts.unet, parts.vae
        if device.attention == "xformers":
            for network in (self._unet, self._vae):
                network.enable_xformers_memory_efficient_attention()
        # Keeps no activations of the decoder for the guidance gradient; it computes them again instead.
        if self._vae.config.sample_size >= 256:
            checkpoint_activations(self._vae.decoder)
        self._device = device
        self.encode_texts = TextCache(self._encode_texts)
        self.encode_pictures: EncodingCache[Canvas] = EncodingCache(
            self._encode_pictures, lambda canvas: canvas.digest, size=PICTURES
        )
        self._rows = RowBatches(device.device, device.dtype)
        self._tuned = TuningCache()
        self.networks: tuple[torch.nn.Module, ...] = (self._text_encoder, self._unet, self._vae)
        self._length: int = min(
            self._tokenizer.model_max_length, self._text_encoder.config.max_position_embeddings
        )
        self.facts = ModelFacts(
            latent_channels=self._vae.config.latent_channels,
            latent_factor=2 ** (len(self._vae.config.block_out_channels) - 1),
            scheduler_config=dict(parts.scheduler.config),
            device=device.device,
            measure=partial(measured, self._tokenizer, limit=self._length),
        )

    @property
    def least_side(self) -> int:
        """Height and width of the smallest latents that every level of the UNet has something of."""
        levels = len(self._unet.config.block_out_channels)
        return max(8, 1 << (levels - 1))

    @torch.inference_mode()
    def _encode_texts(self, texts: list[str]) -> Tensor:
        tokens = self._tokenizer(
            texts,
            padding="max_length",
            max_length=self._length,
            truncation=True,
            return_tensors="pt",
        )
        hidden: Tensor = self._text_encoder(tokens.input_ids.to(self._device.device))[0]
        return hidden

    def personalize(
        self,
        text: str,
        direction: Tensor,
        tuning: Tuning,
        clip: ClipModel,
        fitting: object | None = None,
        *,
        seconds: float = math.inf,
    ) -> Tensor | Fitting:
        """The hidden states [1, L, D] of a text after aesthetic gradients, float32 on the CPU.

        Of a text that is longer than the encoder's context, every window takes part in the tuning, and the first one
        conditions, as in ``encode_texts``.

        Args:
            text: the prompt.
            direction: of the aesthetic embedding, a unit vector [E].
            tuning: the parameters of the fit, by which the answer is cached.
            clip: the CLIP that the text encoder belongs to.
            fitting: the answer of the call before, if that was not the hidden states.
            seconds: after these, answer the encoder as far as it is fitted.

        Raises:
            ModelUnavailableError: the encoder is not of that CLIP.
            JobFailedError: the encoder overflowed.
        """
        known = self._tuned.find(text, tuning)
        if known is not None:
            return known
        if not isinstance(fitting, Fitting):
            fitting = self._fitting(text, direction, tuning, clip)
        fitting.advance(seconds)
        return self._tuned.keep(text, tuning, fitting.states()[:1].cpu()) if fitting.done else fitting

    def _fitting(self, text: str, direction: Tensor, tuning: Tuning, clip: ClipModel) -> Fitting:
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
        return Fitting(
            self._text_encoder,
            tower.projection,
            tokens,
            direction,
            steps=tuning.steps,
            lr=tuning.lr,
            completion=tower.completion(config.num_hidden_layers, self._device.device),
            known=clip.embed_text(text)[0],
        )

    def _windows(self, text: str) -> Tensor:
        """The tokens of a text [N, L], in as many windows of the encoder's context as it takes."""
        tokenizer, length = self._tokenizer, self._length
        words = tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        starts = range(0, max(len(words), 1), length - 2)
        parts = [
            [tokenizer.bos_token_id, *words[start : start + length - 2], tokenizer.eos_token_id]
            for start in starts
        ]
        return torch.tensor([part + [tokenizer.pad_token_id] * (length - len(part)) for part in parts])

    def rows(self, pictures: Sequence[Rows]) -> RowBatch:
        """The batch of some pictures' rows."""
        return self._rows.of(pictures)

    @torch.no_grad()
    def predict(self, latents: Tensor, timesteps: Tensor, rows: RowBatch) -> Tensor:
        """The UNet's output for a batch whose rows do not depend on each other.

        Args:
            latents: [N, C, h, w], variance preserving.
            timesteps: [N].
            rows: conditions of the N pictures.

        Returns:
            [B, C, h, w], float32 on the device.
        """
        return self._output(rows.inputs(latents), rows.expanded(timesteps), rows).float()

    @torch.enable_grad()
    def pull_back(self, latents: Tensor, timesteps: Tensor, rows: RowBatch, gradients: Tensor) -> Tensor:
        """Gradients with respect to the UNet's output, carried back to its latents; arguments as above.

        Args:
            latents: [N, C, h, w].
            timesteps: [N].
            rows: conditions of the N pictures.
            gradients: [B, C, h, w].

        Returns:
            Summed over the rows of each picture, [N, C, h, w], float32 on the device.
        """
        # A leaf for each row, since the product is scaled row by row.
        leaf = rows.expanded(latents.detach()).requires_grad_(True)
        output = self._output(leaf, rows.expanded(timesteps), rows)
        return rows.summed(vector_jacobian(output, leaf, gradients.to(output.device)).float())

    def _output(self, latents: Tensor, timesteps: Tensor, rows: RowBatch) -> Tensor:
        output: Tensor = self._unet(
            latents.to(self._device.dtype), timesteps, rows.context, return_dict=False
        )[0]
        return output

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, C, h, w] to pictures [B, 3, H, W], nominally in [0, 1] but not clamped; differentiable."""
        latents = latents.to(self._device.device, self._device.dtype)
        picture: Tensor = self._vae.decode(latents / self._vae.config.scaling_factor, return_dict=False)[0]
        return picture / 2 + 0.5

    @torch.no_grad()
    def _encode_pictures(self, pictures: list[Canvas]) -> Tensor:
        """The mode of the VAE's posterior: the same at every call, unlike a sample, and nearer to the picture."""
        pixels = torch.stack([picture.pixels for picture in pictures]).to(self._device.device)
        posterior = self._vae.encode((2 * (pixels.float() / 255) - 1).to(self._device.dtype)).latent_dist
        latents: Tensor = posterior.mode() * self._vae.config.scaling_factor
        return latents.float()

    @cached_property
    def decode_linearly(self) -> LinearDecoder:
        """The linear decoder that is nearest to ``decode``; fitted when it is first asked for."""
        return fit_linear_decoder(
            self.decode, self.facts.latent_channels, self.facts.latent_factor, self._device.device
        )

    @torch.inference_mode()
    def render(self, latents: Tensor) -> Tensor:
        """Latents [B, C, h, w] to finished pictures [B, 3, H, W] in [0, 1], float32 on the CPU.

        Values that are not finite become NaN, since clamping would turn an infinity into black or white.
        """
        decoded = self.decode(latents).float()
        return decoded.masked_fill(~decoded.isfinite(), math.nan).clamp(0, 1).cpu()
