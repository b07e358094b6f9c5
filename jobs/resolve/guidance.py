"""Resolve a request's guidance: fill in the defaults, and refuse guidance that is impossible or has no effect."""

from typing import Any

from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError
from jobs.prompts.fields import ResolvedPrompt
from jobs.requests.guidance import Guidance, ResolvedGuidance
from jobs.requests.parameters import GuidanceParameters
from jobs.requests.presets import DEFAULT_PRESETS, PRESETS, PresetName
from jobs.requests.request import GenerateRequest
from jobs.requests.schedules import MAX_CUTOUTS, most_cutouts
from jobs.requests.start.plan import StepPlan
from jobs.resolve.objectives import resolve_objectives
from jobs.storage.embeddings import EmbeddingLibrary


def resolve_guidance(
    request: GenerateRequest,
    words: str,
    card: ModelCard,
    plan: StepPlan,
    catalog: Catalog,
    library: EmbeddingLibrary | None,
) -> ResolvedGuidance | None:
    """Guidance with its preset's value of every parameter that the request leaves out; None if it asks for none.

    Args:
        request: of the caller.
        words: of its prompt, without syntax.
        card: of its model.
        plan: the steps of each picture.
        catalog: the models and CLIPs.
        library: the aesthetic embeddings; without it, none is known.

    Raises:
        InvalidRequestError: the parameters contradict each other, or guide no step.
        LodestarError: as for ``resolve_objectives``.
    """
    asked = request.guidance
    if asked is None:
        return None
    overrides = asked.model_dump(include=set(GuidanceParameters.model_fields), exclude_none=True)
    name = asked.preset or _default_preset(overrides, plan)
    preset = PRESETS[name]
    parameters = preset.parameters() | overrides
    _require_a_window(asked, parameters)
    most = _most_cutouts(parameters)
    clip = catalog.clip(asked.clip or card.clip).id
    guidance = ResolvedGuidance(
        preset=name,
        clip=clip,
        objectives=resolve_objectives(asked, preset, words, clip, catalog, library),
        cutouts=asked.cutouts or most,
        trace=asked.trace,
        **parameters,
    )
    _require_a_guided_step(guidance, plan, asked)
    return guidance


def _default_preset(overrides: dict[str, Any], plan: StepPlan) -> PresetName:
    """The first that guides a step of the run; the last, whose window is widest, if none does."""

    def guides(name: PresetName) -> bool:
        return bool(PRESETS[name].model_copy(update=overrides).window(plan.planned, plan.first))

    return next((name for name in DEFAULT_PRESETS if guides(name)), DEFAULT_PRESETS[-1])


def require_classifier_free_guidance(guidance: ResolvedGuidance | None, prompt: ResolvedPrompt) -> None:
    """Refuse a preset that scales its gradients by classifier-free guidance if that is off, or within the model.

    Raises:
        InvalidRequestError: it does.
    """
    if guidance is not None and PRESETS[guidance.preset].normalize == "cfg" and prompt.conditional_scale == 1:
        whose = "a model that reads cfg_scale as an input" if prompt.cfg_embedded else "a cfg_scale of 1"
        raise InvalidRequestError(
            f"preset {guidance.preset!r} takes steps as long as those of classifier-free guidance, "
            f"of which {whose} has none",
            field="cfg_scale",
        )


def _require_a_window(asked: Guidance, parameters: dict[str, Any]) -> None:
    start, end = parameters["start"], parameters["end"]
    if start >= end:
        raise InvalidRequestError(
            f"guidance would start at {start:g} of the run and end at {end:g}",
            field="guidance.start" if asked.start is not None else "guidance.end",  # what the caller chose
        )


def _most_cutouts(parameters: dict[str, Any]) -> int:
    try:
        most = most_cutouts(parameters["overview_cuts"], parameters["inner_cuts"])
    except ValueError as error:
        raise InvalidRequestError(str(error), field="guidance.overview_cuts") from error
    if most > MAX_CUTOUTS:
        raise InvalidRequestError(
            f"overview_cuts and inner_cuts add up to {most} cutouts; a step may have {MAX_CUTOUTS}",
            field="guidance.overview_cuts",
        )
    return most


def _require_a_guided_step(guidance: ResolvedGuidance, plan: StepPlan, asked: Guidance) -> None:
    """Refuse guidance with a scale but without a guided step."""
    if guidance.window(plan.planned, plan.first) or not guidance.scale:
        return
    chosen = next((name for name in ("start", "end") if getattr(asked, name) is not None), None)
    spared = "" if guidance.last_step else ", the last one spared"
    skipped = f" (init.strength skips the first {plan.first} of {plan.planned})" if plan.first else ""
    raise InvalidRequestError(
        f"none of {plan.run} steps{skipped} would be guided by preset {guidance.preset!r} "
        f"from {guidance.start:g} to {guidance.end:g} of the run{spared}",
        field=f"guidance.{chosen}" if chosen else "steps",
    )
