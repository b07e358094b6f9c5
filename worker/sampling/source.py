"""Where a run starts: at pure noise, or at a picture with noise on it."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jobs.requests.request import ResolvedRequest
from worker.aesthetics.personalization import slerp
from worker.calls import Encode
from worker.events import Yield
from worker.sampling.inputs import SamplerInputs
from worker.sampling.linear_run import LinearRun


@dataclass(frozen=True, eq=False)
class Source:
    """The latents that a run starts from.

    Attributes:
        x0: latents of a picture, [1, C, h, w]; None for pure noise.
    """

    x0: Tensor | None = None

    def start(self, noise: Tensor, run: LinearRun, device: torch.device) -> Tensor:
        """The latents before the first step of a run, a x0 + s eps, [1, C, h, w] on the device.

        Args:
            noise: eps, standard normal, [1, C, h, w] on the CPU.
            run: whose first step has the levels a and s.
            device: of the model.
        """
        if self.x0 is None:
            return (run.initial_scale * noise).to(device)
        step = run.steps[run.first]
        return step.a * self.x0 + step.s * noise.to(device)


def first_noise(request: ResolvedRequest, index: int, shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
    """The noise that picture ``index`` of a request starts with, standard normal.

    A variation turns it towards that of another seed, by a share of the angle between the two.

    Args:
        request: of the job.
        index: of the picture.
        shape: of the latents, [1, C, h, w].
        rng: of the picture's seed.
    """
    noise, variation = torch.randn(shape, generator=rng), request.variation
    if variation is None or variation.strength == 0:
        return noise
    other = torch.randn(shape, generator=torch.Generator().manual_seed(variation.seed + index))
    if variation.strength == 1:
        return other
    return slerp(noise.flatten(), other.flatten(), variation.strength).view(shape)


def source_of(request: ResolvedRequest, inputs: SamplerInputs) -> Generator[Yield, Any, Source]:
    """The source of a request's pictures. It does not depend on their seeds."""
    if request.init is None or request.init.starts_from_noise:
        return Source()
    assert inputs.canvas is not None
    x0: Tensor = yield Encode(request.model, inputs.canvas)
    return Source(x0)
