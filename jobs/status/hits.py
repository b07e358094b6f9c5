"""What search finds, as the API tells it."""

from pydantic import Field

from jobs.status.job import Image
from jobs.wire import Wire


class Hit(Wire):
    """A picture that was found."""

    similarity: float = Field(
        description="Cosine similarity to the query, after it was moved.", examples=[0.31]
    )
    job_id: str = Field(description="Id of its job.")
    prompt: str = Field(description="What it was made from.")
    image: Image = Field(description="The picture.")


class Hits(Wire):
    """Pictures that were found."""

    clip: str = Field(description="Id of the CLIP whose similarity this is.")
    data: tuple[Hit, ...] = Field(description="The pictures, nearest first.")
