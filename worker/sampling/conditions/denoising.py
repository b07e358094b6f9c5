"""The models that denoise a picture, each with what it is told: the request's, and its refiner for the last steps."""

from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from jobs.errors import ModelUnavailableError
from jobs.requests.request import ResolvedRequest
from jobs.requests.start.plan import Pass, StepPlan
from worker.events import Yield
from worker.facts import Facts, ModelFacts
from worker.sampling.conditions.conditioning import Conditions, condition
from worker.sampling.conditions.controls import controlled
from worker.sampling.conditions.image_prompts import labelled, prompted
from worker.sampling.conditions.stated_sizes import sized
from worker.sampling.inputs import SamplerInputs
from worker.sampling.linear_run import LinearRun, linear_run
from worker.sampling.sources.editing import edited_channels
from worker.sampling.sources.inpainting import inpainting_channels


@dataclass(frozen=True, eq=False)
class Denoising:
    """A model of a picture's run.

    Attributes:
        request: of the picture, as the model is told it.
        model: its facts.
        conditions: of its denoiser.
        refiner: of the last steps; None where the model takes all.
    """

    request: ResolvedRequest
    model: ModelFacts
    conditions: Conditions
    refiner: "Denoising | None" = None

    def of_pass(self, part: Pass, inputs: SamplerInputs) -> Generator[Yield, Any, "Denoising"]:
        """The same with all that a pass tells: what UNets read that inpaint or edit, sizes, and maps of its size."""
        request, model = self.request, self.model
        told = yield from inpainting_channels(request.model, model, inputs.canvas, part)
        picture = yield from edited_channels(request, model, inputs, part)
        conditions = self.conditions.beside(told).beside(picture)
        if request.sees_no_picture_last:
            conditions = conditions.blind()
        conditions = sized(conditions, request, model, part)
        refiner = None if self.refiner is None else (yield from self.refiner.of_pass(part, inputs))
        return replace(self, conditions=controlled(conditions, request, inputs.hints, part), refiner=refiner)

    def run(self, plan: StepPlan) -> LinearRun:
        """The run of a pass through the model's noise levels.

        At the refiner's first step the solver begins anew: in diffusers the refiner is a pipeline of its own.

        Raises:
            ModelUnavailableError: no solver supports the model's prediction type.
        """
        request = self.request
        plain = partial(
            linear_run,
            request.sampler,
            self.model.levels,
            plan.planned,
            request.schedule,
            request.eta,
            plan.first,
        )
        run = plain()
        refined = next((step for step in plan.indexes if self.of_step(step, run) is not self), plan.first)
        return run if refined == plan.first else plain(refined)

    def of_step(self, number: int, run: LinearRun) -> "Denoising":
        """The one that takes a step of a run.

        The refiner takes those that begin with less than a share of the noise levels, as in diffusers.
        """
        if self.refiner is None or self.request.refiner is None:
            return self
        levels = int(self.model.scheduler_config.get("num_train_timesteps", 1000))
        first = round(levels - self.request.refiner.switch_at * levels)
        return self.refiner if float(run.steps[number].timesteps[0]) < first else self


def denoising_of(
    request: ResolvedRequest, index: int, facts: Facts, inputs: SamplerInputs
) -> Generator[Yield, Any, Denoising]:
    """The models of a request's picture ``index``, each with its conditions.

    A refiner reads the texts with its own encoder, as that is read as a rule. Adapters, ControlNets, pictures and the
    clip skip are not for it.

    Raises:
        ModelUnavailableError: the refiner reads other latents.
        LodestarError: as for ``condition``.
    """
    model = facts.models[request.model]
    texts = yield from condition(request, model.row, inputs)
    conditions = prompted(texts, request, inputs.image_prompts)
    if model.row.reads_pictures:
        conditions = labelled(conditions, request, inputs.image_prompts, model.row, request.seed_of(index))
    if request.refiner is None:
        return Denoising(request, model, conditions)
    _require_same_latents(model, facts.models[request.refiner.model], request.refiner.model)
    alone = {
        "refiner": None,
        "clip_skip": 0,
        "adapters": (),
        "controls": (),
        "image_prompts": (),
        "personalization": None,
    }
    refined = yield from denoising_of(
        request.model_copy(update={"model": request.refiner.model, **alone}), index, facts, inputs
    )
    return Denoising(request, model, conditions, refined)


def _require_same_latents(model: ModelFacts, refiner: ModelFacts, name: str) -> None:
    own, other = ((each.latent_channels, each.latent_factor) for each in (model, refiner))
    if own != other:
        raise ModelUnavailableError(
            f"the refiner {name!r} reads latents of {other[0]} channels at 1/{other[1]} of the size, and the model "
            f"makes {own[0]} at 1/{own[1]}"
        )
