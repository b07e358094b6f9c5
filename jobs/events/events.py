"""The events of a job, one small type each.

The scripts in ``jobs/db/lua`` append an event in the same step as the change that it describes; a worker adds previews
and log lines. Every event has the id that Redis gave it in its stream; a reader resumes after an id.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field, TypeAdapter, computed_field

from jobs.status import links
from jobs.status.job import Job, JobStatus
from jobs.wire import Wire


class _Event(Wire):
    job_id: str = Field(description="Id of the job.")
    at: datetime = Field(description="When it happened, by the clock of Redis.")

    is_final: ClassVar[bool] = False
    """Whether the job has ended or is gone: no later event of it matters."""


class SnapshotEvent(Wire):
    """The job as it stood when the stream began, or began anew. Later events start from here."""

    type: Literal["snapshot"] = "snapshot"
    job: Job = Field(description="The job.")
    missed: bool = Field(
        False, description="Whether events were missed before this, since they are no longer kept."
    )


class QueuedEvent(_Event):
    """The job waits for a worker."""

    type: Literal["queued"] = "queued"
    reason: Literal["submitted", "worker_lost", "released"] = Field(
        description="Why it waits: it is new, its worker was lost, or its worker released it."
    )


class StartedEvent(_Event):
    """A worker has started the job."""

    type: Literal["started"] = "started"
    attempt: int = Field(description="Number of the attempt, from 1.")
    worker: str = Field(description="Name of the worker.")


class ProgressEvent(_Event):
    """The job has done some steps."""

    type: Literal["progress"] = "progress"
    step: int = Field(description="Sampling steps done, over all pictures of the job.")
    steps: int = Field(description="Sampling steps in all.")
    eta_s: float | None = Field(None, description="Seconds until the end; null when not known yet.")

    @computed_field(description="step / steps, from 0 to 1.")  # type: ignore[prop-decorator]
    @property
    def fraction(self) -> float:
        """``step / steps``."""
        return self.step / self.steps if self.steps else 0.0


class PreviewEvent(_Event):
    """There is a new preview of a picture; each takes the place of the one before."""

    type: Literal["preview"] = "preview"
    index: int = Field(description="Number of the picture within its job, from 0.")
    step: int = Field(description="Sampling steps of this picture that were done.")

    @computed_field(description="Path of the preview on this server, a small JPEG.")  # type: ignore[prop-decorator]
    @property
    def url(self) -> str:
        """Where to get it."""
        return links.here(links.preview(self.job_id, self.index, self.step))


class CandidateEvent(_Event):
    """A best-of-n job has generated one of its candidates."""

    type: Literal["candidate"] = "candidate"
    index: int = Field(description="Number of the picture within its job, from 0.")
    seed: int = Field(description="Seed of this picture.")
    clip_score: float | None = Field(None, description="Similarity to the prompt by the scorer.")
    aesthetic_score: float | None = Field(None, description="The aesthetic predictor's score.")

    @computed_field(description="Path of the picture on this server, there until the choice.")  # type: ignore[prop-decorator]
    @property
    def url(self) -> str:
        """Where to get it."""
        return links.here(links.image(self.job_id, self.index))


class LogEvent(_Event):
    """A line of the job's log, for a person."""

    type: Literal["log"] = "log"
    level: Literal["info", "warning"] = Field(description="info, or warning.")
    message: str = Field(description="One sentence.")


class CancelingEvent(_Event):
    """A cancel of a running job was requested; ``done`` follows when the job stops."""

    type: Literal["canceling"] = "canceling"


class DoneEvent(_Event):
    """The job has ended. Each job has exactly one such event."""

    is_final: ClassVar[bool] = True

    type: Literal["done"] = "done"
    status: JobStatus = Field(description="succeeded, failed or canceled.")
    job: Job | None = Field(None, description="The job; null if it was deleted since.")


class DeletedEvent(_Event):
    """The job was deleted, in whatever status."""

    is_final: ClassVar[bool] = True

    type: Literal["deleted"] = "deleted"


Event = Annotated[
    QueuedEvent
    | StartedEvent
    | ProgressEvent
    | PreviewEvent
    | CandidateEvent
    | LogEvent
    | CancelingEvent
    | DoneEvent
    | DeletedEvent,
    Field(discriminator="type"),
]
FINAL_TYPES = frozenset(event.model_fields["type"].default for event in (DoneEvent, DeletedEvent))
_EVENT: TypeAdapter[Event] = TypeAdapter(Event)


def read_event(stream_id: str, fields: Mapping[str, str], job_id: str | None = None) -> Event:
    """The event that an entry of a stream holds; entries of one job's own stream do not repeat its id."""
    at = datetime.fromtimestamp(int(stream_id.partition("-")[0]) / 1000, tz=UTC)
    known = {} if job_id is None else {"job_id": job_id}
    return _EVENT.validate_python({**fields, **known, "at": at})
