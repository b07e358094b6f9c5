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
from jobs.requests.start.plan import Pass, StepPlan
from jobs.status.job import GuidedStep
from worker.calls import Decode, Denoise
from worker.events import Preview, Stepped, Yield
from worker.facts import Facts, ModelFacts
from worker.latents import LatentState
from worker.pictures.picture import Picture
from worker.raster import Raster
from worker.sampling.clip_guidance import ClipGuidance, Update
from worker.sampling.conditions.denoising import Denoising, denoising_of
from worker.sampling.inputs import SamplerInputs
from worker.sampling.linear_run import LinearRun, linear_run
from worker.sampling.noise import Ahead, noise_stream
from worker.sampling.notes import note_cut_texts
from worker.sampling.prediction import Prediction
from worker.sampling.scoring import drawn, pasted, score
from worker.sampling.sources.first_noise import first_noise
from worker.sampling.sources.second_pass import source_of_second_pass
from worker.sampling.sources.source import Source, filling, source_of
from worker.sampling.step import Step
from worker.sampling.targets import Targets, embed_targets

# Guidance draws from a stream of its own, so that guided and unguided runs of one seed share their noise.
GUIDANCE_STREAM = 0x9E3779B97F4A7C15
NO_STEPS = StepPlan(0)


@dataclass(frozen=True)
class _Course:
    """What all passes of a picture share.

    Attributes:
        request: of the job.
        index: of the picture.
        model: that makes it.
        inputs: of the job.
        denoising: the models that denoise, with their conditions.
        targets: of guidance; None without any.
    """

    request: ResolvedRequest
    index: int
    model: ModelFacts
    inputs: SamplerInputs
    denoising: Denoising
    targets: Targets | None


@dataclass(frozen=True)
class _Sampling:
    """A pass on its way: its models, its run, its latents, its guidance and its fresh noise."""

    denoising: Denoising
    run: LinearRun
    source: Source
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
    model = facts.models[request.model]
    denoising = yield from denoising_of(request, facts, inputs)
    source = yield from source_of(request, model, inputs)
    guidance = request.guidance if request.guidance and request.guidance.scale else None
    targets = None if guidance is None else (yield from embed_targets(guidance, facts, inputs))
    course = _Course(request, index, model, inputs, denoising, targets)
    latents, last, trace = yield from _pass(course, request.passes[0], source)
    if request.hires is not None:
        _require_finite(last, index, request.plan.planned)
        source = yield from source_of_second_pass(request, request.hires, latents, model)
        latents, last, more = yield from _pass(course, request.passes[1], source, request.plan)
        trace = (*trace, *more)
    picture = yield from drawn(request.model, latents, inputs)
    _require_finite(last, index, sum(each.plan.planned for each in request.passes))
    scores = yield from score(picture, request.words, index, facts, inputs)
    return Picture(
        index,
        request.seed_of(index),
        picture.pixels,
        picture.raster,
        scores.clip_score,
        trace if guidance is not None and guidance.trace else None,
        scores.aesthetic_score,
        scores.embedding,
    )


def _pass(
    course: _Course, part: Pass, source: Source, before: StepPlan = NO_STEPS
) -> Generator[Yield, Any, tuple[Tensor, Prediction | None, tuple[GuidedStep, ...]]]:
    """Take the steps of a pass: the latents that it ends with, its last prediction, and its guided steps.

    Args:
        course: of the picture.
        part: the pass.
        source: where it starts.
        before: the steps of the pass before it.
    """
    request, index = course.request, course.index
    denoising = yield from course.denoising.of_pass(part, course.inputs)
    sampling = _begun(course, denoising, part, source)
    earlier: Prediction | None = None
    for number in part.plan.indexes:
        prediction, update = yield from _step(course, sampling, number)
        # Read one step late, so that the device need not be waited for.
        _require_finite(earlier, index, before.planned + number)
        earlier = prediction
        yield Stepped()
        if _shows(request, done := before.run + number + 1 - part.plan.first):
            yield from _preview(course, sampling.run.steps[number], done, prediction, update)
    trace = (sampling.guidance and sampling.guidance.trace) or ()
    counted = (step.model_copy(update={"step": before.planned + step.step}) for step in trace)
    return source.finished(sampling.state.x), earlier, tuple(counted)


def _begun(course: _Course, denoising: Denoising, part: Pass, source: Source) -> _Sampling:
    """The start of a pass: plan, guidance and the first latents. Each has the noise of the seed at its own size."""
    request, index, model = course.request, course.index, course.model
    seed, run = request.seed_of(index), run_of(request, part.plan, model.levels)
    factor = model.latent_factor
    shape = 1, model.latent_channels, part.height // factor, part.width // factor
    guidance = _clip_guidance(course, part, run, shape)
    rng = torch.Generator().manual_seed(seed)
    noise, filled = first_noise(request, index, shape, rng), filling(request, seed, shape)
    state = LatentState(run.coefficients, source.start(noise, run, model.device, filled))
    rounds = request.guidance.recurrences if request.guidance else 1
    draws = rounds * sum(call.draws for calls in run.calls for call in calls)
    return _Sampling(denoising, run, source, state, guidance, noise_stream(rng, shape, draws))


def run_of(request: ResolvedRequest, plan: StepPlan, levels: dict[str, Any]) -> LinearRun:
    """A run of a request's pictures through a model's noise levels.

    Raises:
        ModelUnavailableError: no solver supports the model's prediction type.
    """
    return linear_run(request.sampler, levels, plan.planned, request.schedule, request.eta, plan.first)


def _step(
    course: _Course, sampling: _Sampling, number: int
) -> Generator[Yield, Any, tuple[Prediction, Update | None]]:
    """Take step ``number``, several times with recurrences: the first prediction of the last time, and the update."""
    run, state, guidance = sampling.run, sampling.state, sampling.guidance
    denoising = sampling.denoising.of_step(number, run)
    model = denoising.request.model
    # By the noise level, as all times of a run.
    rows = denoising.conditions.at(number * course.request.steps // len(run.steps))
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
            kept = sampling.source.kept(call.level, run.progress(number))
            prediction: Prediction = yield Denoise(
                model, state, rows, kept, noise, course.request.guidance_rescale
            )
            if call.stage == 0:
                first = prediction
                update = (yield from guidance.update(number, first, model)) if guidance else None
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


def _shows(request: ResolvedRequest, done: int) -> bool:
    """Whether the estimate is shown when so many steps are done: every ``preview_every_steps``, but at the end."""
    every = request.preview_every_steps
    return bool(every) and done % (every or 1) == 0 and done < request.steps_run


def _preview(
    course: _Course, step: Step, done: int, prediction: Prediction, update: Update | None
) -> Generator[Yield, Any, None]:
    """Decode and show the estimate of a step."""
    denoised = step.denoised(prediction.output, prediction.x)
    if update is not None:
        denoised = denoised + update.displacement
    pixels: Tensor = yield Decode(course.request.model, denoised)
    yield Preview(course.index, done, Raster(pasted(pixels, course.inputs)))


def _clip_guidance(
    course: _Course, part: Pass, run: LinearRun, shape: tuple[int, int, int, int]
) -> ClipGuidance | None:
    """The guidance of a pass; None without any."""
    request = course.request
    if request.guidance is None or course.targets is None:
        return None
    seed = (request.seed_of(course.index) ^ GUIDANCE_STREAM) % 2**63
    return ClipGuidance(
        request.guidance,
        course.targets,
        run.steps,
        first=run.first,
        model=request.model,
        size=(part.height, part.width),
        shape=shape,
        device=course.model.device,
        generator=torch.Generator().manual_seed(seed),
    )
