"""One picture's algorithm, as a generator: it yields the model calls it needs and is sent their answers.

Progress, batching and cancellation belong to the caller, who may stop asking at any step.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from jobs.errors import JobFailedError, NoImageTowerError
from jobs.presets import PRESETS
from jobs.request import ResolvedGuidance, ResolvedRequest
from worker.aesthetics.embeddings import AestheticEmbedding, require_clip
from worker.aesthetics.personalization import Tuning, blended
from worker.calls import (
    Call,
    Decode,
    Denoise,
    Describe,
    EmbedText,
    EncodeText,
    Facts,
    Guide,
    InputSize,
    Look,
    Personalize,
    Score,
    Sight,
    Stepped,
)
from worker.guidance.cutouts import draw_views
from worker.guidance.gradient import Gradient, normalized
from worker.schedules import Solver

# Guidance draws from a stream of its own, so that guided and unguided runs of one seed share their noise.
GUIDANCE_STREAM = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Picture:
    """A finished picture."""

    index: int
    seed: int
    pixels: Tensor  # [3, H, W] in [0, 1], float32, on the CPU
    clip_score: float
    aesthetic_score: float | None = None
    embedding: Tensor | None = None  # [E], unit, of the critic's space


@dataclass(frozen=True)
class Extras:
    """What else a picture depends on, or is looked at by.

    Attributes:
        critic: id of the CLIP that scores the looks of the finished picture and says where it lies in its space.
        text_clip: id of the CLIP that the model's text encoder belongs to; personalisation needs it.
        taste: what it is personalised towards; likewise.
    """

    critic: str | None = None
    text_clip: str | None = None
    taste: AestheticEmbedding | None = None


NO_EXTRAS = Extras()


def sample(
    request: ResolvedRequest, index: int, judge: str, extras: Extras = NO_EXTRAS
) -> Generator[Call, Any, Picture]:
    """Make picture ``index`` of a request.

    Args:
        request: what to make.
        index: which of its pictures; its seed is the request's seed plus this.
        judge: id of the CLIP that scores the picture, and guides it if guidance is asked for.
        extras: what else it needs.

    Raises:
        JobFailedError: the latents overflowed; this is the picture's own doing, never that of others in its batch.
    """
    seed = request.seed + index
    noise_rng = torch.Generator().manual_seed(seed)
    views_rng = torch.Generator().manual_seed((seed ^ GUIDANCE_STREAM) % 2**63)
    facts: Facts = yield Describe(request.model)
    conditional: Tensor = yield EncodeText(request.model, request.prompt)
    conditional = yield from _personalized(request, conditional, extras)
    unconditional: Tensor | None = None
    if request.cfg_scale != 1:
        unconditional = yield EncodeText(request.model, request.negative_prompt)
    guidance = request.guidance
    described: Tensor = yield EmbedText(judge, request.prompt)
    target, px = described, 0
    if guidance is not None:
        px = yield InputSize(judge)
        if guidance.prompt != request.prompt:
            target = yield EmbedText(judge, guidance.prompt)

    solver = Solver(request.sampler, facts.scheduler_config, request.steps)
    size = (request.height // facts.latent_factor, request.width // facts.latent_factor)
    latents = solver.initial(
        torch.randn(1, facts.latent_channels, *size, generator=noise_rng, dtype=torch.float32)
    )
    for timestep in solver.timesteps:
        model_input = solver.model_input(latents, timestep)
        output: Tensor = yield Denoise(
            request.model, model_input, timestep, conditional, unconditional, request.cfg_scale
        )
        denoised = solver.denoised(output, latents, timestep)
        if guidance is not None and guidance.scale:
            views = draw_views(guidance.cutouts, px, views_rng)
            gradient: Gradient = yield Guide(request.model, judge, denoised, target, views)
            denoised = _guided(denoised, gradient, guidance)
            output = solver.output(denoised, latents, timestep)
        latents = solver.step(output, latents, timestep, noise_rng)
        if not latents.isfinite().all():
            raise JobFailedError(
                f"picture {index} is not finite after timestep {timestep:g}: out of the model's range"
            )
        yield Stepped(denoised)

    pixels: Tensor = yield Decode(request.model, latents)
    if request.select is not None and request.select.judge != judge:
        judge = request.select.judge
        described = yield EmbedText(judge, request.prompt)
    score: float = yield Score(judge, pixels, described)
    if extras.critic is None:
        return Picture(index, seed, pixels, score)
    sight: Sight = yield Look(extras.critic, pixels)
    return Picture(index, seed, pixels, score, sight.aesthetic_score, F.normalize(sight.embedding[0], dim=0))


def _personalized(
    request: ResolvedRequest, conditional: Tensor, extras: Extras
) -> Generator[Call, Any, Tensor]:
    """The conditioning [1, L, D] after aesthetic gradients; of the prompt alone, never of the negative prompt."""
    asked = request.personalization
    if asked is None or asked.steps == 0 or asked.weight == 0:
        return conditional
    if extras.taste is None or extras.text_clip is None:
        raise NoImageTowerError(
            f"model {request.model!r} cannot be personalised without its CLIP and an embedding"
        )
    require_clip(extras.taste, extras.text_clip, name=asked.embedding)
    tuning = Tuning(asked.digest, asked.steps, asked.lr, asked.text, asked.text_angle, asked.text_negative)
    tuned: Tensor = yield Personalize(
        request.model, extras.text_clip, request.prompt, extras.taste.direction, tuning
    )
    return blended(conditional.float().cpu(), tuned, asked.weight, asked.blend)


def _guided(denoised: Tensor, gradient: Gradient, guidance: ResolvedGuidance) -> Tensor:
    """x0 <- x0 - scale * g, with g in the preset's convention."""
    preset = PRESETS[guidance.preset]
    g = normalized(gradient.value) if preset.normalize == "rms" else gradient.value
    return denoised - guidance.scale * g
