"""CLIP guidance as a caller asks for it, and with every default filled in."""

from functools import partial
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from jobs.requests.objectives import MAX_OBJECTIVES, PROMPTS, Objective, check_weights
from jobs.requests.parameters import Decoder, GuidanceParameters
from jobs.requests.presets import PresetName
from jobs.requests.schedules import MAX_CUTOUTS, CutScheduleText, most_cutouts
from jobs.wire import MAX_ID_CHARS, AtMost, SomeText, Wire, same_field


class ResolvedGuidance(GuidanceParameters):
    """CLIP guidance with every default filled in."""

    preset: PresetName = Field(
        description="Method to follow; `GET /v1/models` lists them with their sources, costs and gains. Default: "
        "`fast`; `laion` if `fast` would guide no step, as in a run of four.",
        examples=["fast"],
    )
    clip: str = Field(
        description="Id of the CLIP that guides. Default: the model's own.",
        examples=["pocket-m"],
    )
    objectives: tuple[Objective, ...] = Field(
        description="Objectives of guidance. Weights of texts and pictures count in proportion to the sum of those "
        "that are active, others as they are. Default: `prompt`, and the preset's regularizers.",
        examples=[
            [
                {"type": "text", "text": "a red apple"},
                {"type": "text", "text": "blurry", "weight": -0.3, "start": 0.5},
                {"type": "tv", "weight": 0.1},
            ]
        ],
    )
    cutouts: int = Field(
        description=(
            "Cutouts for each CLIP at the step with the most. The values of `overview_cuts` and `inner_cuts` "
            "then set their proportions."
        ),
        examples=[48],
    )
    trace: bool = Field(
        description="Return the loss of each objective and the gradient's size at every guided step."
    )

    @property
    def clips(self) -> tuple[str, ...]:
        """The CLIPs of the objectives, the guidance CLIP first."""
        others = (
            objective.clip or self.clip for objective in self.objectives if isinstance(objective, PROMPTS)
        )
        return tuple(dict.fromkeys((self.clip, *others)))


_optional = partial(same_field, ResolvedGuidance)


class Guidance(Wire):
    """CLIP guidance. A preset fixes the method; its parameters may be overridden."""

    preset: PresetName | None = _optional("preset")
    clip: Annotated[str | None, Field(max_length=MAX_ID_CHARS)] = _optional("clip")
    prompt: SomeText | None = Field(
        None,
        description="Text to guide the picture towards. Default: the request's prompt.",
    )
    objectives: Annotated[
        Annotated[tuple[Objective, ...], AtMost(MAX_OBJECTIVES)] | None,
        Field(
            json_schema_extra={"minItems": 1}
        ),  # checked below: pydantic would count only those without errors
    ] = _optional("objectives")
    scale: Annotated[float | None, Field(ge=0, le=100_000)] = _optional("scale")
    cutouts: Annotated[int | None, Field(ge=1, le=MAX_CUTOUTS)] = _optional("cutouts")
    overview_cuts: CutScheduleText | None = _optional("overview_cuts")
    inner_cuts: CutScheduleText | None = _optional("inner_cuts")
    cut_pow: Annotated[float | None, Field(gt=0, le=100)] = _optional("cut_pow")
    stratified: bool | None = _optional("stratified")
    start: Annotated[float | None, Field(ge=0, lt=1)] = _optional("start")
    end: Annotated[float | None, Field(gt=0, le=1)] = _optional("end")
    last_step: bool | None = _optional("last_step")
    stride: Annotated[int | None, Field(ge=1, le=250)] = _optional("stride")
    reuse: bool | None = _optional("reuse")
    patience: Annotated[int | None, Field(ge=0, le=250)] = _optional("patience")
    recurrences: Annotated[int | None, Field(ge=1, le=16)] = _optional("recurrences")
    iterations: Annotated[int | None, Field(ge=1, le=16)] = _optional("iterations")
    rho: Annotated[float | None, Field(ge=0, le=1000)] = _optional("rho")
    mu: Annotated[float | None, Field(ge=0, le=1000)] = _optional("mu")
    clamp: Annotated[float | None, Field(gt=0, le=1000)] = _optional("clamp")
    smoothing: Annotated[float | None, Field(ge=0, le=10)] = _optional("smoothing")
    smoothing_samples: Annotated[int | None, Field(ge=1, le=16)] = _optional("smoothing_samples")
    blur: Annotated[float | None, Field(ge=0, le=0.5)] = _optional("blur")
    decoder: Decoder | None = _optional("decoder")
    trace: bool = _optional("trace", False)

    @field_validator("objectives")
    @classmethod
    def _do_not_cancel(cls, objectives: tuple[Objective, ...] | None) -> tuple[Objective, ...] | None:
        if objectives is not None:
            if not objectives:
                raise ValueError("there is nothing to guide towards")
            check_weights(objectives)
        return objectives

    @field_validator("overview_cuts", "inner_cuts")
    @classmethod
    def _is_a_schedule(cls, text: str | None) -> str | None:
        if text is not None and (most := most_cutouts(text, "1") - 1) > MAX_CUTOUTS:
            raise ValueError(f"{most} cutouts are more than the {MAX_CUTOUTS} that a step may have")
        return text

    @model_validator(mode="after")
    def _says_once_what_to_pull_towards(self) -> "Guidance":
        if self.prompt is not None and self.objectives is not None:
            raise ValueError("give either prompt or objectives")
        return self


def in_full(short: object) -> object:
    """The field ``guidance`` of its short forms: True, False, the name of a preset. Other values stay as they are."""
    if isinstance(short, bool):
        return {} if short else None
    return {"preset": short} if isinstance(short, str) else short
