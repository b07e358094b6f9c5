"""Results of a search, as callers see them."""

from pydantic import Field

from jobs.status.job import Image
from jobs.wire import Wire


class Hit(Wire):
    """A picture found."""

    similarity: float = Field(
        description="Cosine similarity to the query, after `towards` and `away` moved it.", examples=[0.31]
    )
    job_id: str = Field(description="Id of its job.")
    prompt: str = Field(description="Its prompt.")
    image: Image = Field(description="The picture.")


class Hits(Wire):
    """The pictures found."""

    clip: str = Field(description="Id of the CLIP whose similarity this is.")
    data: tuple[Hit, ...] = Field(description="The pictures, nearest first.")
