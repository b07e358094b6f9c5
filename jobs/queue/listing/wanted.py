"""Which jobs a listing has."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, TypedDict, Unpack

from jobs.status.job import JobStatus

Order = Literal["newest", "turn"]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Asked(TypedDict, total=False):
    """What a caller asks for; what is left out, or None or empty, leaves no job out."""

    status: JobStatus | Collection[JobStatus] | None
    label: str | None
    kinds: Collection[str]
    order: Order
    text: str | None
    model: str | None
    error: str | None
    caller: str | None
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True)
class Wanted:
    """Which jobs a listing has, and in which order.

    Attributes:
        statuses: jobs of these; of all if there is none.
        label: jobs that have it; None for all.
        kinds: jobs of these kinds, ``generate`` or those of tasks; of all if there is none.
        order: the newest first, or the jobs that wait, the next one first. These are looked through for kinds and a
            caller alone.
        text: jobs whose prompt has it, in upper or lower case; in casefolded form.
        model: jobs of this model, or tasks of this CLIP.
        error: jobs that failed for a reason of this type.
        caller: jobs of this caller, as ``Job.caller`` names it, or ``anonymous``.
        since_us: jobs created then or later, in microseconds since 1970.
        until_us: jobs created before.
    """

    statuses: frozenset[JobStatus] = frozenset()
    label: str | None = None
    kinds: frozenset[str] = frozenset()
    order: Order = "newest"
    text: str | None = None
    model: str | None = None
    error: str | None = None
    caller: str | None = None
    since_us: int | None = None
    until_us: int | None = None

    @classmethod
    def of(cls, **asked: Unpack[Asked]) -> "Wanted":
        """Those that are asked for."""
        status, text = asked.get("status"), asked.get("text")
        statuses = (status,) if isinstance(status, JobStatus) else status or ()
        if asked.get("error") and not statuses:
            statuses = (JobStatus.FAILED,)  # whose index is shorter
        return cls(
            frozenset(statuses),
            asked.get("label"),
            frozenset(asked.get("kinds", ())),
            asked.get("order", "newest"),
            None if text is None else text.casefold(),
            asked.get("model"),
            asked.get("error"),
            asked.get("caller"),
            _microseconds(asked.get("since")),
            _microseconds(asked.get("until")),
        )

    @property
    def is_narrow(self) -> bool:
        """Whether jobs of its indexes may be none that are wanted."""
        return bool(self.label or self.kinds or self.text or self.model or self.error or self.caller)

    @property
    def oldest(self) -> str:
        """Where the range of creation ends, as Redis writes it."""
        return "-inf" if self.since_us is None else str(self.since_us)

    def newest(self, cursor: str | None) -> str:
        """Where it begins, on a page with this cursor."""
        ends = [end for end in (self.until_us, None if cursor is None else int(cursor)) if end is not None]
        return f"({min(ends)}" if ends else "+inf"


def _microseconds(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - _EPOCH) // timedelta(microseconds=1)
