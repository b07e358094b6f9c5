"""Interrupts pictures between two steps, and goes on with them elsewhere, by hand."""

from collections.abc import Iterator
from typing import Any

import torch

from jobs.requests.request import ResolvedRequest
from worker.engine.plans import facts_of, plan
from worker.engine.runner import Runner
from worker.events import Stepped
from worker.models.registry import ModelRegistry
from worker.pictures.inputs import Inputs
from worker.pictures.picture import Picture
from worker.states.files import dump, file_name, read
from worker.states.state import JobState, PictureState

NOTHING = Inputs()


def through_a_file(*states: PictureState) -> JobState:
    """The states as another worker reads them."""
    data = dump(JobState(fit="", models="", unfinished=states))
    return read(data, file_name(data))


def states_of(
    runner: Runner, request: ResolvedRequest, inputs: Inputs, was: JobState | None = None
) -> Iterator[PictureState | Picture]:
    """The state of a request's first picture after each step, and the picture at last; one call at a time."""
    planned = plan(request, inputs, runner.models.catalog)
    sampler, _ = next(planned.samplers(facts_of(runner.models, planned.refs), was))
    answer: Any = None
    while True:
        try:
            asked = sampler.send(answer)
        except StopIteration as end:
            yield end.value.on_cpu()
            return
        answer = runner.answer(asked)
        if isinstance(asked, Stepped):
            assert asked.state is not None
            yield asked.state()


def goes_on_alike(models: ModelRegistry, request: ResolvedRequest, inputs: Inputs = NOTHING) -> None:
    """Make a picture at once, and by as many engines as it has steps, each of which takes one of them."""
    *states, whole = states_of(Runner(models), request, inputs)
    assert len(states) == request.steps_run
    was: JobState | None = None
    for number in range(1, request.steps_run + 1):
        state = next(states_of(Runner(models), request, inputs, was))
        assert isinstance(state, PictureState)
        assert state.steps == number
        was = through_a_file(state)
    (picture,) = states_of(Runner(models), request, inputs, was)
    assert isinstance(picture, Picture)
    assert isinstance(whole, Picture)
    assert torch.equal(picture.pixels, whole.pixels)
    assert (picture.trace, picture.clip_score) == (whole.trace, whole.clip_score)
