"""Networks that answer at once, so that only the engine's own code takes time."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from worker.guidance import clip_losses
from worker.guidance.cutouts import Cutouts
from worker.models.clip import ClipModel
from worker.models.families.stable_diffusion import StableDiffusion
from worker.models.networks.network import UNetOutput

CHANNELS, SIDE, TOKENS, WIDTH = 4, 64, 77, 768  # of SD 1.5 at 512 px
CLIP_PX, CLIP_WIDTH = 224, 1024  # of ViT-H-14
META = torch.device("meta")  # of tensors that have a shape and no values


class Instant(nn.Module):
    """A UNet with stored outputs, which notes when it was called and left."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self.times: list[tuple[float, float, int]] = []
        self._clock = clock
        self._answers: dict[int, Tensor] = {}

    def forward(self, latents: Tensor, *_: Tensor, **__: bool) -> tuple[Tensor]:
        """A stored output for as many rows."""
        began, rows = self._clock(), len(latents)
        if rows not in self._answers:
            self._answers[rows] = 0.5 * torch.randn(latents.shape)
        self.times.append((began, self._clock(), rows))
        return (self._answers[rows],)


def instant(model: StableDiffusion, clock: Callable[[], float] = time.perf_counter) -> Instant:
    """Give a model the shapes of SD 1.5, and a UNet that answers at once."""
    unet, contexts = Instant(clock), torch.randn(1, TOKENS, WIDTH)
    stubbed: Any = model
    stubbed._network = UNetOutput(unet)
    model.facts = replace(model.facts, latent_channels=CHANNELS, latent_factor=1)
    stubbed.encode = lambda wordings, *_: [contexts.clone() for _ in wordings]
    model.render = lambda latents: torch.zeros(len(latents), 3, 64, 64)  # type: ignore[method-assign]
    return unet


class _Stored(torch.autograd.Function):
    """A stored answer, and on the way back a gradient that costs nothing."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, answer: Tensor) -> Tensor:
        ctx.shape, ctx.device = inputs.shape, inputs.device
        return answer.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *_: Tensor) -> tuple[Tensor, None]:
        return torch.full((1,), 1e-3, device=ctx.device).expand(ctx.shape), None


def instant_guidance(model: StableDiffusion, clip: ClipModel, cutouts_at_a_time: int) -> None:
    """Give a model a decoder, and a CLIP a tower, that answer at once; and have no picture cropped.

    Cutouts are shapes without values: on a GPU their crops, and noise on its way there, are work that the host starts.
    """
    embeddings = nn.functional.normalize(torch.randn(64, CLIP_WIDTH), dim=-1)
    target = embeddings[:1].clone()

    def crop(pictures: Tensor, cutouts: Cutouts) -> Tensor:
        made: Tensor = _Stored.apply(
            pictures, torch.empty(len(cutouts), 3, cutouts.px, cutouts.px, device=META)
        )
        return made

    def decode(latents: Tensor) -> Tensor:
        decoded: Tensor = _Stored.apply(latents, torch.full((len(latents), 3, SIDE, SIDE), 0.5))
        return decoded

    def embed(cutouts: Tensor) -> Tensor:
        embedded: Tensor = _Stored.apply(cutouts, embeddings[: len(cutouts)])
        return embedded

    stubs: Any = clip_losses
    stubs.make_cutouts, stubs.add_noise = crop, lambda _made, _cutouts: None
    model.decode = decode  # type: ignore[method-assign]
    clip.embed = embed  # type: ignore[method-assign,assignment]
    clip.project_pictures = lambda pictures: embeddings[: len(pictures)]  # type: ignore[method-assign]
    clip.embed_texts = lambda texts: target.expand(len(texts), -1)  # type: ignore[assignment]
    clip.px = CLIP_PX
    clip.batch_cutouts = cutouts_at_a_time
