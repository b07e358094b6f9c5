"""CLIP guidance as a caller asks for it, and the same with nothing left open."""

from typing import Annotated

from pydantic import (
    BeforeValidator,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from jobs.requests.objectives import MAX_OBJECTIVES, PROMPTS, Objective, check_weights
from jobs.requests.presets import Decoder, PresetName
from jobs.requests.schedules import PATTERN, most_cuts
from jobs.wire import AtMost, SomeText, Wire

MAX_CUTOUTS = 256
MAX_SCHEDULE_CHARS = 500


def _number_as_text(value: object) -> object:
    if isinstance(value, float) and value.is_integer():  # JSON makes no difference between 4.0 and 4
        value = int(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


# A number is a schedule too. Read as one type, so that a refusal names the field and not the types it might have had.
Cuts = Annotated[
    str,
    BeforeValidator(_number_as_text),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": MAX_CUTOUTS},
                {"type": "string", "maxLength": MAX_SCHEDULE_CHARS, "pattern": PATTERN},
            ]
        }
    ),
]


class Guidance(Wire):
    """CLIP guidance. A preset fixes the method; its numbers may be overridden."""

    preset: PresetName = Field(
        "laion",
        description="Published method to follow; `GET /v1/models` lists them with their sources. `laion`: augmented "
        "views, spherical distance, and the gradient with respect to the denoised latents, through CLIP and the VAE's "
        "decoder only.",
        examples=["laion"],
    )
    clip: str | None = Field(
        None,
        max_length=100,
        description="Id of the CLIP that guides; the model's own guide if left out.",
        examples=["pocket-m"],
    )
    prompt: SomeText | None = Field(
        None,
        description="Text to steer the picture towards; the prompt if left out.",
    )
    objectives: Annotated[tuple[Objective, ...], AtMost(MAX_OBJECTIVES)] | None = Field(
        None,
        json_schema_extra={"minItems": 1},  # checked below: pydantic would count only those without errors
        description="What to pull towards, instead of `prompt` and what the preset adds to it. Weights of texts and "
        "pictures count in proportion to the sum of those that are active, others as they are.",
        examples=[
            [
                {"type": "text", "text": "a red apple"},
                {"type": "text", "text": "blurry", "weight": -0.3, "start": 0.5},
                {"type": "tv", "weight": 0.1},
            ]
        ],
    )
    scale: float | None = Field(
        None,
        ge=0,
        le=100_000,
        description="Strength of guidance, in the preset's own convention; 0 turns it off.",
        examples=[0.1],
    )
    cutouts: int | None = Field(
        None,
        ge=1,
        le=MAX_CUTOUTS,
        description="Views of the picture that CLIP judges, at the step that has most.",
        examples=[48],
    )
    overview_cuts: Cuts | None = Field(
        None,
        description="How many of them are views of the whole picture: a number, or a schedule over the run like "
        "`[12]*400+[4]*600`.",
        examples=["[12]*400+[4]*600"],
    )
    inner_cuts: Cuts | None = Field(
        None,
        description="How many of them are random crops; likewise.",
        examples=["[4]*400+[12]*600"],
    )
    cut_pow: float | None = Field(
        None,
        gt=0,
        le=100,
        description="Crops are the smaller the greater this is; 1 draws all sizes alike.",
        examples=[1.0],
    )
    stratified: bool | None = Field(None, description="Spread the sizes of a step's crops evenly.")
    start: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Guide from this part of the run on, 0 being pure noise.",
        examples=[0.0],
    )
    end: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Guide before this part of the run, 1 being the finished picture.",
        examples=[1.0],
    )
    last_step: bool | None = Field(
        None,
        description="Guide the step that ends the run too, whose gradient stays in the picture as it is and may show.",
    )
    stride: int | None = Field(
        None, ge=1, le=250, description="Compute a gradient every so many steps.", examples=[2]
    )
    reuse: bool | None = Field(None, description="Repeat the last gradient at the steps in between.")
    patience: int | None = Field(
        None,
        ge=0,
        le=250,
        description="Stop guiding after so many gradients without a lower loss; 0 never stops.",
        examples=[3],
    )
    recurrences: int | None = Field(
        None,
        ge=1,
        le=16,
        description="Times that a guided step is taken, with noise added again in between.",
        examples=[1],
    )
    iterations: int | None = Field(
        None, ge=1, le=16, description="Times that the denoised pull is repeated within a step.", examples=[1]
    )
    rho: float | None = Field(
        None,
        ge=0,
        le=1000,
        description="Weight of the gradient through the UNet, with respect to the noisy latents.",
        examples=[0.25],
    )
    mu: float | None = Field(
        None,
        ge=0,
        le=1000,
        description="Weight of the gradient with respect to the denoised latents.",
        examples=[2.0],
    )
    clamp: float | None = Field(
        None,
        gt=0,
        le=1000,
        description="Bound of the gradient's root mean square, for presets that clamp it.",
        examples=[0.05],
    )
    smoothing: float | None = Field(
        None,
        ge=0,
        le=10,
        description="Noise on the denoised latents over which the loss is averaged.",
        examples=[0.1],
    )
    smoothing_samples: int | None = Field(None, ge=1, le=16, description="Draws of this noise.", examples=[4])
    decoder: Decoder | None = Field(
        None,
        description="`vae`, or `linear`: a coarse decoder for the gradient only, which costs next to nothing.",
    )
    trace: bool = Field(
        False, description="Return the loss of each objective and the gradient's size at every guided step."
    )

    @field_validator("objectives")
    @classmethod
    def _do_not_cancel(cls, objectives: tuple[Objective, ...] | None) -> tuple[Objective, ...] | None:
        if objectives is not None:
            if not objectives:
                raise ValueError("there is nothing to pull towards")
            check_weights(objectives)
        return objectives

    @field_validator("overview_cuts", "inner_cuts")
    @classmethod
    def _is_a_schedule(cls, text: str | None) -> str | None:
        if text is None:
            return None
        if len(text) > MAX_SCHEDULE_CHARS:
            raise ValueError(f"a schedule has at most {MAX_SCHEDULE_CHARS} characters")
        if (most := most_cuts(text, "1") - 1) > MAX_CUTOUTS:
            raise ValueError(f"{most} views are more than the {MAX_CUTOUTS} that a step may have")
        return text

    @model_validator(mode="after")
    def _says_once_what_to_pull_towards(self) -> "Guidance":
        if self.prompt is not None and self.objectives is not None:
            raise ValueError("give either prompt or objectives")
        return self


