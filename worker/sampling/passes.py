"""A pass of a picture through its noise levels, step by step: from its start, or from the state that another left."""

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jobs.requests.request import ResolvedRequest
from jobs.requests.start.plan import Pass, StepPlan
from jobs.status.job import GuidedStep
from worker.calls import Decode, Denoise
from worker.events import Preview, Stepped, Yield
from worker.facts import ModelFacts
from worker.latents import LatentState
from worker.raster import Raster
from worker.sampling.clip_guidance import ClipGuidance, Update
from worker.sampling.conditions.denoising import Denoising
from worker.sampling.inputs import SamplerInputs
from worker.sampling.linear_run import LinearRun
from worker.sampling.noise import Ahead, noise_stream
from worker.sampling.prediction import Prediction, require_finite
from worker.sampling.resampling.particle import Particle
from worker.sampling.scoring import pasted
from worker.sampling.sources.first_noise import first_noise
from worker.sampling.sources.source import Source, filling
from worker.sampling.step import Step
from worker.sampling.targets import Targets
from worker.states.memory import parts_of, put_back
from worker.states.state import PassState, PictureState

# Guidance draws from a stream of its own, so that guided and unguided runs of one seed share their noise.
GUIDANCE_STREAM = 0x9E3779B97F4A7C15
NO_STEPS = StepPlan(0)


@dataclass(frozen=True)
class Course:
    """What all passes of a picture share.

    Attributes:
        request: of the job.
        index: of the picture.
        model: that makes it.
        inputs: of the job.
        denoising: the models that denoise, with their conditions.
        targets: of guidance; None without any.
        particle: where candidates are drawn anew; else None.
    """

    request: ResolvedRequest
    index: int
    model: ModelFacts
    inputs: SamplerInputs
    denoising: Denoising
    targets: Targets | None
    particle: Particle | None


@dataclass(frozen=True, eq=False)
class Taken:
    """The passes that are done.

    Attributes:
        number: of them.
        plan: their steps.
        latents: that the last one ends with, [1, C, h, w]; None before the first.
        prediction: its last one; None before the first, and where another worker took it, which found it finite.
        trace: their guided steps.
    """

    number: int = 0
    plan: StepPlan = NO_STEPS
    latents: Tensor | None = None
    prediction: Prediction | None = None
    trace: tuple[GuidedStep, ...] = ()


@dataclass(frozen=True)
class _Sampling:
    """A pass on its way: its models, its run, its latents, its guidance and its fresh noise."""

    denoising: Denoising
    run: LinearRun
    source: Source
    state: LatentState
    guidance: ClipGuidance | None
    noise: Ahead[Tensor]


def take(
    course: Course, part: Pass, source: Source, before: Taken, state: PassState | None = None
) -> Generator[Yield, Any, Taken]:
    """Take the steps of a pass.

    Args:
        course: of the picture.
        part: the pass.
        source: where it starts.
        before: the passes before it.
        state: to go on from; None starts the pass.

    Raises:
        JobFailedError: the latents are not finite.
    """
    request, index = course.request, course.index
    denoising = yield from course.denoising.of_pass(part, course.inputs)
    sampling = _begun(course, denoising, part, source, state)
    earlier: Prediction | None = None
    for number in part.plan.indexes[0 if state is None else state.steps :]:
        prediction, update = yield from _step(course, sampling, number)
        # Read one step late, so that the device need not be waited for.
        require_finite(earlier, index, before.plan.planned + number)
        earlier = prediction
        done = number + 1 - part.plan.first
        yield Stepped(_point(course, sampling, before, done, prediction))
        if course.particle is not None and not before.number and course.particle.is_due(number):
            estimate = prediction.estimate(
                sampling.run.steps[number], None if update is None else update.displacement
            )
            yield from course.particle.meet(number, estimate, sampling.state, course.inputs)
        if _shows(request, before.plan.run + done):
            yield from _preview(
                course, sampling.run.steps[number], before.plan.run + done, prediction, update
            )
    trace = (sampling.guidance and sampling.guidance.trace) or ()
    counted = (step.model_copy(update={"step": before.plan.planned + step.step}) for step in trace)
    latents = source.finished(sampling.state.x)
    return Taken(before.number + 1, part.plan, latents, earlier, (*before.trace, *counted))


def _point(
    course: Course, sampling: _Sampling, before: Taken, done: int, prediction: Prediction
) -> Callable[[], PictureState] | None:
    """Gives the state after ``done`` steps; None for a particle, whose group would have to be taken along."""
    if course.particle is not None:
        return None
    state, used = sampling.state, sampling.noise.used
    guided = None if sampling.guidance is None else sampling.guidance.point()

    def give() -> PictureState:
        require_finite(prediction, course.index, before.plan.planned + sampling.run.first + done)
        return PictureState(
            index=course.index,
            steps=before.plan.run + done,
            at=PassState(
                number=before.number,
                steps=done,
                call=state.call,
                parts=parts_of(state),
                noise=used,
                guidance=None if guided is None else guided(),
            ),
            latents=before.latents,
            trace=before.trace,
        )

    return give


def _begun(
    course: Course, denoising: Denoising, part: Pass, source: Source, was: PassState | None
) -> _Sampling:
    """The start of a pass: plan, guidance and the first latents. Each has the noise of the seed at its own size."""
    request, index, model = course.request, course.index, course.model
    seed, run = request.seed_of(index), denoising.run(part.plan)
    factor = model.latent_factor
    shape = 1, model.latent_channels, part.height // factor, part.width // factor
    guidance = _clip_guidance(course, part, run, shape, was)
    rng = torch.Generator().manual_seed(seed)
    noise, filled = first_noise(request, index, shape, rng), filling(request, seed, shape)
    state = LatentState(run.coefficients, source.start(noise, run, model.device, filled))
    if was is not None:
        put_back(state, was.parts, was.call)
    rounds = request.guidance.recurrences if request.guidance else 1
    draws = rounds * sum(call.draws for calls in run.calls for call in calls)
    fresh = noise_stream(rng, shape, draws, 0 if was is None else was.noise)
    return _Sampling(denoising, run, source, state, guidance, fresh)


def _step(
    course: Course, sampling: _Sampling, number: int
) -> Generator[Yield, Any, tuple[Prediction, Update | None]]:
    """Take step ``number``, several times with recurrences: the first prediction of the last time, and the update."""
    run, state, guidance = sampling.run, sampling.state, sampling.guidance
    denoising = sampling.denoising.of_step(number, run)
    model = denoising.request.model
    # By the noise level, as all times of a run.
    rows = denoising.conditions.at(number * course.request.steps // len(run.steps))
    # From more noise there is no way back to less.
    rounds = guidance.rounds(number) if guidance and not run.steps[number].goes_up else 1
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


def _shows(request: ResolvedRequest, done: int) -> bool:
    """Whether the estimate is shown when so many steps are done: every ``preview_every_steps``, but at the end."""
    every = request.preview_every_steps
    return bool(every) and done % (every or 1) == 0 and done < request.steps_run


def _preview(
    course: Course, step: Step, done: int, prediction: Prediction, update: Update | None
) -> Generator[Yield, Any, None]:
    """Decode and show the estimate of a step."""
    estimate = prediction.estimate(step, None if update is None else update.displacement)
    pixels: Tensor = yield Decode(course.request.model, estimate)
    yield Preview(course.index, done, Raster(pasted(pixels, course.inputs)))


def _clip_guidance(
    course: Course, part: Pass, run: LinearRun, shape: tuple[int, int, int, int], was: PassState | None
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
        state=None if was is None else was.guidance,
    )
