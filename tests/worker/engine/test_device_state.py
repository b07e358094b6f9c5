"""Latents stay on the device: a whole batch moves on at once, and nothing is read in between."""

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from jobs.requests.request import ResolvedRequest
from jobs.requests.samplers import SamplerName
from tests.worker import reference
from tests.worker.models.predicting import pocket_of
from tests.worker.running import Running
from worker.calls import Call, Decode, Denoise
from worker.engine import batches
from worker.engine.runner import Runner
from worker.engine.solo import generate, sampler_of
from worker.engine.work import Finished, Work
from worker.events import Event, Yield
from worker.latents import LatentState, advanced, calls_of, gathered, move_on
from worker.models.networks.network import UNetOutput
from worker.models.registry import ModelRegistry
from worker.patterns import Coefficients
from worker.pictures.picture import Picture
from worker.readback import Readback
from worker.sampling import passes
from worker.sampling.inputs import SamplerInputs
from worker.sampling.linear_run import linear_run
from worker.sampling.solvers.table import SOLVERS

Ask = Callable[..., ResolvedRequest]
READS = {"_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal", "allclose", "tolist"}
GUIDANCES: tuple[dict[str, Any] | None, ...] = (
    None,
    {"cutouts": 2},
    {"preset": "freedom", "recurrences": 2, "cutouts": 2},
)


DRAWS = {
    "rand",
    "randn",
    "normal_",
    "uniform_",
    "random_",
    "randint",
    "bernoulli_",
    "randperm",
    "exponential_",
}


class DrawingError(Exception):
    """Random numbers were drawn."""


class ReadingError(Exception):
    """A value was read from the device."""


class NoReading(TorchDispatchMode):
    """Raises where a value would have to come from the device before the next operation can start."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func._schema.name.removeprefix("aten::") in READS:
            raise ReadingError(func._schema.name)
        return func(*args, **(kwargs or {}))


class NoDrawing(TorchDispatchMode):
    """Raises where this thread would draw random numbers."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func._schema.name.removeprefix("aten::") in DRAWS:
            raise DrawingError(func._schema.name)
        return func(*args, **(kwargs or {}))


def test_drawing_is_noticed() -> None:
    with NoDrawing(), pytest.raises(DrawingError):
        torch.rand(3)
    with NoDrawing(), pytest.raises(DrawingError):
        torch.empty(3).normal_()


def steps_of(
    sampler: Generator[Yield, Any, Picture], runner: Runner, guard: AbstractContextManager[Any]
) -> int:
    """Run a picture to its last step, and guard all from its second step on; the number of calls guarded."""
    asked, denoised, guarded = next(sampler), 0, 0
    while not isinstance(asked, Decode):
        denoised += isinstance(asked, Denoise)
        if denoised < 2:  # the memory of a new kind of batch is measured
            asked = sampler.send(runner.answer(asked))
            continue
        with guard:
            asked = sampler.send(runner.answer(asked))
        guarded += 1
    sampler.close()
    return guarded


@pytest.mark.parametrize("name", ["laion", "disco", "freedom", "tfg"])
def test_guided_steps_draw_nothing_on_the_engine_s_thread(name: str, tiny: ModelRegistry, ask: Ask) -> None:
    guidance = {"preset": name, "cutouts": 2, "start": 0.0, "end": 1.0, "recurrences": 2}
    request = ask(sampler="dpmpp_2m_sde", steps=3, guidance=guidance)
    guided = sampler_of(request, tiny, SamplerInputs("pocket-m"))
    assert steps_of(guided, Runner(tiny), NoDrawing()) > 4


def test_reading_is_noticed() -> None:
    with NoReading(), pytest.raises(ReadingError):
        float(torch.ones(3).sum())


