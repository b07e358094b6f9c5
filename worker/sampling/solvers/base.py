"""The base of the solvers of the reverse diffusion; ``table.py`` lists them.

They differ in the estimate D of the clean latents that they hold constant over a step, or in how they integrate over
several estimates. Symbols are those of ``worker/sampling/step.py``.
"""

import json
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from jobs.requests.samplers import ScheduleName
from worker.sampling.noise_schedule import NoiseLevels, planned
from worker.sampling.step import Step


class Solver(ABC):
    """One run of a solver over one picture. Not shared: it remembers past estimates.

    Guidance never enters this memory. It moves the latents after a step (``shifted``), as far as a first-order step of
    the same solver would have carried it; so a multistep method extrapolates the model's own estimates only.

    Attributes:
        levels: where its noise levels lie.
        own_eta: share of fresh noise that belongs to the method; None if the caller chooses it.
        steps: the plan.
        past: values of past steps, the latest first.
        start: the latents at the start of the last step, where a method needs them.
    """

    __slots__ = ("_initial_scale", "past", "start", "steps")

    levels: ClassVar[NoiseLevels]
    own_eta: ClassVar[float | None] = 0.0

    def __init_subclass__(cls) -> None:
        """Refuse a solver that could remember more than ``past`` and ``start``.

        These are all that the coefficients of a run hold (``linear_run.py``), and the state that a worker leaves of a
        picture for another one (``worker/states``).

        Raises:
            TypeError: it could.
        """
        if cls.__dict__.get("__slots__") != ():
            raise TypeError(
                f"{cls.__name__} must say `__slots__ = ()`: a solver remembers `past` and `start` alone"
            )

    def __init__(
        self,
        config: dict[str, Any],
        steps: int,
        schedule: ScheduleName = ScheduleName.DEFAULT,
        eta: float = 0.0,
        first: int = 0,
    ) -> None:
        """Plan a run.

        Args:
            config: of the model's scheduler.
            steps: number of steps that are planned.
            schedule: how their noise levels are spread.
            eta: share of fresh noise, where the method leaves it to the caller.
            first: number of the first step that is taken; the memory is empty there.

        Raises:
            ModelUnavailableError: no solver supports the model's prediction type.
        """
        eta = eta if self.own_eta is None else self.own_eta
        self.steps, self._initial_scale = planned(
            self.levels, json.dumps(config, sort_keys=True), steps, schedule, eta
        )
        self.steps = self._begun_at(first)
        self.past: tuple[Tensor, ...] = ()
        self.start: Tensor | None = None

    def _begun_at(self, first: int) -> tuple[Step, ...]:  # noqa: ARG002 - most begin anywhere alike
        """The plan of a run that begins at step ``first``."""
        return self.steps

    def initial(self, noise: Tensor) -> Tensor:
        """The latents to start from at step 0, for standard normal ``noise``."""
        return noise * self._initial_scale

    def level(self, index: int, stage: int) -> Step:
        """A step that starts at the noise level of the latents that a call of the UNet sees."""
        step = self.steps[index]
        return step if stage == 0 else step.middle or self.steps[index + 1]

    def draws(self, index: int, stage: int) -> bool:
        """Whether fresh noise follows a call of the UNet; by default the last call of a step."""
        step = self.steps[index]
        return stage == len(step.timesteps) - 1 and step.up > 0

    def advance(
        self, index: int, stage: int, x: Tensor, output: Tensor, noise: Tensor | None = None
    ) -> Tensor:
        """The latents after one UNet call: x' + a' sigma_up eps. Linear in its arguments and in the memory.

        Args:
            index: number of the step.
            stage: number of the call within the step.
            x: the UNet's input, [B, C, h, w].
            output: the UNet's output, likewise.
            noise: eps, standard normal, likewise; needed where ``draws`` says so.
        """
        following = self._corrected(index, x, output) if stage else self._advanced(index, x, output)
        step = self.steps[index]
        return following if noise is None else following + (step.a_next * step.up) * noise

    @abstractmethod
    def _advanced(self, index: int, x: Tensor, output: Tensor) -> Tensor:
        """The latents after the first call of a step, without fresh noise: at its end, or where its second call is."""

    def _corrected(self, index: int, x: Tensor, output: Tensor) -> Tensor:  # noqa: ARG002 - never called
        """The latents x' after the second call, at the latents that the first one led to."""
        raise AssertionError(f"{type(self).__name__} makes one call in each step")

    def shifted(self, index: int, latents: Tensor, shift: Tensor) -> Tensor:
        """The latents after step ``index``, moved, and the memory as if they had always been on that trajectory."""
        step = self.steps[index]
        if step.s_next:
            self._shift_memory(index, shift / step.s_next)
        return latents + shift

    def _shift_memory(self, index: int, eps: Tensor) -> None:  # noqa: B027 - most hold nothing that moves
        """Add ``eps`` to the noise that the memory holds, after step ``index``."""
