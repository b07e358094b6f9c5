"""A night: one request drawn again and again until the time is over, of which the best pictures are kept."""

import re
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.requests.selection import Score
from jobs.status.job import JobError
from jobs.wire import MAX_ID_CHARS, Wire

MIN_HOURS = 0.0003  # a second
MAX_HOURS = 24
MOST_KEPT = 500
_SHARE = re.compile(r"(?=[^%]*[1-9])(100(?:\.0{1,4})?|0?[0-9]{1,2}(?:\.[0-9]{1,4})?) ?%", re.ASCII)
WHOLE = 1_000_000  # of a share


def _keep(value: object) -> object:
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value)  # as a command line has it
    if isinstance(value, float) and value.is_integer():  # JSON makes no difference between 4.0 and 4
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_KEPT:
        return value
    if isinstance(value, str) and (found := _SHARE.fullmatch(value)):
        return f"{found[1]}%"
    raise PydanticCustomError(
        "keep", "Input should be a number from 1 to {most}, or a share such as '5%'", {"most": MOST_KEPT}
    )


Keep = Annotated[
    int | str,
    BeforeValidator(_keep),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": MOST_KEPT},
                {"type": "string", "pattern": f"^{_SHARE.pattern}$"},
            ]
        }
    ),
]


def share_and_most(keep: int | str) -> tuple[int, int]:
    """What ``keep`` means: a share of the pictures made, in millionths, and the most that are kept."""
    if isinstance(keep, int):
        return WHOLE, keep
    return int(Decimal(keep.removesuffix("%")) * (WHOLE // 100)), MOST_KEPT


def kept_of(made: int, keep: int | str) -> int:
    """How many of so many pictures are kept: a share is rounded up."""
    share, most = share_and_most(keep)
    return min(most, -(-made * share // WHOLE))


class NightRequest(Wire):
    """A night to begin."""

    request: GenerateRequest = Field(
        description="What is drawn, each time with the next seed: a request as for `POST /v1/jobs`, without pictures "
        "of its own, `num_images`, `select`, `upscale`, `variation` and `webhook`.",
        examples=[{"prompt": "a red apple"}],
    )
    hours: float = Field(
        ge=MIN_HOURS,
        le=MAX_HOURS,
        allow_inf_nan=False,
        description="Time to draw in, in hours: a second to a day. What is being drawn at its end is still finished.",
        examples=[8],
    )
    keep: Keep = Field(
        "5%",
        description=f"How many pictures are kept: a number, or a share of all that were made. At most {MOST_KEPT}.",
        examples=["5%"],
    )
    by: Score = Field("clip", description="Score that ranks the pictures: `clip` or `aesthetic`.")
    scorer: Annotated[str, Field(max_length=MAX_ID_CHARS)] | None = Field(
        None,
        description="Id of the CLIP that scores. Default: the first that does not guide.",
        examples=["pocket-eval"],
    )
    upscale: bool = Field(
        True,
        description="Whether the pictures that are kept in the end are drawn again by their seeds and enlarged by 4 "
        "with Real-ESRGAN. Workers need the extra `upscale`.",
    )


class NightStatus(StrEnum):
    """Status of a night. The last three are terminal."""

    RUNNING = "running"
    FINISHING = "finishing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more will happen."""
        return self not in {NightStatus.RUNNING, NightStatus.FINISHING}


class NightPicture(Wire):
    """A picture that a night keeps."""

    number: int = Field(ge=0, description="Number of the picture within the night, from 0.")
    seed: int = Field(ge=0, description="Its seed.")
    score: float = Field(description="Its score.")
    job_id: str = Field(description="Id of the job that made it.")
    url: str = Field(description="Path of the picture on this server.", examples=["/v1/jobs/6f1c2a/images/0"])
    width: int = Field(gt=0, description="Width in pixels.")
    height: int = Field(gt=0, description="Height in pixels.")
    enlarged: bool = Field(description="Whether this is the larger one.")


class RacePoint(Wire):
    """When a picture came, and what it scored."""

    number: int = Field(ge=0, description="Number of the picture within the night, from 0.")
    at_s: float = Field(description="Seconds since the night began.", examples=[3.25])
    score: float = Field(description="Its score.")
    threshold: float | None = Field(
        description="Score of the last picture that was kept then; null if fewer were there than are kept."
    )


class Night(Wire):
    """A night, as it is now."""

    id: str = Field(description="Unguessable id of the night.", examples=["01a203967d75b0c90aa928ee9db4"])
    status: NightStatus = Field(
        description="`running`; `finishing` (the time is over: what is being drawn is finished, and the best are "
        "enlarged); `succeeded`, `failed` or `canceled`."
    )
    created_at: datetime = Field(description="When it began.")
    ends_at: datetime = Field(description="When its time is over.")
    finished_at: datetime | None = Field(None, description="When it reached a terminal status.")
    left_s: float = Field(ge=0, description="Seconds that are left to draw in.")
    request: ResolvedRequest = Field(
        description="The request of each picture, with the seed of the first; each following one adds 1."
    )
    label: str = Field(description="Label that the jobs of its pictures have.", examples=["night-01a20396"])
    keep: Keep = Field(description="How many are kept: a number, or a share.")
    by: Score = Field(description="Score that ranks the pictures.")
    upscale: bool = Field(description="Whether the kept pictures are enlarged in the end.")
    made: int = Field(ge=0, description="Pictures made so far.")
    failed: int = Field(ge=0, description="Pictures that could not be made.")
    pending: int = Field(ge=0, description="Its jobs that are queued or run.")
    num_kept: int = Field(ge=0, description="Pictures that are kept now.")
    enlarged: int = Field(ge=0, description="Those of them that are enlarged.")
    threshold: float | None = Field(
        None, description="Score that a picture must exceed now to be kept; null if there is room for any."
    )
    kept: tuple[NightPicture, ...] = Field(
        (), description="These pictures, best first; the first three in a list."
    )
    race: tuple[RacePoint, ...] = Field((), description="The pictures made, by time; none in a list.")
    race_every: int = Field(
        1, ge=1, description="The race has each picture whose number this divides: all, or fewer of many."
    )
    waits_for: str | None = Field(
        None,
        description="Why no further job is queued at present, such as a quota; null if nothing is in the way.",
    )
    error: JobError | None = Field(
        None, description="Reason of the failure; of a night that did not fail, of its last failed picture."
    )


class NightList(Wire):
    """The nights of a tenant."""

    data: tuple[Night, ...] = Field(description="Nights, newest first.")
