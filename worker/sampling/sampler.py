"""The sampler of one picture: a generator that yields the model calls it needs and is sent their answers.

Progress, batching and cancellation belong to the caller, who may stop asking at any step.
"""

import math
from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from jobs.errors import JobFailedError
from jobs.requests.request import ResolvedRequest
from worker.calls import Decode, Denoise, Preview, Stepped, Yield
from worker.facts import Facts, ModelFacts
from worker.finite import is_finite, require_finite
from worker.pictures.picture import Picture
from worker.sampling.clip_guidance import ClipGuidance, Update
from worker.sampling.conditioning import condition
from worker.sampling.inputs import SamplerInputs
from worker.sampling.notes import note_cut_texts
from worker.sampling.prediction import Prediction
from worker.sampling.scoring import score
from worker.sampling.solvers.base import Solver
from worker.sampling.solvers.table import SOLVERS
from worker.sampling.step import Step
from worker.sampling.targets import embed_targets

# Guidance draws from a stream of its own, so that guided and unguided runs of one seed share their noise.
GUIDANCE_STREAM = 0x9E3779B97F4A7C15


def sample(
    request: ResolvedRequest, index: int, facts: Facts, inputs: SamplerInputs
) -> Generator[Yield, Any, Picture]:
    """Make picture ``index`` of a request; its seed is the request's seed plus ``index``.

    Raises:
        JobFailedError: the latents, the picture or a score is not finite. The picture alone causes that, never another
            one of its batch.
    """
    model, seed = facts.models[request.model], request.seed + index
    rng = torch.Generator().manual_seed(seed)
    if index == 0:
        yield from note_cut_texts(request, facts, inputs)
    context = yield from condition(request, inputs)
    solver = SOLVERS[request.sampler](model.scheduler_config, request.steps, request.schedule, request.eta)
    guidance = yield from _clip_guidance(request, seed, solver, facts, inputs)
    latents = solver.initial(torch.randn(_shape(request, model), generator=rng, dtype=torch.float32))
    for number in range(len(solver.steps)):
        latents, denoised = yield from _step(request, number, latents, context, solver, guidance, rng)
        if not math.isfinite(latents.sum()):
            raise JobFailedError(f"the latents of picture {index} are not finite after step {number + 1}")
        yield Stepped()
        if number + 1 < len(solver.steps):
            yield from _preview(request, index, number + 1, denoised)
    pixels: Tensor = yield Decode(request.model, latents)
    require_finite(pixels, f"picture {index}", after="decoding")
    scores = yield from score(pixels, request.prompt, index, facts, inputs)
    return Picture(
        index,
        seed,
        pixels,
        scores.clip_score,
        guidance.trace if guidance else None,
        scores.aesthetic_score,
        scores.embedding,
    )


def _step(
    request: ResolvedRequest,
    number: int,
    latents: Tensor,
    context: Tensor,
    solver: Solver,
    guidance: ClipGuidance | None,
    rng: torch.Generator,
) -> Generator[Yield, Any, tuple[Tensor, Tensor]]:
    """Take step ``number``, several times with recurrences: the latents after it, and the estimate x0 [1, C, h, w]."""
    step: Step = solver.steps[number]
    rounds = guidance.rounds(number) if guidance else 1
    if rounds > 1:
        solver.mark()
    for taken in range(rounds):
        if guidance and taken:
            latents = solver.renoised(latents, step, guidance.fresh_noise(latents))
        update: Update | None = None
        for stage, timestep in enumerate(step.timesteps):
            outputs: Tensor = yield Denoise(request.model, latents, timestep, context)
            prediction = Prediction(latents, timestep, context, outputs, request.cfg_scale)
            if stage == 0:
                denoised = step.denoised(prediction.output, latents)
                update = (yield from guidance.update(number, prediction)) if guidance else None
            noise = torch.randn(latents.shape, generator=rng) if solver.draws(number, stage) else None
            latents = solver.advance(number, stage, latents, prediction.output, noise)
        if update is not None:
            latents = solver.shifted(number, latents, update.shift)
            denoised = denoised + update.displacement
    return latents, denoised


def _preview(
    request: ResolvedRequest, index: int, step: int, denoised: Tensor
) -> Generator[Yield, Any, None]:
    """Decode and show the estimate after every ``preview_every_steps`` steps."""
    if not request.preview_every_steps or step % request.preview_every_steps:
        return
    pixels: Tensor = yield Decode(request.model, denoised)
    # An estimate may overflow the decoder where the picture itself does not: then there is nothing to show yet.
    if is_finite(pixels):
        yield Preview(index, step, pixels)


def _shape(request: ResolvedRequest, model: ModelFacts) -> tuple[int, int, int, int]:
    """The shape of the latents."""
    factor = model.latent_factor
    return 1, model.latent_channels, request.height // factor, request.width // factor


def _clip_guidance(
    request: ResolvedRequest, seed: int, solver: Solver, facts: Facts, inputs: SamplerInputs
) -> Generator[Yield, Any, ClipGuidance | None]:
    """The guidance of the picture; None without any."""
    guidance = request.guidance
    if guidance is None or guidance.scale == 0:
        return None
    return ClipGuidance(
        guidance,
        (yield from embed_targets(guidance, facts, inputs)),
        solver.steps,
        model=request.model,
        size=(request.height, request.width),
        generator=torch.Generator().manual_seed((seed ^ GUIDANCE_STREAM) % 2**63),
    )
