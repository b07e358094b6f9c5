"""The coefficients of a run are those of its solver."""

from typing import Any

import pytest
import torch
from torch import Tensor

from jobs.requests.samplers import WITH_ETA, SamplerName, ScheduleName
from tests.worker.sampling.noise_schedule import STABLE_DIFFUSION
from worker.latents import LatentState, advanced, calls_of, gathered, move_on
from worker.sampling.linear_run import LinearRun, linear_run
from worker.sampling.solvers.table import SOLVERS

SHAPE = (1, 4, 8, 8)


def model(x: Tensor, timestep: float) -> Tensor:
    return torch.tanh(x + 0.001 * timestep) - 0.3 * x


def run_by_solver(name: SamplerName, config: dict[str, Any], steps: int, eta: float, shift: Tensor) -> Tensor:
    solver, rng = SOLVERS[name](config, steps, ScheduleName.DEFAULT, eta), torch.Generator().manual_seed(1)
    x = solver.initial(torch.randn(SHAPE, generator=rng))
    for index, step in enumerate(solver.steps):
        for stage, timestep in enumerate(step.timesteps):
            noise = torch.randn(SHAPE, generator=rng) if solver.draws(index, stage) else None
            x = solver.advance(index, stage, x, model(x, float(timestep)), noise)
        x = solver.shifted(index, x, shift * (index % 3))
    return x


def run_by_weights(run: LinearRun, shift: Tensor) -> Tensor:
    rng = torch.Generator().manual_seed(1)
    state = LatentState(run.coefficients, run.initial_scale * torch.randn(SHAPE, generator=rng))
    for index, calls in enumerate(run.calls):
        for call in calls:
            noise = torch.randn(SHAPE, generator=rng) if call.draws else None
            output = model(state.x, call.timestep)
            outputs = [(output, torch.ones(1, 1, 1, 1))]
            move_on([state], advanced([state], gathered([state]), calls_of([state]), outputs, noise))
        state.shift(index, shift * (index % 3))
    return state.x


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("steps", [1, 4, 25])
@pytest.mark.parametrize("name", list(SamplerName))
def test_a_run_by_its_weights_arrives_where_its_solver_does(
    name: SamplerName, steps: int, prediction: str
) -> None:
    config = STABLE_DIFFUSION | {"prediction_type": prediction}
    eta = 0.5 if name in WITH_ETA else 0.0
    shift = 0.05 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(2))
    expected = run_by_solver(name, config, steps, eta, shift)
    got = run_by_weights(linear_run(name, config, steps, ScheduleName.DEFAULT, eta), shift)
    assert torch.allclose(got, expected, atol=1e-4 * float(expected.abs().max()))


def test_a_run_is_planned_once() -> None:
    one, other = (
        linear_run(SamplerName.DDIM, STABLE_DIFFUSION, 10, ScheduleName.DEFAULT, 0.0) for _ in range(2)
    )
    assert one is other


@pytest.mark.parametrize("name", SamplerName)
def test_a_solver_that_begins_anew_goes_on_as_if_it_had_begun_there(name: SamplerName) -> None:
    given = name, STABLE_DIFFUSION, 8, ScheduleName.DEFAULT, 0.0
    whole, later, both = (
        linear_run(*given),
        linear_run(*given, first=5),
        linear_run(*given, first=0, renewed=5),
    )
    calls = sum(len(calls) for calls in whole.calls[:5])
    assert torch.equal(both.coefficients.weights[:calls], whole.coefficients.weights[:calls])
    assert torch.equal(both.coefficients.weights[calls:], later.coefficients.weights)
    assert both.coefficients.moves == (*whole.coefficients.moves[:5], *later.coefficients.moves[5:])
    assert both.initial_scale == whole.initial_scale
