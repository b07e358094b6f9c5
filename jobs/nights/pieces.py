"""The jobs of a night that have not ended, and the pictures that it holds."""

from dataclasses import dataclass

from jobs.status.job import JobStatus

LARGE = "large"


@dataclass(frozen=True)
class Flight:
    """A job of a night that has not been settled.

    Attributes:
        name: of what it makes: the number of a picture, or ``<number>/large``.
        job_id: its id.
        is_reserved: whether it may not be in the queue yet.
        status: of the job; None if there is none.
    """

    name: str
    job_id: str
    is_reserved: bool
    status: str | None

    @property
    def number(self) -> int:
        """The number of the picture."""
        return int(self.name.partition("/")[0])

    @property
    def is_large(self) -> bool:
        """Whether it enlarges a picture."""
        return self.name.endswith(f"/{LARGE}")

    @property
    def has_ended(self) -> bool:
        """Whether the job is known to have ended; without a status it is not."""
        return self.status in {JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED}


@dataclass(frozen=True)
class Held:
    """A picture that a night holds.

    Attributes:
        number: of the picture.
        score: of it.
        job_id: of the job that made it; None if it is not known, which nothing but a lost write explains.
        is_enlarged: whether it is the larger one.
        is_left_small: whether it could not be enlarged.
    """

    number: int
    score: float
    job_id: str | None
    is_enlarged: bool
    is_left_small: bool

    @classmethod
    def read(cls, number: str, score: float, place: str | None) -> "Held":
        """As Redis has it."""
        return cls(
            number=int(number),
            score=score,
            job_id=None if place is None else place.rstrip("+-"),
            is_enlarged=bool(place and place.endswith("+")),
            is_left_small=bool(place and place.endswith("-")),
        )
