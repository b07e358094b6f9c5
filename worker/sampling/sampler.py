"""One picture's algorithm, as a generator: it yields the model calls it needs and is sent their answers.

Progress, batching and cancellation belong to the caller, who may stop asking at any step.
"""

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from jobs.errors import JobFailedError, NoImageTowerError
from jobs.requests.request import ResolvedRequest
from jobs.status.job import GuidedStep
from worker.aesthetics.embeddings import AestheticEmbedding, require_clip
from worker.aesthetics.fitting import Fitting
from worker.aesthetics.personalization import Tuning, blended
from worker.calls import (
    Call,
    Decode,
    Denoise,
    Describe,
    EmbedText,
    EncodeText,
    Facts,
    Look,
    Personalize,
    Preview,
    Score,
    Sight,
    Stepped,
)
from worker.finite import is_finite, require_finite
from worker.sampling.aim import take_aim
from worker.sampling.notes import note_cut_texts
from worker.sampling.prediction import Prediction
from worker.sampling.solvers.base import Solver
from worker.sampling.solvers.table import SOLVERS
from worker.sampling.steering import Nudge, Steering

# Guidance draws from a stream of its own, so that guided and unguided runs of one seed share their noise.
GUIDANCE_STREAM = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Picture:
    """A finished picture."""

    index: int
    seed: int
    pixels: Tensor  # [3, H, W] in [0, 1], float32, on the CPU
    clip_score: float
    trace: tuple[GuidedStep, ...] | None = None  # where the request asks for it
    aesthetic_score: float | None = None
    embedding: Tensor | None = None  # [E], unit, of the critic's space


@dataclass(frozen=True)
class Extras:
    """What else a picture depends on, or is looked at by.

    Attributes:
        critic: id of the CLIP that scores the looks of the finished picture and says where it lies in its space.
        text_clip: id of the CLIP that the model's text encoder belongs to; personalisation needs it.
        tastes: the aesthetic embeddings that the request names, by their digests.
        prompts: the pictures that it is guided by, as ``read_prompts`` gives them.
    """

    critic: str | None = None
    text_clip: str | None = None
    tastes: Mapping[str, AestheticEmbedding] = field(default_factory=dict)
    prompts: Mapping[str, Tensor] = field(default_factory=dict)


NO_EXTRAS = Extras()


