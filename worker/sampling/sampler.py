"""The sampler of one picture: a generator that yields the model calls it needs and is sent their answers.

Progress, batching and cancellation belong to the caller, who may stop asking at any step.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jobs.errors import JobFailedError
from jobs.requests.request import ResolvedRequest
from worker.calls import Decode, Denoise
from worker.events import Preview, Stepped, Yield
from worker.facts import Facts, ModelFacts
from worker.latents import LatentState
from worker.pictures.picture import Picture
from worker.raster import Raster
from worker.sampling.clip_guidance import ClipGuidance, Update
from worker.sampling.conditioning import Conditions, condition
from worker.sampling.inputs import SamplerInputs
from worker.sampling.linear_run import LinearRun, linear_run
from worker.sampling.noise import Ahead, noise_stream
from worker.sampling.notes import note_cut_texts
from worker.sampling.prediction import Prediction
from worker.sampling.scoring import score
from worker.sampling.sources.first_noise import first_noise
from worker.sampling.sources.source import Source, filling, source_of
from worker.sampling.targets import embed_targets

# Guidance draws from a stream of its own, so that guided and unguided runs of one seed share their noise.
GUIDANCE_STREAM = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class _Sampling:
    """A picture on its way: its run, its conditions, its latents, its guidance and its fresh noise."""

    run: LinearRun
    source: Source
    conditions: Conditions
    state: LatentState
    guidance: ClipGuidance | None
    noise: Ahead[Tensor]


def sample(
    request: ResolvedRequest, index: int, facts: Facts, inputs: SamplerInputs
) -> Generator[Yield, Any, Picture]:
    """Make picture ``index`` of a request.

    Raises:
        JobFailedError: the latents, the picture or a score is not finite. The picture alone causes that, never another
            one of its batch.
    """
    if index == 0:
        yield from note_cut_texts(request, facts, inputs)
    sampling = yield from _begun(request, index, facts, inputs)
    earlier: Prediction | None = None
    for number in request.plan.indexes:
        prediction, update = yield from _step(request, sampling, number)
        # Read one step late, so that the device need not be waited for.
        _require_finite(earlier, index, number)
        earlier = prediction
        yield Stepped()
        if _shows(request, number):
            yield from _preview(request, index, number, sampling.run, prediction, update, inputs)
    decoded: Tensor = yield Decode(request.model, sampling.source.finished(sampling.state.x))
    _require_finite(earlier, index, len(sampling.run.steps))
    pixels = pasted(decoded, inputs)
    raster = Raster(pixels)  # leaves the device while the picture is scored there
    scores = yield from score(pixels, raster, request.words, index, facts, inputs)
    return Picture(
        index,
        request.seed_of(index),
        pixels,
        raster,
        scores.clip_score,
        sampling.guidance.trace if sampling.guidance else None,
        scores.aesthetic_score,
        scores.embedding,
    )


def _begun(
    request: ResolvedRequest, index: int, facts: Facts, inputs: SamplerInputs
) -> Generator[Yield, Any, _Sampling]:
    """The start of a picture: conditions, plan, guidance and the first latents."""
    model, seed = facts.models[request.model], request.seed_of(index)
    conditions = yield from condition(request, inputs)
    source = yield from source_of(request, model, inputs)
    run, shape = run_of(request, model.scheduler_config), _shape(request, model)
    guidance = yield from _clip_guidance(request, seed, run, shape, facts, inputs)
    rng = torch.Generator().manual_seed(seed)
    noise, filled = first_noise(request, index, shape, rng), filling(request, seed, shape)
    state = LatentState(run.coefficients, source.start(noise, run, model.device, filled))
    rounds = request.guidance.recurrences if request.guidance else 1
    draws = rounds * sum(call.draws for calls in run.calls for call in calls)
    return _Sampling(run, source, conditions, state, guidance, noise_stream(rng, shape, draws))


def run_of(request: ResolvedRequest, scheduler_config: dict[str, Any]) -> LinearRun:
    """The run of a request's pictures through a model's noise levels.

    Raises:
        ModelUnavailableError: no solver supports the model's prediction type.
    """
    plan = request.plan
    return linear_run(
        request.sampler, scheduler_config, plan.planned, request.schedule, request.eta, plan.first
    )


def _step(
    request: ResolvedRequest, sampling: _Sampling, number: int
) -> Generator[Yield, Any, tuple[Prediction, Update | None]]:
    """Take step ``number``, several times with recurrences: the first prediction of the last time, and the update."""
    run, state, guidance = sampling.run, sampling.state, sampling.guidance
    # By the noise level, as all times of a run.
    rows = sampling.conditions.at(number * request.steps // request.plan.planned)
    rounds = guidance.rounds(number) if guidance else 1
    if rounds > 1:
        state.mark()
    for taken in range(rounds):
        if guidance and taken:
            step = run.steps[number]
            forward = math.sqrt(step.beta) * guidance.fresh_noise()
            state.renoise(math.sqrt(step.alpha), forward)
        update: Update | None = None
        for call in run.calls[number]:
            noise = next(sampling.noise) if call.draws else None
            kept = sampling.source.kept(run.steps[number + call.stage], run.progress(number))
            prediction: Prediction = yield Denoise(request.model, state, rows, kept, noise)
            if call.stage == 0:
                first = prediction
                update = (yield from guidance.update(number, first)) if guidance else None
        if update is not None:
            state.shift(number, update.shift)
    return first, update


def _require_finite(prediction: Prediction | None, index: int, step: int) -> None:
    """Fail the job if the latents after a prediction are not finite.

    Raises:
        JobFailedError: they are not.
    """
    if prediction is not None and not prediction.is_finite:
        raise JobFailedError(f"the latents of picture {index} are not finite after step {step}")


def _shows(request: ResolvedRequest, number: int) -> bool:
    """Whether the estimate is shown after step ``number``: every ``preview_every_steps`` steps, but the last."""
    every, plan = request.preview_every_steps, request.plan
    done = number + 1 - plan.first
    return bool(every) and done % (every or 1) == 0 and done < plan.run


def _preview(
    request: ResolvedRequest,
    index: int,
    number: int,
    run: LinearRun,
    prediction: Prediction,
    update: Update | None,
    inputs: SamplerInputs,
) -> Generator[Yield, Any, None]:
    """Decode and show the estimate of step ``number``."""
    denoised = run.steps[number].denoised(prediction.output, prediction.x)
    if update is not None:
        denoised = denoised + update.displacement
    pixels: Tensor = yield Decode(request.model, denoised)
    yield Preview(index, number + 1 - run.first, Raster(pasted(pixels, inputs)))


def pasted(pixels: Tensor, inputs: SamplerInputs) -> Tensor:
    """A picture [3, H, W] in [0, 1] as it is shown: pasted into what it is a part of, if it is one."""
    paste = inputs.canvas.paste if inputs.canvas else None
    return pixels if paste is None else paste.over(pixels)


def _shape(request: ResolvedRequest, model: ModelFacts) -> tuple[int, int, int, int]:
    """The shape of the latents."""
    factor = model.latent_factor
    return 1, model.latent_channels, request.height // factor, request.width // factor


def _clip_guidance(
    request: ResolvedRequest,
    seed: int,
    run: LinearRun,
    shape: tuple[int, int, int, int],
    facts: Facts,
    inputs: SamplerInputs,
) -> Generator[Yield, Any, ClipGuidance | None]:
    """The guidance of the picture; None without any."""
    guidance = request.guidance
    if guidance is None or guidance.scale == 0:
        return None
    return ClipGuidance(
        guidance,
        (yield from embed_targets(guidance, facts, inputs)),
        run.steps,
        first=run.first,
        model=request.model,
        size=(request.height, request.width),
        shape=shape,
        device=facts.models[request.model].device,
        generator=torch.Generator().manual_seed((seed ^ GUIDANCE_STREAM) % 2**63),
    )
