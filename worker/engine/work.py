"""A job on its way through the engine, and its outcomes."""

import threading
import time
from dataclasses import dataclass, field
from typing import Any

import structlog

from jobs.errors import DeadlineExceededError, JobFailedError, LodestarError
from jobs.requests.request import ResolvedRequest
from jobs.requests.tasks import Task
from jobs.status.job import Progress
from worker.engine.tasks import Done
from worker.pictures.inputs import Inputs
from worker.pictures.picture import Picture

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Finished:
    """All pictures of a job, in order."""

    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Failed:
    """A job that cannot succeed."""

    error: LodestarError


@dataclass(frozen=True)
class Stopped:
    """A job that was stopped, or that the closing engine left unfinished."""


Outcome = Finished | Done | Failed | Stopped


@dataclass
class Work:
    """One job in the engine.

    ``stop`` may be set by any thread; the engine reads it at every iteration. Any thread may read ``progress``, and
    ``notes``, which is replaced, never changed. A job of twice the ``weight`` gets twice the share of model time.
    ``cost`` estimates the engine's part in the units of ``jobs.queue.order.cost_of``; 0 if there is no estimate.
    ``owner`` is opaque to the engine, which passes the job back in its callbacks.
    """

    id: str
    request: ResolvedRequest | Task
    inputs: Inputs = field(default_factory=Inputs)
    weight: float = 1.0
    cost: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    started: float = field(default_factory=time.monotonic)
    steps: int = 0  # sampling steps in all, from the start of the job's time
    _stepped: tuple[int, float] = (0, 0.0)  # steps done, and when; replaced as one
    notes: tuple[str, ...] = ()  # for the person who requested it
    owner: Any = None

    def note_step(self) -> None:
        """Count one sampling step."""
        self._stepped = self._stepped[0] + 1, time.monotonic()

    @property
    def progress(self) -> Progress:
        """The steps done, and the end by the speed so far."""
        step, at = self._stepped
        left = self.steps - step
        eta_s = (at - self.started) / step * left if step > 1 else None
        return Progress(step=step, steps=self.steps, eta_s=eta_s)

    @property
    def overdue(self) -> bool:
        """Whether the job has run longer than it may."""
        return time.monotonic() - self.started > self.request.timeout_s

    def too_late(self) -> DeadlineExceededError:
        """The error of an overdue job."""
        return DeadlineExceededError(f"the job ran longer than its timeout_s of {self.request.timeout_s:g} s")


def as_failure(error: Exception, job_id: str) -> LodestarError:
    """The failure of a job after an error. The log gets the error if its text is not for the job's owner."""
    if isinstance(error, LodestarError):
        return error
    log.error("job failed for an internal error", job=job_id, exc_info=error)
    return JobFailedError(f"internal error: {type(error).__name__}")
