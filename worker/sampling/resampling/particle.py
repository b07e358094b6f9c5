"""A picture as one particle of its job: its score at some steps, and the line that it goes on with."""

from collections.abc import Generator
from math import ceil
from typing import Any

from torch import Tensor

from jobs.requests.request import ResolvedRequest
from jobs.requests.selection import ResolvedResampling
from worker.calls import Decode, EmbedImage, EmbedText
from worker.events import Meet, Met, Past, Yield
from worker.latents import LatentState
from worker.sampling.inputs import SamplerInputs
from worker.sampling.resampling.weighing import MOST
from worker.sampling.scoring import cosine_similarity, pasted


class Particle:
    """One picture of a job whose candidates are drawn anew."""

    def __init__(self, request: ResolvedRequest, resample: ResolvedResampling, index: int) -> None:
        """Before its first step.

        Args:
            request: of its job.
            resample: when and how.
            index: of the picture.
        """
        self._request, self._resample = request, resample
        self._group, self._member = divmod(index, MOST)
        plan = request.plan
        # After the step that reaches each share of the run; never after the last, when nothing is left to part by.
        reached = (ceil(share * plan.run) - 1 for share in resample.at)
        steps = dict.fromkeys(plan.first + min(step, plan.run - 2) for step in reached)
        self._meetings = {step: number for number, step in enumerate(steps)}
        self._past = Past()

    def is_due(self, step: int) -> bool:
        """Whether the particles meet after this step of the first pass."""
        return step in self._meetings

    def meet(
        self, step: int, estimate: Tensor, state: LatentState, inputs: SamplerInputs
    ) -> Generator[Yield, Any, None]:
        """Be scored, and go on as the particle that is drawn.

        Args:
            step: that has been taken.
            estimate: of the clean latents at that step, [1, C, h, w].
            state: after it; becomes that of the line that is drawn.
            inputs: of the job.
        """
        clip, request = self._resample.clip, self._request
        pixels: Tensor = yield Decode(request.model, estimate)
        features: Tensor = yield EmbedImage(clip, pasted(pixels, inputs).clamp(0, 1))
        target: Tensor = yield EmbedText(clip, request.words)
        met: Met | None = yield Meet(
            group=self._group,
            size=min(MOST, request.num_images - self._group * MOST),
            number=self._meetings[step],
            member=self._member,
            seed=request.seed,
            reward=cosine_similarity(features, target),
            past=self._past,
            potential=self._resample.potential,
            strength=self._resample.strength,
            state=state,
        )
        if met is None:  # a picture that is made by itself
            return
        self._past = met.past
        if met.state is not None:
            state.become(met.state)


def particle_of(request: ResolvedRequest, index: int) -> Particle | None:
    """The particle of a picture; None where candidates are not drawn anew."""
    resample = None if request.select is None else request.select.resample
    return None if resample is None else Particle(request, resample, index)
