"""A job as callers see it: its status, progress, pictures, error and times."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field, computed_field
from pydantic.json_schema import SkipJsonSchema

from jobs.requests.delivery.webhook import WebhookEvent
from jobs.requests.request import ResolvedRequest
from jobs.requests.tasks import AnyRequest, AnyResult, generation_of
from jobs.status import links
from jobs.status.safety import Safety
from jobs.wire import Wire


class JobStatus(StrEnum):
    """Status of a job. The last three are terminal: a job enters exactly one of them, once."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def is_terminal(self) -> bool:
        """Whether the job's outcome is final."""
        return self in {JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED}


class Progress(Wire):
    """Progress of a running job."""

    step: int = Field(0, ge=0, description="Sampling steps done, over all pictures of it.", examples=[12])
    steps: int = Field(0, ge=0, description="Sampling steps in all.", examples=[25])
    eta_s: float | None = Field(
        None,
        ge=0,
        description=(
            "Seconds until the end at the present speed: the job's own while it runs, that of all workers "
            "while it waits. Null until measured."
        ),
    )

    @computed_field(description="step / steps, from 0 to 1.")  # type: ignore[prop-decorator]
    @property
    def fraction(self) -> float:
        """``step / steps``; 0 when nothing is planned yet."""
        return self.step / self.steps if self.steps else 0.0


class GuidedStep(Wire):
    """Guidance at one sampling step."""

    step: int = Field(ge=0, description="Index of the step, from 0.", examples=[3])
    loss: float | None = Field(
        description="Weighted sum of the objectives before the step; null if it is not finite.",
        examples=[0.42],
    )
    losses: tuple[float | None, ...] = Field(
        description="Each objective of the request in turn, without its weight; null where it was not active.",
        examples=[[0.42]],
    )
    gradient_rms: float | None = Field(
        description="Root mean square of the gradient, before any normalization; null if it is not finite.",
        examples=[0.0012],
    )
    skipped: bool = Field(
        False, description="Whether the step was not guided because the gradient is not finite."
    )


class StoredImage(Wire):
    """One finished picture and where the artifact store keeps it."""

    index: int = Field(ge=0)
    seed: int = Field(ge=0)
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    key: str
    clip_score: float | None = None
    trace: tuple[GuidedStep, ...] | None = None
    aesthetic_score: float | None = None
    safety: Safety | None = None


class Image(Wire):
    """One finished picture of a job."""

    index: int = Field(ge=0, description="Number of the picture within its job, from 0.")
    url: str = Field(description="Path of the picture on this server.", examples=["/v1/jobs/6f1c2a/images/0"])
    signed_url: str | None = Field(
        None,
        description="Address that needs no key until it expires: a path on this server, or an address at the artifact "
        "store. Null unless asked for.",
    )
    seed: int = Field(
        ge=0,
        description="Seed of this picture: the request's, plus the index without `variation`.",
    )
    width: int = Field(gt=0, description="Width in pixels.")
    height: int = Field(gt=0, description="Height in pixels.")
    clip_score: float | None = Field(
        None,
        ge=-1,
        le=1,
        description=(
            "Cosine similarity of the picture and its prompt by the guidance CLIP, or by the model's default "
            "CLIP without guidance. A guidance CLIP overrates its own pictures. With `select`: by its scorer."
        ),
    )
    aesthetic_score: float | None = Field(
        None,
        description="The aesthetic predictor's score, not clamped; null if the catalog names no predictor.",
    )
    trace: tuple[GuidedStep, ...] | None = Field(
        None,
        description="Every guided step, if `guidance.trace` is on. Recurrences are steps of their own.",
    )
    safety: Safety | None = Field(
        None, description="What the safety classifier found; null if the operator has none."
    )


class Candidate(Wire):
    """A picture that a best-of-n job has made so far."""

    index: int = Field(ge=0, description="Number of the picture within its job, from 0.")
    seed: int = Field(ge=0, description="Seed of this picture.")
    clip_score: float | None = Field(None, description="Similarity to the prompt by the scorer.")
    aesthetic_score: float | None = Field(None, description="The aesthetic predictor's score.")
    score: float = Field(description="Rank score among the candidates so far; higher is better.")
    kept: bool | None = Field(None, description="Whether it was kept; null until the job has succeeded.")
    url: str | None = Field(
        None, description="Path of the picture; null once it is deleted, if it is not kept."
    )


