"""The denoiser's prediction for one picture at one timestep."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from jobs.errors import JobFailedError
from worker.readback import Readback
from worker.rows import Rows
from worker.sampling.step import Step


@dataclass(frozen=True, eq=False)
class Predictions:
    """Those of a batch of N pictures with B rows, from which each is cut when it is needed.

    Attributes:
        x: latents before the call, [N, C, h, w].
        timesteps: [N].
        outputs: of the denoiser, [B, C, h, w].
        weights: of each picture's rows in its combined output, [N, R or more, 1, h or 1, w or 1].
        finite: whether the latents after the call are finite, [N].
    """

    x: Tensor
    timesteps: Tensor
    outputs: Tensor
    weights: Tensor
    finite: Readback


@dataclass(frozen=True, eq=False)
class Prediction:
    """That of one picture.

    Attributes:
        batch: the predictions that it is one of.
        place: its number among them.
        start: number of its first row.
        rows: its conditions.
        mask: which latents may change, bool [1, 1, h, w]; None for all.
    """

    batch: Predictions
    place: int
    start: int
    rows: Rows
    mask: Tensor | None = None

    @property
    def x(self) -> Tensor:
        """The denoiser's input, [1, C, h, w]."""
        return self.batch.x[self.place : self.place + 1]

    @property
    def timestep(self) -> Tensor:
        """[1]."""
        return self.batch.timesteps[self.place : self.place + 1]

    @property
    def outputs(self) -> Tensor:
        """Of each row, [R, C, h, w]."""
        return self.batch.outputs[self.start : self.start + len(self.rows)]

    @property
    def weights(self) -> Tensor:
        """Of the rows in the combined output, [R, 1, h or 1, w or 1]."""
        return self.batch.weights[self.place, : len(self.rows)]

    @cached_property
    def output(self) -> Tensor:
        """The combined output, [1, C, h, w]."""
        return (self.weights * self.outputs).sum(dim=0, keepdim=True)

    @property
    def correction(self) -> Tensor:
        """The change of the output by guidance, w (c - u) for the classifier-free one, [1, C, h, w]; zero without."""
        return self.output - self.outputs[-1:]

    def estimate(self, step: Step, displacement: Tensor | None = None) -> Tensor:
        """The clean latents as a step sees them, with what guidance moves them by, [1, C, h, w]."""
        denoised = step.denoised(self.output, self.x)
        return denoised if displacement is None else denoised + displacement

    def conditional(self) -> "Prediction":
        """The prediction of the first row alone."""
        first = self.outputs[:1]
        alone = Predictions(
            self.x, self.timestep, first, torch.ones_like(self.weights[None, :1]), self.batch.finite
        )
        return Prediction(alone, 0, 0, (replace(self.rows[0], weight=1.0),), self.mask)

    @property
    def is_finite(self) -> bool:
        """Whether the latents after the call are finite; waits for the device."""
        return bool(self.batch.finite.values[self.place])


def require_finite(prediction: Prediction | None, index: int, step: int) -> None:
    """Fail the job if the latents after a prediction are not finite.

    Raises:
        JobFailedError: they are not.
    """
    if prediction is not None and not prediction.is_finite:
        raise JobFailedError(f"the latents of picture {index} are not finite after step {step}")
