"""Personalisation of a request by aesthetic gradients, and the same with nothing left open."""

from typing import Literal

from pydantic import Field

from jobs.requests.embeddings import EmbeddingName
from jobs.wire import SomeText, Wire

Blend = Literal["lerp", "slerp"]


class Personalization(Wire):
    """Fit the text encoder to a taste for a few steps before it reads the prompt (Gallego 2022, arXiv 2209.12330)."""

    embedding: EmbeddingName
    steps: int = Field(
        10, ge=0, le=100, description="Steps of Adam; 0 changes nothing. Try 2, 5, 10, 20.", examples=[10]
    )
    lr: float | None = Field(
        None,
        gt=0,
        le=0.1,
        description="Adam's learning rate; by default the model's own, which is the published 1e-4 unless its "
        "catalog entry says otherwise.",
        examples=[1e-4],
    )
    weight: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of the tuned encoder's words in the conditioning; the rest are its own.",
        examples=[0.9],
    )
    blend: Blend = Field(
        "lerp", description="How the two are mixed: on the line, or on the arc of each token."
    )
    text: SomeText | None = Field(
        None,
        description="Turn the embedding towards this text, or away from it; not turned if left out.",
        examples=["watercolour"],
    )
    text_angle: float = Field(
        0.1,
        ge=0,
        le=1,
        description="How far it is turned, as a share of the way to the text.",
        examples=[0.1],
    )
    text_negative: bool = Field(False, description="Turn it away from the text.")


class ResolvedPersonalization(Wire):
    """Personalisation with the very vector pinned."""

    embedding: str = Field(description="Name of the aesthetic embedding.")
    digest: str = Field(description="SHA-256 of its numbers when the job was submitted.")
    steps: int = Field(description="Steps of Adam.")
    lr: float = Field(description="Adam's learning rate.")
    weight: float = Field(description="Share of the tuned encoder's words.")
    blend: Blend = Field(description="How they are mixed with its own.")
    text: str | None = Field(description="Text that the embedding is turned towards or away from, or null.")
    text_angle: float = Field(description="How far; 0 without a text.")
    text_negative: bool = Field(description="Whether away from it.")
