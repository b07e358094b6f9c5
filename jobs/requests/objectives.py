"""The objectives of guidance: terms of the loss that its gradient decreases."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from jobs.requests.embeddings import EmbeddingName
from jobs.requests.pictures import Thumbnail
from jobs.requests.presets import PixelProperty
from jobs.wire import SomeText, Wire

MAX_OBJECTIVES = 32
ZERO = 1e-6


class _Objective(Wire):
    weight: float = Field(
        1.0,
        ge=-1000,
        le=1000,
        allow_inf_nan=False,
        description="Weight in the sum of losses; a negative one pushes away.",
        examples=[1.0],
    )
    start: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Fraction of the run at which it becomes active; 0 is pure noise.",
        examples=[0.0],
    )
    end: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Fraction of the run at which it ends; 1 is the finished picture.",
        examples=[1.0],
    )

    @model_validator(mode="after")
    def _lasts(self) -> "_Objective":
        if self.start >= self.end:
            raise ValueError(f"its start {self.start:g} is not before its end {self.end:g}")
        return self

    def active(self, progress: float) -> bool:
        """Whether it counts at a time of the run, from 0 (pure noise) to 1 (finished)."""
        return self.start <= progress < self.end


class _OfClip(_Objective):
    clip: str | None = Field(
        None,
        max_length=100,
        description="Id of the CLIP that measures it. Default: `guidance.clip`.",
        examples=["pocket-m"],
    )


class TextObjective(_OfClip):
    """Spherical distance to a text."""

    type: Literal["text"] = Field(description="`text`: spherical distance between the picture and a text.")
    text: SomeText = Field(description="The text.", examples=["a red apple"])


class ImageObjective(_OfClip):
    """Spherical distance to another picture."""

    type: Literal["image"] = Field(
        description="`image`: spherical distance between the picture and another one."
    )
    image: Thumbnail = Field(
        description=f"{Thumbnail.forms} CLIP sees a few hundred pixels across, so a thumbnail will do.",
    )


class EmbeddingObjective(_OfClip):
    """Spherical distance to an aesthetic embedding."""

    type: Literal["embedding"] = Field(
        description="`embedding`: spherical distance between the picture and an aesthetic embedding, by the CLIP "
        "that made the embedding."
    )
    embedding: EmbeddingName
    digest: str | None = Field(
        None,
        max_length=64,
        description="SHA-256 of its numbers when the job was submitted; filled in.",
    )


class AestheticObjective(_OfClip):
    """The score of a CLIP's aesthetic head."""

    type: Literal["aesthetic"] = Field(
        description="`aesthetic`: the score of the aesthetic predictor that the catalog names for the CLIP."
    )


class PixelObjective(_Objective):
    """A property of the pixels, without CLIP."""

    type: PixelProperty = Field(
        description="`tv`: total variation, against noise. `range`: values beyond black and white, squared. "
        "`saturation`: the same, absolute."
    )


Objective = Annotated[
    TextObjective | ImageObjective | EmbeddingObjective | AestheticObjective | PixelObjective,
    Field(discriminator="type"),
]
# The objectives that a CLIP measures.
PROMPTS = (TextObjective, ImageObjective, EmbeddingObjective, AestheticObjective)


def check_weights(objectives: tuple[Objective, ...]) -> None:
    """Refuse objectives whose weights cancel each other out.

    The weights of the objectives of CLIPs are divided by the absolute value of the sum of the active ones. So their
    number does not change the strength of guidance.

    Raises:
        ValueError: this sum is zero at some time of the run.
    """
    prompts = [objective for objective in objectives if isinstance(objective, PROMPTS)]
    times = sorted({time for prompt in prompts for time in (prompt.start, prompt.end)})
    for start, end in pairwise(times):
        weights = [prompt.weight for prompt in prompts if prompt.active(start)]
        if weights and abs(sum(weights)) < ZERO:
            raise ValueError(f"the weights of the prompts sum to zero from {start:g} to {end:g} of the run")
