"""A whole run of a solver as coefficients, by which all pictures of a batch advance together.

Every solver is linear: the latents after a call of the UNet are a weighted sum of the latents before, the output, the
fresh noise and the solver's memory. So one run on unit vectors in place of tensors gives the weights of any run, and
pictures of different solvers, schedules, steps and etas advance together (``worker/latents.py``).
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from jobs.requests.samplers import SamplerName, ScheduleName
from worker.patterns import INPUTS, ORDER, OUTPUT, PARTS, REUSED, Coefficients
from worker.sampling.solvers.base import Solver
from worker.sampling.solvers.table import SOLVERS
from worker.sampling.step import Step

ROUNDING = 1e-12  # of a sum whose terms cancel, relative to them
PAST = sum(part.startswith("past") for part in PARTS)  # values of past steps that a solver remembers at most


@dataclass(frozen=True)
class ModelCall:
    """One call of the UNet.

    Attributes:
        step: number of its step.
        stage: number of the call within the step.
        timestep: of the UNet.
        level: a step that starts at the noise level of the latents that it sees.
        draws: whether fresh noise follows it.
    """

    step: int
    stage: int
    timestep: float
    level: Step
    draws: bool


@dataclass(frozen=True, eq=False)
class LinearRun:
    """A run of a solver, by its coefficients.

    Attributes:
        steps: the plan.
        first: number of the first step that is taken.
        calls: of the UNet, those of each step; none before the first.
        coefficients: of the calls.
        initial_scale: of the noise that a run from step 0 starts from.
    """

    steps: tuple[Step, ...]
    first: int
    calls: tuple[tuple[ModelCall, ...], ...]
    coefficients: Coefficients
    initial_scale: float

    def progress(self, step: int) -> float:
        """Share of the steps that are taken that lies before one of them."""
        return (step - self.first) / (len(self.steps) - self.first)


def linear_run(
    sampler: SamplerName,
    config: dict[str, Any],
    steps: int,
    schedule: ScheduleName,
    eta: float,
    first: int = 0,
    renewed: int | None = None,
) -> LinearRun:
    """The run of a sampler through a model's noise levels.

    Args:
        sampler: which solver.
        config: of the model's scheduler.
        steps: number of steps that are planned.
        schedule: how the noise levels are spread.
        eta: share of fresh noise, where the method leaves it to the caller.
        first: number of the first step that is taken.
        renewed: number of the step at which the solver begins anew, without memory; None for none.

    Raises:
        ModelUnavailableError: no solver supports the model's prediction type.
    """
    begins = (first,) if renewed is None else (first, renewed)
    return _linear_run(sampler, json.dumps(config, sort_keys=True), steps, schedule, eta, begins)


@lru_cache(maxsize=256)
def _linear_run(
    sampler: SamplerName, config: str, steps: int, schedule: ScheduleName, eta: float, begins: tuple[int, ...]
) -> LinearRun:
    solvers = [SOLVERS[sampler](json.loads(config), steps, schedule, eta, begin) for begin in begins]
    first, plan = begins[0], []
    calls, weights, moves = [], [], []
    for index in range(len(solvers[0].steps)):
        solver = solvers[-1] if index >= begins[-1] else solvers[0]
        plan.append(step := solver.steps[index])
        for stage, timestep in enumerate(step.timesteps if index >= first else ()):
            draws = solver.draws(index, stage)
            calls.append(ModelCall(index, stage, float(timestep), solver.level(index, stage), draws))
            weights.append(_weights(solver, index, stage, draws=draws))
        moves.append(_moves(solver, index))
    coefficients = Coefficients(
        torch.stack(weights).float(),
        torch.tensor([call.timestep for call in calls]),
        tuple(moves),
    )
    scale = float(solvers[0].initial(torch.ones((), dtype=torch.float64)))
    return LinearRun(tuple(plan), first, _grouped(calls, len(plan)), coefficients, scale)


def _grouped(calls: list[ModelCall], steps: int) -> tuple[tuple[ModelCall, ...], ...]:
    return tuple(tuple(call for call in calls if call.step == step) for step in range(steps))


def _unit(name: str) -> Tensor:
    vector = torch.zeros(len(INPUTS), dtype=torch.float64)
    vector[INPUTS.index(name)] = 1
    return vector


def _weights(solver: Solver, index: int, stage: int, *, draws: bool) -> Tensor:
    """The state after a call as weights of its inputs, [PARTS, INPUTS], those of ``REUSED`` parts among them."""
    _remember(solver, [_unit(f"past {age}") for age in range(PAST)], _unit("start"))
    x = solver.advance(index, stage, _unit("x"), _unit("output"), _unit("noise") if draws else None)
    return _shortened(torch.stack(_state(solver, x, torch.zeros(len(INPUTS), dtype=torch.float64))))


def _shortened(weights: Tensor) -> Tensor:
    """The same state with parts made of others that are made before, where that leaves no more terms.

    A solver computes its estimate D from the output, and all else from D. Its memory holds D, or a slope made of it. So
    one part takes the output, and the others take that part.
    """
    for made, (place, found_at) in enumerate(ORDER[: len(REUSED)]):
        pivot = (
            OUTPUT if weights[place, OUTPUT] else place
        )  # a part that takes no output has it by another part
        if not weights[place, pivot]:
            continue
        for other, _ in ORDER[made + 1 :]:
            share = weights[other, pivot] / weights[place, pivot]
            shorter = weights[other] - share * weights[place]
            shorter[shorter.abs() < ROUNDING * weights[other].abs().max()] = 0
            shorter[found_at] = share
            if share and shorter.count_nonzero() <= weights[other].count_nonzero():
                weights[other] = shorter
    return weights


def _moves(solver: Solver, index: int) -> tuple[tuple[int, float], ...]:
    """How each part of the state moves with the latents after a step."""
    nothing, one = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    kept = solver.past, solver.start
    _remember(solver, [nothing] * PAST, nothing)
    moved = _state(solver, solver.shifted(index, nothing, one), nothing)
    solver.past, solver.start = kept
    return tuple((part, float(weight)) for part, weight in enumerate(moved) if weight)


def _remember(solver: Solver, past: list[Tensor], start: Tensor) -> None:
    """Put tensors in place of what the solver remembers."""
    solver.past = tuple(past[: len(solver.past)])
    solver.start = None if solver.start is None else start


def _state(solver: Solver, x: Tensor, nothing: Tensor) -> list[Tensor]:
    """The parts of a state."""
    held = {f"past {age}": value for age, value in enumerate(solver.past)}
    held |= {"x": x} if solver.start is None else {"x": x, "start": solver.start}
    return [held.get(part, nothing) for part in PARTS]
