"""What the safety classifier says of a picture."""

from typing import Literal

from pydantic import Field

from jobs.wire import Wire


class Safety(Wire):
    """The finding on a picture."""

    score: float = Field(ge=0, le=1, description="Probability that the picture is not safe for work.")
    flagged: bool = Field(description="Whether the score has reached the operator's threshold.")
    action: Literal["none", "blurred"] = Field(description="What was done to the picture.")
