"""The names and descriptions of aesthetic embeddings."""

from typing import Annotated, Literal

from pydantic import Field

from jobs.wire import Wire

EmbeddingName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=100,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="Name of an aesthetic embedding.",
        examples=["fluent"],
    ),
]


class EmbeddingInfo(Wire):
    """An aesthetic embedding: one vector of a CLIP's space, which stands for a style or a preference."""

    kind: Literal["embedding"] = Field("embedding", description="Always `embedding`.")
    name: str = Field(description="Its name.", examples=["fluent"])
    clip: str = Field(description="Id of the CLIP that made it, the only one that can use it.")
    digest: str = Field(description="SHA-256 of its numbers.")
    made_from: Literal["pictures", "contrast", "import"] = Field(
        description="The mean of pictures, the mean of some minus the mean of others, or a file of others."
    )
    normalize: bool | None = Field(
        None,
        description="Whether every picture counts the same, whatever its embedding's length; null for a file.",
    )
    pictures: int | None = Field(None, description="Number of pictures; null for a file.")
    minus: int | None = Field(None, description="Number of pictures whose mean was taken off; null without.")


class EmbeddingList(Wire):
    """All aesthetic embeddings."""

    data: tuple[EmbeddingInfo, ...] = Field(description="The embeddings, by name.")