def test_unguided_steps_read_nothing_from_the_device(
    models: ModelRegistry, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The network itself, as on CUDA. A trace, which is for a CPU alone, does not run under the mode that notices.
    pocket = pocket_of(models)
    monkeypatch.setattr(pocket, "_network", UNetOutput(pocket._unet))
    runner = Runner(models)
    pictures = [ask(sampler=name, steps=8, seed=seed) for seed, name in enumerate(SamplerName)]
    pictures += [ask(cfg_scale=1, steps=8), ask(cfg_scale=0, steps=8)]
    samplers = [sampler_of(request, models, SamplerInputs("pocket-m")) for request in pictures]
    waiting: list[Denoise] = []
    for each in samplers:
        asked = next(each)
        while not isinstance(asked, Denoise):
            asked = each.send(runner.answer(asked))
        waiting.append(asked)
    runner.run(waiting)  # the memory of a new kind of batch is measured
    for _ in range(4):
        with NoReading():
            answers = batches.denoise(waiting, models)
            following = []
            for each, answer in zip(samplers, answers, strict=True):
                asked = each.send(answer)
                while isinstance(asked, Event):
                    asked = each.send(None)
                assert isinstance(asked, Denoise)
                following.append(asked)
            waiting = following


@pytest.mark.parametrize("guidance", GUIDANCES, ids=["unguided", "denoised", "noisy and repeated"])
@pytest.mark.parametrize("name", list(SamplerName))
def test_a_batch_moves_on_as_each_solver_would_by_itself(
    name: SamplerName,
    guidance: dict[str, Any] | None,
    tiny: ModelRegistry,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    request = ask(sampler=name, steps=6, guidance=guidance)
    batched = generate(request, Runner(tiny), SamplerInputs("pocket-m")).pixels
    config = tiny.diffusion("pocket").facts.scheduler_config
    run = linear_run(request.sampler, config, request.steps, request.schedule, request.eta)

    def alone(coefficients: Coefficients, x: torch.Tensor) -> reference.ReferenceState:
        assert coefficients is run.coefficients
        solver = SOLVERS[request.sampler](config, request.steps, request.schedule, request.eta)
        return reference.ReferenceState(solver, run, x)

    monkeypatch.setattr(passes, "LatentState", alone)
    kind: type[Call] = Denoise
    monkeypatch.setitem(batches.BATCHES, kind, reference.denoise)
    by_itself = generate(request, Runner(tiny), SamplerInputs("pocket-m")).pixels
    assert (batched - by_itself).abs().max() < 2e-3


def test_a_picture_has_the_same_latents_whatever_shares_its_batch(models: ModelRegistry, ask: Ask) -> None:
    """Bit for bit, for the outputs of a network that gives each row the same bits."""
    config = models.diffusion("pocket").facts.scheduler_config
    runs = [
        linear_run(name, config, 6, ask().schedule, 0.0).coefficients
        for name in SamplerName
        for _ in range(2)
    ]
    x = torch.randn(len(runs), 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))

    def latents(chosen: Sequence[int]) -> list[torch.Tensor]:
        states = [LatentState(runs[index], x[index]) for index in chosen]
        for call in range(5):
            before, calls = gathered(states), calls_of(states)
            noise = torch.cat([torch.cos(x[index] * call) for index in chosen])
            outputs = [(torch.tanh(before.latents), torch.ones(len(states), 1, 1, 1))]
            move_on(states, advanced(states, before, calls, outputs, noise))
        return [state.x for state in states]

    together = latents(range(len(runs)))
    assert all(torch.equal(latents([index])[0], together[index]) for index in range(len(runs)))


def test_a_batch_that_fails_at_its_end_is_tried_again_from_where_it_was(
    models: ModelRegistry, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [ask(sampler=name, steps=4, seed=seed) for seed, name in enumerate(("ddim", "unipc", "heun"))]
    alone = [generate(request, Runner(models), SamplerInputs("pocket-m")).pixels for request in pictures]
    refused = 0

    class Tight(Readback):
        def __init__(self, values: torch.Tensor) -> None:
            nonlocal refused
            if len(values) > 2:
                refused += 1
                raise torch.OutOfMemoryError("CUDA out of memory")
            super().__init__(values)

    monkeypatch.setattr(batches, "Readback", Tight)
    running = Running(models)
    for number, request in enumerate(pictures):
        running.engine.admit(Work(str(number), request))
    outcomes = running.wait_for("0", "1", "2")
    running.stop()
    assert refused
    for outcome, pixels in zip(outcomes, alone, strict=True):
        assert isinstance(outcome, Finished)
        assert (outcome.pictures[0].pixels - pixels).abs().max() < 1e-3
