"""One picture's algorithm, as a generator: it yields the model calls it needs and is sent their answers.

Progress, batching and cancellation belong to the caller, who may stop asking at any step.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jobs.errors import JobFailedError
from jobs.request import ResolvedRequest
from jobs.state import GuidedStep
from worker.calls import (
    Call,
    Decode,
    Denoise,
    Describe,
    EmbedText,
    EncodeText,
    Facts,
    Preview,
    Score,
    Stepped,
)
from worker.guidance.steering import Nudge, Steering, take_aim
from worker.prediction import Prediction
from worker.solvers import Solver

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


def sample(request: ResolvedRequest, index: int, judge: str) -> Generator[Call, Any, Picture]:
    """Make picture ``index`` of a request.

    Args:
        request: what to make.
        index: which of its pictures; its seed is the request's seed plus this.
        judge: id of the CLIP that scores the picture.

    Raises:
        JobFailedError: the latents overflowed; this is the picture's own doing, never that of others in its batch.
    """
    seed = request.seed + index
    noise_rng = torch.Generator().manual_seed(seed)
    facts: Facts = yield Describe(request.model)
    context: Tensor = yield EncodeText(request.model, request.prompt)
    if request.cfg_scale != 1:
        unconditional: Tensor = yield EncodeText(request.model, request.negative_prompt)
        context = torch.cat([context, unconditional])
    described: Tensor = yield EmbedText(judge, request.prompt)

    solver = Solver(request.sampler, facts.scheduler_config, request.steps)
    steering = yield from _steering(request, seed, solver)
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
                latents, denoised = solver.shifted(latents, nudge.shift, step), denoised + nudge.displacement
        if not math.isfinite(latents.sum()):
            raise JobFailedError(f"the latents of picture {index} are not finite after step {number + 1}")
        yield Stepped()
        if (
            request.preview_every
            and (number + 1) % request.preview_every == 0
            and number + 1 < len(solver.steps)
        ):
            preview: Tensor = yield Decode(request.model, denoised)
            yield Preview(index, number + 1, preview)

    pixels: Tensor = yield Decode(request.model, latents)
    score: float = yield Score(judge, pixels, described)
    return Picture(index, seed, pixels, score, steering.trace if steering else None)


def _steering(request: ResolvedRequest, seed: int, solver: Solver) -> Generator[Call, Any, Steering | None]:
    """The picture's guidance, if there is to be any."""
    guidance = request.guidance
    if guidance is None or guidance.scale == 0:
        return None
    return Steering(
        guidance,
        (yield from take_aim(guidance)),
        solver.steps,
        model=request.model,
        size=(request.height, request.width),
        generator=torch.Generator().manual_seed((seed ^ GUIDANCE_STREAM) % 2**63),
    )
