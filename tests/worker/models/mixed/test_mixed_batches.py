"""Jobs of all kinds at random in one engine: each picture is what it is alone, and no module remembers any of them."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.resolve.request import resolve
from tests.brought_pictures import scene
from tests.worker.models.adapters.conftest import PX
from tests.worker.models.mixed.kinds import MAP, OTHER, PART, START, jobs
from tests.worker.running import TOLERANCE, Running, pictures
from worker.engine.runner import Runner
from worker.engine.solo import generate
from worker.engine.work import Work
from worker.models.loader import Ref
from worker.models.registry import ModelRegistry
from worker.pictures.edits import edits_for
from worker.pictures.hints import hints_for
from worker.pictures.inputs import Inputs
from worker.pictures.masking import canvas_for
from worker.pictures.squares import squares_for
from worker.sampling.inputs import SamplerInputs

MIXTURES = 8  # beside one job of each kind alone

LEVELS = {
    name: torch.randint(0, 256, (3, PX, PX), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    for seed, name in enumerate((MAP, OTHER))
}
LEVELS[START] = torch.from_numpy(np.array(scene(PX, PX))).permute(2, 0, 1)
LEVELS[PART] = torch.zeros(3, PX, PX, dtype=torch.uint8)
LEVELS[PART][:, :, : PX // 2] = 255


def inputs_of(request: ResolvedRequest) -> Inputs:
    canvas = canvas_for(request, LEVELS)
    return Inputs(
        canvas=canvas,
        hints=hints_for(request, LEVELS, canvas),
        image_prompts=squares_for(request, LEVELS),
        edits=edits_for(request, LEVELS, canvas),
    )


def alone(request: ResolvedRequest, models: ModelRegistry) -> Tensor:
    inputs = inputs_of(request)
    told = SamplerInputs(
        "pocket-m",
        canvas=inputs.canvas,
        hints=inputs.hints,
        image_prompts=inputs.image_prompts,
        edits=inputs.edits,
    )
    return generate(request, Runner(models), told).pixels


def together(requests: list[ResolvedRequest], models: ModelRegistry) -> list[Tensor]:
    """Their pictures, from one engine."""
    running = Running(models)
    for number, request in enumerate(requests):
        running.engine.admit(Work(str(number), request, inputs_of(request)))
    outcomes = running.wait_for(*(str(number) for number in range(len(requests))))
    running.stop()
    return [pictures(outcome)[0] for outcome in outcomes]


def state_of(models: ModelRegistry, refs: Iterable[Ref]) -> Iterator[tuple[Any, ...]]:
    """What the modules of models in memory are: classes, modes, hooks, attributes, tensors."""
    for ref in refs:
        for number, network in enumerate(models._resident[ref].model.networks):
            for name, module in network.named_modules():
                hooks = [len(value) for key, value in vars(module).items() if key.endswith("_hooks")]
                yield ref, number, name, type(module), module.training, hooks, sorted(vars(module))
            yield from (
                (ref, number, name, tensor.data_ptr(), tensor._version, float(tensor.double().sum()))
                for name, tensor in _tensors(network)
            )


def _tensors(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from network.named_parameters()
    yield from network.named_buffers()


@pytest.mark.parametrize("seed", [0, 1])
def test_a_random_batch_is_what_its_jobs_are_alone(seed: int, mixed: ModelRegistry) -> None:
    requests = [
        resolve(GenerateRequest.model_validate(fields), mixed.catalog) for fields in jobs(seed, MIXTURES)
    ]
    expected = [alone(request, mixed) for request in requests]
    refs = list(mixed._resident)
    before = list(state_of(mixed, refs))
    found = together(requests, mixed)
    assert max(map(len, mixed.diffusion("tiny")._rows._latest._known)) > 1  # they met
    for request, one, other in zip(requests, expected, found, strict=True):
        assert torch.allclose(one, other, atol=TOLERANCE), request
    assert list(state_of(mixed, refs)) == before
    again = [alone(request, mixed) for request in requests]
    assert all(torch.equal(one, other) for one, other in zip(expected, again, strict=True))
