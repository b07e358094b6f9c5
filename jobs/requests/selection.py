"""Best-of-n selection."""

from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise
from math import isfinite
from statistics import fmean, pstdev
from typing import Annotated, Any, Literal, Protocol, get_args

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from jobs.wire import MAX_ID_CHARS, AtMost, Formerly, Wire, same_field

MAX_CANDIDATES = 256
MAX_RESAMPLINGS = 16
Score = Literal["clip", "aesthetic"]


class Weights(Wire):
    """A weighted sum of scores, each first brought to mean 0 and deviation 1 over the candidates."""

    clip: float = Field(
        0, ge=-100, le=100, description="Weight of the similarity to the prompt.", examples=[1]
    )
    aesthetic: float = Field(0, ge=-100, le=100, description="Weight of the aesthetic score.", examples=[0.5])

    @model_validator(mode="after")
    def _weigh_something(self) -> "Weights":
        if not self.clip and not self.aesthetic:
            raise ValueError("at least one weight must not be 0")
        return self


def _score_or_weights(value: object) -> object:
    # So that the error names the field at fault, and not each type that this value could have had.
    if isinstance(value, dict):
        return Weights.model_validate(value)
    if isinstance(value, Weights) or value in get_args(Score):
        return value
    raise PydanticCustomError(
        "literal_error",
        "Input should be {expected}, or an object with a weight for each",
        {"expected": "'clip' or 'aesthetic'"},
    )


class Potential(StrEnum):
    """What a candidate weighs when candidates are drawn anew (Singhal et al. 2025, sec. 4.1)."""

    DIFFERENCE = "difference"  # how much its score has risen since the last time
    MAX = "max"  # its best score so far
    SUM = "sum"  # the sum of its scores so far


class ResolvedResampling(Wire):
    """Feynman-Kac steering with every default filled in."""

    at: tuple[float, ...] = Field(
        description="Shares of the run after which the candidates are drawn anew.",
        examples=[[0.3, 0.5, 0.7]],
    )
    potential: Potential = Field(
        description="What a candidate weighs: `difference` (its rise since the last time), `max` (its best score so "
        "far) or `sum` (of all its scores)."
    )
    strength: float = Field(
        description="Weights are exp(strength x potential), of similarities: 0 draws all alike, and a large one "
        "follows the best alone.",
        examples=[50.0],
    )
    clip: str = Field(
        description="Id of the CLIP whose similarity to the prompt counts. Default: the model's guidance CLIP, so that "
        "another one chooses in the end.",
        examples=["pocket-m"],
    )


class Resampling(Wire):
    """Steer a run by search: at some steps the candidates are scored on their estimates, and drawn anew.

    A candidate with a low score ends, and one with a high score goes on as several, which part again by the fresh
    noise of the sampler. No gradient is taken. Candidates are drawn in groups of 16.
    """

    at: Annotated[
        tuple[Annotated[float, Field(gt=0, lt=1)], ...],
        AtMost(MAX_RESAMPLINGS),
        Field(json_schema_extra={"minItems": 1}),
    ] = same_field(ResolvedResampling, "at", (0.3, 0.5, 0.7))
    potential: Potential = same_field(ResolvedResampling, "potential", Potential.DIFFERENCE)
    strength: Annotated[float, Field(ge=0, le=10_000)] = same_field(ResolvedResampling, "strength", 50.0)
    clip: Annotated[str | None, Field(max_length=MAX_ID_CHARS)] = same_field(ResolvedResampling, "clip")

    @field_validator("at")
    @classmethod
    def _rise(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if not shares:
            raise ValueError("candidates are drawn anew at no step; leave resample out")
        if any(later <= earlier for earlier, later in pairwise(shares)):
            raise ValueError("shares of the run rise")
        return shares


class ResolvedSelection(Wire):
    """Selection with every default filled in."""

    keep: int = Field(description="Pictures to keep.", examples=[3])
    by: Weights = Field(
        description="Score that ranks the pictures: similarity to the prompt, aesthetic score, or both."
    )
    scorer: Annotated[str, Formerly("judge")] = Field(
        description="Id of the CLIP that computes the similarity. Default: the first that does not guide.",
        examples=["pocket-eval"],
    )
    resample: ResolvedResampling | None = Field(
        None,
        description="Steering by search: draw the candidates anew during the run. Default: none.",
    )


class Selection(Wire):
    """Make many pictures and keep the best, by a CLIP that did not guide them."""

    candidates: int = Field(ge=1, le=MAX_CANDIDATES, description="Pictures to make.", examples=[16])
    keep: Annotated[int, Field(ge=1, le=MAX_CANDIDATES)] = same_field(ResolvedSelection, "keep", 1)
    by: Annotated[Score | Weights, BeforeValidator(_score_or_weights)] = same_field(
        ResolvedSelection, "by", "clip"
    )
    scorer: Annotated[str | None, Field(max_length=MAX_ID_CHARS)] = same_field(ResolvedSelection, "scorer")
    resample: Resampling | None = same_field(ResolvedSelection, "resample")

    @model_validator(mode="after")
    def _leaves_a_choice(self) -> "Selection":
        if self.keep > self.candidates:
            raise ValueError(f"{self.candidates} candidates are too few to keep {self.keep}")
        return self


def candidates_as_answered(fields: Any) -> Any:
    """A request's fields, with the number of candidates where ``select`` has it.

    Answers show it as the number of pictures, and a request may be sent again as answers show it.
    """
    if not isinstance(fields, dict) or not isinstance(select := fields.get("select"), dict):
        return fields
    if select.keys() != ResolvedSelection.model_fields.keys() or "num_images" not in fields:
        return fields
    return {**fields, "select": {**select, "candidates": fields["num_images"]}}


class Scored(Protocol):
    """A candidate's scores."""

    @property
    def clip_score(self) -> float | None:
        """Cosine similarity to the prompt; None if unknown."""

    @property
    def aesthetic_score(self) -> float | None:
        """The aesthetic head's score; None if unknown."""


def rank_scores(candidates: Sequence[Scored], by: Weights) -> list[float]:
    """Each candidate's rank score, higher being better; a score that is missing or not finite counts as average."""
    clip = _standard([candidate.clip_score for candidate in candidates])
    aesthetic = _standard([candidate.aesthetic_score for candidate in candidates])
    return [by.clip * c + by.aesthetic * a for c, a in zip(clip, aesthetic, strict=True)]


def best(candidates: Sequence[Scored], by: Weights, keep: int) -> list[int]:
    """Indices of the ``keep`` best, best first; between equals, the first made."""
    scores = rank_scores(candidates, by)
    return sorted(range(len(scores)), key=lambda place: -scores[place])[:keep]


def _standard(values: Sequence[float | None]) -> list[float]:
    known = [value for value in values if value is not None and isfinite(value)]
    mean, deviation = (fmean(known), pstdev(known)) if known else (0.0, 0.0)
    return [
        0.0 if value is None or not isfinite(value) or deviation == 0 else (value - mean) / deviation
        for value in values
    ]