class JobError(Wire):
    """Why a job failed."""

    type: str = Field(description="Stable name of the reason.", examples=["deadline_exceeded"])
    message: str = Field(description="One sentence for a person.")


class Metrics(Wire):
    """Durations in seconds of the server's clock."""

    queue_s: float | None = Field(None, ge=0, description="From submission to the start of the last attempt.")
    execution_s: float | None = Field(None, ge=0, description="From that start to the end.")


class WebhookState(Wire):
    """Delivery of the job's webhook messages."""

    url: str = Field(description="Address that the messages are posted to.")
    events: tuple[WebhookEvent, ...] = Field(description="Occasions for a message.")
    status: Literal["waiting", "pending", "delivered", "failed"] = Field(
        description="State of the newest message: waiting (there is none yet), pending (to be sent, or sent again), "
        "delivered, or failed (given up)."
    )
    attempts: int = Field(0, ge=0, description="Times that the newest message was sent.")
    last_error: str | None = Field(None, description="Error of the last delivery; null if it succeeded.")
    prediction_base: str | None = Field(
        None,
        description="Address of this server in its messages, if they are predictions of Replicate's API; null if they "
        "hold the job.",
    )


class Job(Wire):
    """A job: its request, status and results."""

    id: str = Field(description="Unguessable id of the job.", examples=["01a203967d75b0c90aa928ee9db4"])
    status: JobStatus = Field(description="queued, running, succeeded, failed or canceled.")
    created_at: datetime = Field(description="When it was accepted.")
    started_at: datetime | None = Field(None, description="When its last attempt started.")
    finished_at: datetime | None = Field(None, description="When it reached a terminal status.")
    queue_position: int | None = Field(
        None,
        ge=0,
        description="Jobs that wait before this one; null unless queued, and while no worker can read its request.",
    )
    cancel_requested: bool = Field(
        False, description="Whether it still runs although a cancel was requested."
    )
    attempts: int = Field(
        0,
        ge=0,
        description="Charged attempts: the present one, and those that ran alone on a lost worker. After three of the "
        "latter the job fails.",
    )
    starts: int = Field(
        0, ge=0, description="Times that a worker started it, including those after which it was requeued."
    )
    worker: str | None = Field(None, description="Name of the worker of the last attempt.")
    caller: str | None = Field(
        None, description="Digest of the caller's name, the same for all its jobs; null for an anonymous one."
    )
    progress: Progress = Field(default_factory=lambda: Progress(), description="Its progress.")
    request: AnyRequest = Field(description="The request with every default and the seed filled in.")
    images: tuple[Image, ...] = Field((), description="Its pictures, once it has succeeded.")
    candidates: tuple[Candidate, ...] = Field(
        (), description="All pictures that a best-of-n job has made so far, kept or not."
    )
    result: AnyResult | None = Field(None, description="Result of a job that makes no picture.")
    error: JobError | None = Field(None, description="Reason of the failure; null unless it failed.")
    notes: tuple[str, ...] = Field(
        (),
        description="Deviations from the request, a sentence each, such as a text that was cut off.",
    )
    metrics: Metrics = Field(default_factory=lambda: Metrics(), description="Times taken.")
    webhook: WebhookState | None = Field(None, description="Its webhook; null if it has none.")
    # Of predictions alone, which show it in their addresses.
    picture_suffix: SkipJsonSchema[str] = Field("", exclude=True)

    @property
    def generates(self) -> bool:
        """Whether it makes pictures."""
        return isinstance(self.request, ResolvedRequest)

    @property
    def generation(self) -> ResolvedRequest:
        """The request of a job that makes pictures; TypeError for a task."""
        return generation_of(self.request)

    @computed_field(description="Paths of the maps of its `controls`, once it has succeeded.")  # type: ignore[prop-decorator]
    @property
    def maps(self) -> tuple[str, ...]:
        """Paths of the maps that its controls have read, in their order."""
        has_read = self.generates and self.status is JobStatus.SUCCEEDED
        count = len(self.generation.controls) if has_read else 0
        return tuple(links.here(links.control_map(self.id, number)) for number in range(count))

    @computed_field(description="Paths of this job's other resources.")  # type: ignore[prop-decorator]
    @property
    def urls(self) -> dict[str, str]:
        """Paths to get, to cancel and to follow this job."""
        paths = {"self": links.job, "cancel": links.cancel, "events": links.events}
        return {name: links.here(path(self.id)) for name, path in paths.items()}
