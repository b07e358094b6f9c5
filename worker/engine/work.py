"""A job on its way through the engine, and its outcomes."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from jobs.errors import DeadlineExceededError, JobFailedError, LodestarError
from jobs.requests.request import ResolvedRequest
from jobs.requests.tasks import Task
from jobs.status.job import Progress
from worker.calls import Call
from worker.engine.tasks import Done
from worker.pictures.inputs import Inputs
from worker.pictures.picture import Picture
from worker.states.state import JobState, PictureState

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


@dataclass(frozen=True)
class HandedOver:
    """A job that another worker is to go on with.

    Attributes:
        pictures: that are finished.
        states: of those that have begun.
        models: the digest of the weights that made them; empty where only pictures are left to be upscaled.
    """

    pictures: tuple[Picture, ...]
    states: tuple[PictureState, ...] = ()
    models: str = ""


Outcome = Finished | Done | Failed | Stopped | HandedOver


@dataclass
class Phase:
    """The model calls of one kind that a job has made, for its trace."""

    first_ns: int  # of the clock of the day
    last_ns: int = 0
    calls: int = 0
    rows: int = 0


@dataclass
class Work:
    """One job in the engine.

    ``stop`` may be set by any thread; the engine reads it at every iteration. Any thread may read ``progress``, and
    ``notes``, which is replaced, never changed. A job of twice the ``weight`` gets twice the share of model time.
    ``cost`` estimates the engine's part in the units of ``jobs.queue.order.cost_of``; 0 if there is no estimate.
    ``owner`` is opaque to the engine, which passes the job back in its callbacks. ``resumed`` is the state that another
    worker has left, with ``finished`` pictures. The engine drops both, and calls ``on_anew``, if its models are others.
    """

    id: str
    request: ResolvedRequest | Task
    inputs: Inputs = field(default_factory=Inputs)
    weight: float = 1.0
    cost: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    started: float = field(default_factory=time.monotonic)
    steps: int = 0  # sampling steps in all, from the start of the job's time
    resumed: JobState | None = None
    finished: tuple[Picture, ...] = ()
    on_anew: Callable[[], None] = lambda: None
    first_step: int = 0  # steps that others have done
    _stepped: tuple[int, float] = (0, 0.0)  # steps done, and when; replaced as one
    notes: tuple[str, ...] = ()  # for the person who requested it
    phases: dict[str, Phase] = field(default_factory=dict)  # written by the engine's thread alone
    owner: Any = None

    def note_call(self, call: Call, began_ns: int) -> None:
        """Note an answered model call that was made at this time."""
        name = type(call).__name__.lower()
        phase = self.phases.get(name)
        if phase is None:
            phase = self.phases[name] = Phase(began_ns)
        phase.last_ns, phase.calls, phase.rows = time.time_ns(), phase.calls + 1, phase.rows + call.size

    def resume(self, steps: int, done: int) -> None:
        """Count from the steps that others have done.

        Args:
            steps: of the job.
            done: of them.
        """
        self.steps, self.first_step, self._stepped = steps, done, (done, time.monotonic())

    def begin_anew(self) -> None:
        """Drop what others have done."""
        self.resumed, self.finished, self.first_step, self._stepped = None, (), 0, (0, 0.0)
        self.on_anew()

    def note_step(self) -> None:
        """Count one sampling step."""
        self._stepped = self._stepped[0] + 1, time.monotonic()

    @property
    def progress(self) -> Progress:
        """The steps done, and the end by the speed so far."""
        step, at = self._stepped
        left, own = self.steps - step, step - self.first_step
        eta_s = (at - self.started) / own * left if own > 1 else None
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
