"""A diffusion model in memory, as the engine's calls need any of them."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import Module

from jobs.errors import JobFailedError, ModelUnavailableError
from jobs.prompts.prompt import Wording, plain
from worker.calls import DECODINGS
from worker.canvas import Canvas
from worker.facts import ModelFacts
from worker.guidance.gradient import vector_jacobian
from worker.guidance.linear_decoder import LinearDecoder, fit_linear_decoder
from worker.models.adapters.adaptations import Adaptations
from worker.models.adapters.files import UNET
from worker.models.caches import EncodingCache
from worker.models.controls.batching import controls_of
from worker.models.controls.control import Control
from worker.models.controls.held import NOTHING, Held
from worker.models.device import Device
from worker.models.families.personalizer import Personalizer
from worker.models.image_prompts.adapter import ImagePromptAdapter
from worker.models.image_prompts.batching import image_prompts_of
from worker.models.networks.keeping import DECODER
from worker.models.rows import Added, RowBatch, RowBatches
from worker.rows import AdapterUse, Row, Rows, TextStates

PICTURES = 64  # encodings that are kept, of 64 KB each at 512 pixels a side


class Denoiser(ABC):
    """One checkpoint, frozen, on its device.

    A family says how it encodes texts, how its network is called and how latents become pictures. All else follows.

    Attributes:
        facts: its properties, for samplers.
        least_side: height and width of the smallest latents that every level of the network has something of.
        encode_pictures: canvases of one shape to latents [N, C, h, w], float32 on the device. Keeps the latest.
        adaptations: what adapters make of its networks.
    """

    def __init__(
        self,
        networks: Iterable[Module],
        facts: ModelFacts,
        device: Device,
        *,
        least_side: int,
        personalizer: Personalizer | None = None,
        adaptable: Mapping[str, Module] | None = None,
        at_home: Sequence[Module] = (),
    ) -> None:
        """Freeze the networks, and bring them to the device, but for those that stay in the host's memory."""
        self._networks: tuple[Module, ...] = tuple(networks)
        for network in self._networks:
            # Not diffusers' own, which warns of weights in single precision even where there are none.
            place = device.home.device if network in at_home else device.device
            Module.to(network, place, device.dtype).eval().requires_grad_(False)
        self.facts = facts
        self.least_side = least_side
        self.encode_pictures: EncodingCache[Canvas] = EncodingCache(
            self._encode_pictures, lambda canvas: canvas.digest, size=PICTURES
        )
        self._device = device
        self._rows = RowBatches(device.device, device.dtype)
        self._personalizer = personalizer
        self.adaptations = Adaptations(adaptable or {}, device.device, device.dtype)
        self._releases_rows = False

    @abstractmethod
    def encode(
        self, wordings: Sequence[Wording], uses: Sequence[AdapterUse] = (), held: Held = NOTHING
    ) -> list[TextStates]:
        """The states of each wording, on the device.

        Args:
            wordings: of prompts.
            uses: adapters of the text encoders.
            held: has these.
        """

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """The contexts [N, L, D] of N texts as they stand; words beyond its context are cut off."""
        return torch.cat([states.context for states in self.encode([plain(text) for text in texts])])

    @abstractmethod
    def _output(self, latents: Tensor, timesteps: Tensor, rows: RowBatch) -> Tensor:
        """The network's output [B, C, h, w] for the latents [B, C + K, h, w] and timesteps [B] of B rows.

        The K channels after those of the latents are the rows' own.
        """

    def holding(self, *parts: str) -> AbstractContextManager[None]:  # noqa: ARG002 - most hold all
        """Have offloaded parts, ``TEXTS`` or ``DECODER``, on the device within a block, derivatives included."""
        return nullcontext()

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, C, h, w] to pictures [B, 3, H, W], nominally in [0, 1] but not clamped; differentiable."""

    def decode_finished(self, latents: Tensor) -> Tensor:
        """The same without derivatives, whatever the device has room for in one pass."""
        return self.decode(latents)

    @abstractmethod
    def encode_pixels(self, pictures: Tensor) -> Tensor:
        """Pictures [B, 3, H, W] in [0, 1] to latents [B, C, h, w], scaled as the network reads them.

        They are the mode of the encoder's posterior: always the same, unlike a sample, and nearer to the picture.
        """

    @torch.no_grad()
    def _encode_pictures(self, canvases: list[Canvas]) -> Tensor:
        pictures = torch.stack([canvas.levels(self._device.device) for canvas in canvases])
        with self.holding(DECODER):
            return self.encode_pixels(pictures).float()

    def require_control(self, control: Control) -> None:
        """Refuse a ControlNet of another model.

        Raises:
            ModelUnavailableError: it does not fit, or the family has none.
        """
        raise ModelUnavailableError(f"this model takes no ControlNet, such as {control.id!r}")

    def require_image_prompt(self, adapter: ImagePromptAdapter) -> None:
        """Refuse an image prompt adapter of another model.

        Raises:
            ModelUnavailableError: it does not fit, or the family has none.
        """
        raise ModelUnavailableError(f"this model takes no image prompts, such as those of {adapter.id!r}")

    def prepare(self, latents: Tensor, timesteps: Tensor, rows: RowBatch) -> None:
        """Do what takes long once before ``predict`` is fast for latents and conditions of these shapes."""
        self.predict(latents, timesteps, rows)

    @property
    def networks(self) -> tuple[Module, ...]:
        """All that it holds in memory."""
        return self._networks

    @property
    def personalizer(self) -> Personalizer:
        """Aesthetic gradients of its text encoder.

        Raises:
            ModelUnavailableError: its family has none.
        """
        if self._personalizer is None:
            raise ModelUnavailableError("this model cannot be personalized: it has no CLIP text encoder")
        return self._personalizer

    def release_rows(self) -> None:
        """Let go of all that rows name at the next batch: some of it has left the memory. For any thread."""
        self._releases_rows = True

    def forget_rows(self) -> None:
        """Keep nothing that holds adapters, ControlNets or pictures."""
        self._releases_rows = False
        self._rows.forget()
        self.adaptations.forget()

    def rows(self, pictures: Sequence[Rows], held: Held = NOTHING) -> RowBatch:
        """The batch of some pictures' rows; ``held`` has what they name."""
        if self._releases_rows:
            self.forget_rows()
        return self._rows.of(pictures, lambda rows: self._added(rows, held))

    def _added(self, rows: Sequence[Row], held: Held) -> Added:
        return (
            self.adaptations.of_rows(UNET, [row.adapters for row in rows], held.adapter),
            controls_of(rows, held.control, self._device.device),
            image_prompts_of(rows, held.image_prompt, self._device.device),
            self._labels(rows),
        )

    def _labels(self, rows: Sequence[Row]) -> Tensor | None:  # noqa: ARG002 - most read none
        """The labels of rows [B, V], in place of vectors, of a model that reads pictures."""
        return None

    def try_pictures(self) -> Tensor:
        """The embedding of a grey picture by a model that reads pictures, [1, E]."""
        raise ModelUnavailableError("this model reads no pictures")

    @torch.no_grad()
    def predict(self, latents: Tensor, timesteps: Tensor, rows: RowBatch) -> Tensor:
        """The network's output for a batch whose rows do not depend on each other.

        Args:
            latents: [N, C, h, w], variance preserving.
            timesteps: [N].
            rows: conditions of the N pictures.

        Returns:
            [B, C, h, w], float32 on the device.
        """
        inputs = rows.with_channels(rows.inputs(latents))
        return self._output(inputs, rows.expanded(timesteps), rows).float()

    @torch.enable_grad()
    def pull_back(self, latents: Tensor, timesteps: Tensor, rows: RowBatch, gradients: Tensor) -> Tensor:
        """Gradients with respect to the network's output, carried back to its latents; arguments as above.

        Args:
            latents: [N, C, h, w].
            timesteps: [N].
            rows: conditions of the N pictures.
            gradients: [B, C, h, w].

        Returns:
            Summed over each picture's rows, [N, C, h, w], float32 on the device.
        """
        # A leaf for each row, since the product is scaled row by row.
        leaf = rows.expanded(latents.detach()).requires_grad_(True)
        output = self._output(rows.with_channels(leaf), rows.expanded(timesteps), rows)
        return rows.summed(vector_jacobian(output, leaf, gradients.to(output.device)).float())

    @cached_property
    def decode_linearly(self) -> LinearDecoder:
        """The linear decoder that is nearest to ``decode``; fitted when it is first asked for.

        Raises:
            JobFailedError: the decoder's pictures are not finite.
        """
        for _ in range(DECODINGS):
            fitted = fit_linear_decoder(
                self.decode, self.facts.latent_channels, self.facts.latent_factor, self._device.device
            )
            if fitted.is_finite:
                return fitted
        raise JobFailedError("the linear decoder is not finite after fitting it to the model's")

    @torch.inference_mode()
    def render(self, latents: Tensor) -> Tensor:
        """Latents [B, C, h, w] to finished pictures [B, 3, H, W] in [0, 1], float32 on the device.

        Values that are not finite become NaN, since clamping would turn an infinity into black or white. What follows,
        ``Decode`` says.
        """
        with self.holding(DECODER):
            decoded = self.decode_finished(latents).float()
        return decoded.masked_fill(~decoded.isfinite(), math.nan).clamp(0, 1)
