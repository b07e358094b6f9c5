"""Personalization by aesthetic gradients as a caller asks for it, and with every default filled in."""

from functools import partial
from typing import Annotated, Literal

from pydantic import Field

from jobs.requests.embeddings import EmbeddingName
from jobs.wire import SomeText, Wire, same_field

Blend = Literal["lerp", "slerp"]


class ResolvedPersonalization(Wire):
    """Personalization with every default filled in, for one version of the embedding."""

    embedding: EmbeddingName
    digest: str = Field(description="SHA-256 of the embedding's numbers when the job was submitted.")
    steps: int = Field(description="Steps of Adam; 0 changes nothing. Try 2, 5, 10, 20.", examples=[10])
    lr: float = Field(
        description="Adam's learning rate. Default: the model's own, which is the published 1e-4 unless its catalog "
        "entry says otherwise.",
        examples=[1e-4],
    )
    weight: float = Field(
        description="Share of the tuned encoder's tokens in the conditioning; the rest are the original encoder's.",
        examples=[0.9],
    )
    blend: Blend = Field(
        description="How the two are mixed: on the line (`lerp`) or on the arc (`slerp`) of each token."
    )
    text: str | None = Field(
        description="Text that the embedding is turned towards, or away from. Default: none, which leaves it as it is.",
        examples=["watercolour"],
    )
    text_angle: float = Field(
        description="Fraction of the angle to the text that the embedding is turned by.",
        examples=[0.1],
    )
    text_negative: bool = Field(description="Turn the embedding away from the text.")


_field = partial(same_field, ResolvedPersonalization)


class Personalization(Wire):
    """Fit the text encoder to an aesthetic embedding before it reads the prompt (Gallego 2022, arXiv 2209.12330)."""

    answered = ResolvedPersonalization
    embedding: EmbeddingName
    steps: Annotated[int, Field(ge=0, le=100)] = _field("steps", 10)
    lr: Annotated[float | None, Field(gt=0, le=0.1)] = _field("lr")
    weight: Annotated[float, Field(ge=0, le=1)] = _field("weight", 1.0)
    blend: Blend = _field("blend", "lerp")
    text: SomeText | None = _field("text")
    text_angle: Annotated[float, Field(ge=0, le=1)] = _field("text_angle", 0.1)
    text_negative: bool = _field("text_negative", False)