class ResolvedGuidance(Wire):
    """CLIP guidance with nothing left open."""

    preset: PresetName = Field(description="Published method that is followed.")
    clip: str = Field(description="Id of the CLIP that guides.")
    objectives: tuple[Objective, ...] = Field(description="What it pulls towards.")
    scale: float = Field(description="Strength in the preset's own convention.")
    cutouts: int = Field(description="Views that CLIP judges, at the step that has most.")
    overview_cuts: str = Field(description="How many of them are of the whole picture, over the run.")
    inner_cuts: str = Field(description="How many of them are random crops, over the run.")
    cut_pow: float = Field(description="Crops are the smaller the greater this is.")
    stratified: bool = Field(description="Whether the sizes of a step's crops are spread evenly.")
    start: float = Field(description="Guided from this part of the run on.")
    end: float = Field(description="Guided before this part of the run.")
    last_step: bool = Field(True, description="Whether the step that ends the run is guided too.")
    stride: int = Field(description="Steps from one gradient to the next.")
    reuse: bool = Field(description="Whether the steps in between repeat the last gradient.")
    patience: int = Field(
        description="Gradients without a lower loss after which guidance stops; 0 for never."
    )
    recurrences: int = Field(description="Times that a guided step is taken.")
    iterations: int = Field(description="Times that the denoised pull is repeated within a step.")
    rho: float = Field(description="Weight of the gradient with respect to the noisy latents.")
    mu: float = Field(description="Weight of the gradient with respect to the denoised latents.")
    clamp: float = Field(description="Bound of the gradient's root mean square, where the preset clamps it.")
    smoothing: float = Field(description="Noise on the denoised latents over which the loss is averaged.")
    smoothing_samples: int = Field(description="Draws of this noise.")
    decoder: Decoder = Field(description="What decodes the latents for the gradient.")
    trace: bool = Field(description="Whether each guided step's losses are returned.")

    def window(self, steps: int) -> range:
        """The steps of a run of so many that are guided; every ``stride``-th of them takes a gradient."""
        within = [index for index in range(steps) if self.start <= index / steps < self.end]
        if not (within and self.scale):
            return range(0)
        return range(within[0], min(within[-1] + 1, steps if self.last_step else steps - 1))

    @property
    def clips(self) -> tuple[str, ...]:
        """The CLIPs that judge, the guide first."""
        others = (
            objective.clip or self.clip for objective in self.objectives if isinstance(objective, PROMPTS)
        )
        return tuple(dict.fromkeys((self.clip, *others)))
