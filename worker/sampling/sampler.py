"""The sampler of one picture: a generator that yields the model calls it needs and is sent their answers.

Progress, batching and cancellation belong to the caller, who may stop asking at any step. After each step it may take
the picture's state, and have another sampler go on from there.
"""

from collections.abc import Generator
from typing import Any

from jobs.requests.request import ResolvedRequest
from worker.events import Yield
from worker.facts import Facts
from worker.pictures.picture import Picture
from worker.sampling.conditions.denoising import denoising_of
from worker.sampling.inputs import SamplerInputs
from worker.sampling.notes import note_cut_texts
from worker.sampling.passes import Course, Taken, take
from worker.sampling.prediction import require_finite
from worker.sampling.resampling.particle import particle_of
from worker.sampling.scoring import drawn, score
from worker.sampling.sources.second_pass import source_of_second_pass
from worker.sampling.sources.source import source_of
from worker.sampling.targets import embed_targets
from worker.states.state import PictureState


def sample(
    request: ResolvedRequest,
    index: int,
    facts: Facts,
    inputs: SamplerInputs,
    state: PictureState | None = None,
) -> Generator[Yield, Any, Picture]:
    """Make picture ``index`` of a request.

    Args:
        request: of the job.
        index: of the picture.
        facts: of the models.
        inputs: of the job.
        state: of the same picture, to go on from; None starts it.

    Raises:
        JobFailedError: the latents, the picture or a score is not finite. The picture alone causes that, never another
            one of its batch.
    """
    if index == 0:
        yield from note_cut_texts(request, facts, inputs)
    model = facts.models[request.model]
    denoising = yield from denoising_of(request, index, facts, inputs)
    source = yield from source_of(request, model, inputs)
    guidance = request.guidance if request.guidance and request.guidance.scale else None
    targets = None if guidance is None else (yield from embed_targets(guidance, facts, inputs))
    course = Course(request, index, model, inputs, denoising, targets, particle_of(request, index))
    taken, at = Taken(), None if state is None else state.at
    if state is not None and state.latents is not None:
        taken = Taken(1, request.plan, state.latents.to(model.device), None, state.trace)
    for part in request.passes[taken.number :]:
        if taken.latents is not None and request.hires is not None:
            require_finite(taken.prediction, index, request.plan.planned)
            source = yield from source_of_second_pass(request, request.hires, taken.latents, model)
        taken, at = (yield from take(course, part, source, taken, at)), None
    assert taken.latents is not None
    picture = yield from drawn(request.model, taken.latents, inputs)
    require_finite(taken.prediction, index, sum(each.plan.planned for each in request.passes))
    scores = yield from score(picture, request.words, index, facts, inputs)
    return Picture(
        index,
        request.seed_of(index),
        picture.pixels,
        picture.raster,
        scores.clip_score,
        taken.trace if guidance is not None and guidance.trace else None,
        scores.aesthetic_score,
        scores.embedding,
    )