def sample(
    request: ResolvedRequest, index: int, judge: str, extras: Extras = NO_EXTRAS
) -> Generator[Call, Any, Picture]:
    """Make picture ``index`` of a request.

    Args:
        request: what to make.
        index: which of its pictures; its seed is the request's seed plus this.
        judge: id of the CLIP that scores the picture.
        extras: what else it needs.

    Raises:
        JobFailedError: the latents, the picture or what a CLIP says of it is not finite; this is the picture's own
            doing, never that of others in its batch.
    """
    seed = request.seed + index
    noise_rng = torch.Generator().manual_seed(seed)
    facts: Facts = yield Describe(request.model)
    if index == 0:
        yield from note_cut_texts(request, extras.text_clip)
    context: Tensor = yield EncodeText(request.model, request.prompt)
    context = yield from _personalized(request, context, extras)
    if request.cfg_scale != 1:
        unconditional: Tensor = yield EncodeText(request.model, request.negative_prompt)
        context = torch.cat([context, unconditional])
    described: Tensor = yield EmbedText(judge, request.prompt)

    solver = SOLVERS[request.sampler](facts.scheduler_config, request.steps, request.schedule, request.eta)
    steering = yield from _steering(request, seed, solver, extras)
    shape = (
        1,
        facts.latent_channels,
        request.height // facts.latent_factor,
        request.width // facts.latent_factor,
    )
    latents = solver.initial(torch.randn(shape, generator=noise_rng, dtype=torch.float32))
    for number, step in enumerate(solver.steps):
        rounds = steering.rounds(number) if steering else 1
        if rounds > 1:
            solver.mark()
        for taken in range(rounds):
            if steering and taken:
                latents = solver.renoised(latents, step, steering.fresh_noise(latents))
            nudge: Nudge | None = None
            for stage, timestep in enumerate(step.timesteps):
                outputs: Tensor = yield Denoise(request.model, latents, timestep, context)
                prediction = Prediction(latents, timestep, context, outputs, request.cfg_scale)
                if stage == 0:
                    denoised = step.denoised(prediction.output, latents)
                    nudge = (yield from steering.nudge(number, prediction)) if steering else None
                latents = solver.advance(number, stage, latents, prediction.output, noise_rng)
            if nudge is not None:
                latents, denoised = (
                    solver.shifted(number, latents, nudge.shift),
                    denoised + nudge.displacement,
                )
        if not math.isfinite(latents.sum()):
            raise JobFailedError(f"the latents of picture {index} are not finite after step {number + 1}")
        yield Stepped()
        if (
            request.preview_every_steps
            and (number + 1) % request.preview_every_steps == 0
            and number + 1 < len(solver.steps)
        ):
            preview: Tensor = yield Decode(request.model, denoised)
            # An estimate may overflow the decoder where the picture itself does not: then there is nothing to show yet.
            if is_finite(preview):
                yield Preview(index, number + 1, preview)

    pixels: Tensor = yield Decode(request.model, latents)
    require_finite(pixels, f"picture {index}", after="decoding")
    if request.select is not None and request.select.scorer != judge:
        judge = request.select.scorer
        described = yield EmbedText(judge, request.prompt)
    score: float = yield Score(judge, pixels, described)
    require_finite(score, f"the similarity of picture {index} to its prompt", after=f"scoring by {judge}")
    trace = steering.trace if steering else None
    if extras.critic is None:
        return Picture(index, seed, pixels, score, trace)
    sight: Sight = yield Look(extras.critic, pixels)
    require_finite(sight.embedding, f"the embedding of picture {index}", after=f"scoring by {extras.critic}")
    require_finite(
        sight.aesthetic_score, f"the aesthetic score of picture {index}", after=f"scoring by {extras.critic}"
    )
    direction = F.normalize(sight.embedding[0], dim=0)
    return Picture(index, seed, pixels, score, trace, sight.aesthetic_score, direction)


def _personalized(request: ResolvedRequest, context: Tensor, extras: Extras) -> Generator[Call, Any, Tensor]:
    """The context [1, L, D] after aesthetic gradients; of the prompt alone, never of the negative prompt."""
    asked = request.personalization
    if asked is None or asked.steps == 0 or asked.weight == 0:
        return context
    if extras.text_clip is None:
        raise NoImageTowerError(
            f"model {request.model!r} cannot be personalised: the catalog names no CLIP for it"
        )
    taste = extras.tastes[asked.digest]
    require_clip(taste, extras.text_clip, name=asked.embedding)
    tuning = Tuning(asked.digest, asked.steps, asked.lr, asked.text, asked.text_angle, asked.text_negative)
    tuned: Tensor | Fitting | None = None
    while not isinstance(tuned, Tensor):
        tuned = yield Personalize(
            request.model, extras.text_clip, request.prompt, taste.direction, tuning, tuned
        )
    mixed = blended(context.float().cpu(), tuned, asked.weight, asked.blend).to(context)
    require_finite(mixed, "the personalised prompt", after=f"blending by {asked.blend}")
    return mixed


def _steering(
    request: ResolvedRequest, seed: int, solver: Solver, extras: Extras
) -> Generator[Call, Any, Steering | None]:
    """The picture's guidance, if there is to be any."""
    guidance = request.guidance
    if guidance is None or guidance.scale == 0:
        return None
    return Steering(
        guidance,
        (yield from take_aim(guidance, extras.tastes, extras.prompts)),
        solver.steps,
        model=request.model,
        size=(request.height, request.width),
        generator=torch.Generator().manual_seed((seed ^ GUIDANCE_STREAM) % 2**63),
    )
