"""Generates one picture without an engine: for measurements and the documentation's pictures."""

from collections.abc import Generator
from typing import Any

from jobs.requests.request import ResolvedRequest
from worker.engine.plans import facts_of, refs_of
from worker.engine.runner import Runner
from worker.events import Yield
from worker.models.registry import ModelRegistry
from worker.pictures.picture import Picture
from worker.sampling.inputs import SamplerInputs
from worker.sampling.sampler import sample


def sampler_of(
    request: ResolvedRequest, models: ModelRegistry, inputs: SamplerInputs, index: int = 0
) -> Generator[Yield, Any, Picture]:
    """The sampler of one picture of a request. Loads its models.

    Raises:
        LodestarError: a model cannot be loaded.
    """
    return sample(request, index, facts_of(models, refs_of(request, inputs)), inputs)


def generate(request: ResolvedRequest, runner: Runner, inputs: SamplerInputs, index: int = 0) -> Picture:
    """Run the sampler of one picture of a request to its end, one call at a time.

    Raises:
        LodestarError: a call cannot be run.
    """
    sampler = sampler_of(request, runner.models, inputs, index)
    asked = next(sampler)
    while True:
        answer = runner.answer(asked)
        try:
            asked = sampler.send(answer)
        except StopIteration as end:
            picture: Picture = end.value
            return picture.on_cpu()
