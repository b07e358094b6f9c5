"""Takes each picture's own solver on by itself, as its paper has it: what the engine's batched sums must come to."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from worker.calls import Denoise
from worker.models.registry import ModelRegistry
from worker.readback import Readback
from worker.sampling.linear_run import LinearRun
from worker.sampling.prediction import Prediction, Predictions
from worker.sampling.solvers.base import Solver


class ReferenceState:
    """The state of a picture as a solver object keeps it, with the interface of ``LatentState``."""

    def __init__(self, solver: Solver, run: LinearRun, x: Tensor) -> None:
        self.solver, self.x, self.call = solver, x, 0
        self._calls = [call for calls in run.calls for call in calls]
        self._marked = self.call, solver.past, solver.start

    @property
    def shape(self) -> torch.Size:
        return self.x.shape[1:]

    def shift(self, step: int, shift: Tensor) -> None:
        self.x = self.solver.shifted(step, self.x, shift)

    def mark(self) -> None:
        self._marked = self.call, self.solver.past, self.solver.start

    def renoise(self, keep: float, noise: Tensor) -> None:
        self.call, self.solver.past, self.solver.start = self._marked
        self.x = keep * self.x + noise

    @property
    def timestep(self) -> float:
        return self._calls[self.call].timestep

    def advance(self, output: Tensor, noise: Tensor | None) -> None:
        call = self._calls[self.call]
        self.x = self.solver.advance(call.step, call.stage, self.x, output, noise)
        self.call += 1


def denoise(calls: Sequence[Denoise], models: ModelRegistry) -> list[Prediction]:
    """The prediction of each call, one picture at a time."""
    return [_denoise(call, models) for call in calls]


def _denoise(call: Denoise, models: ModelRegistry) -> Prediction:
    model, state = models.diffusion(call.model), cast("ReferenceState", call.state)
    x, timesteps = state.x, torch.tensor([state.timestep])
    outputs = model.predict(x, timesteps, model.rows([call.rows]))
    weights = torch.tensor([row.weight for row in call.rows]).view(-1, 1, 1, 1)
    output = (weights * outputs).sum(dim=0, keepdim=True)
    state.advance(output, call.noise)
    finite = Readback(state.x.sum().isfinite()[None])
    return Prediction(Predictions(x, timesteps, outputs, weights[None], finite), 0, 0, call.rows)
