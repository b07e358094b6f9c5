"""Runs the samplers of several jobs in one loop: step-level continuous batching.

Each turn of the loop looks at the calls that all samplers wait for, runs one group of them as a batch, and sends every
sampler its own answer. Jobs join and leave between any two turns, and never notice each other: what a sampler draws,
when it ends and whether it fails is its own affair.
"""

import queue
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import structlog

from jobs.catalog import Catalog
from jobs.errors import DeadlineExceededError, JobFailedError, LodestarError
from jobs.request import ResolvedRequest
from jobs.state import Progress
from jobs.tasks import Task
from worker.calls import Call, Describe, Fetch, InputSize, Measure, Note, Predictor, Preview, Stepped
from worker.fetching import Fetches
from worker.grouping import Account, Schedule, Track
from worker.inputs import Inputs
from worker.models.registry import Hold
from worker.plans import AT_ONCE, Plan, plan
from worker.runner import Runner
from worker.sampler import Picture
from worker.tasks import Done

Sampler = Generator[Call, Any, Picture | Done]

WAKE_S = 0.5  # how soon a job that waits for its models hears of its cancel

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Finished:
    """All pictures of a job, in order."""

    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Failed:
    """Why a job cannot succeed."""

    error: LodestarError


@dataclass(frozen=True)
class Stopped:
    """The job was told to stop, or the engine is closing."""


Outcome = Finished | Done | Failed | Stopped


@dataclass
class Work:
    """One job in the engine.

    ``stop`` may be set by any thread; the engine looks at it before every call. ``progress`` is replaced, never
    changed, so that any thread may read it. A job of twice the ``weight`` gets twice the share of model time.
    """

    id: str
    request: ResolvedRequest | Task
    inputs: Inputs = field(default_factory=Inputs)
    weight: float = 1.0
    stop: threading.Event = field(default_factory=threading.Event)
    progress: Progress = field(default_factory=lambda: Progress())
    started: float = field(default_factory=time.monotonic)
    pictures: list[Picture] = field(default_factory=list)
    notes: tuple[str, ...] = ()  # for whoever asked; replaced like the progress

    def note_step(self) -> None:
        """Count one sampling step, and foresee the end from the speed so far."""
        step = self.progress.step + 1
        elapsed = time.monotonic() - self.started
        left = self.progress.steps - step
        self.progress = Progress(
            step=step, steps=self.progress.steps, eta_s=elapsed / step * left if step > 1 else None
        )

    @property
    def overdue(self) -> bool:
        """Whether the job has run longer than it may."""
        return time.monotonic() - self.started > self.request.timeout_s


@dataclass(eq=False)
class _Job:
    """A job, the models that are kept for it, and those of its pictures that are not finished."""

    work: Work
    plan: Plan
    hold: Hold
    account: Account | None = None  # from the start of its samplers
    tracks: list[Track["_Job"]] = field(default_factory=list)
    left: bool = False


class Engine:
    """The loop. ``serve`` runs on one thread; ``admit`` and ``close`` may be called from any other.

    Attributes, which any thread may read:
        calling_since: when the group that the device now works on was started; None between groups. A watchdog that
            finds this long ago has found a call that hangs.
        busy_s: seconds spent in model calls; its growth over a time is the share of it that the model was busy.
    """

    def __init__(
        self,
        runner: Runner,
        catalog: Catalog,
        on_outcome: Callable[[Work, Outcome], None],
        on_preview: Callable[[Work, Preview], None] = lambda *_: None,
        on_picture: Callable[[Work, Picture], Picture] = lambda _work, picture: picture,
    ) -> None:
        """Make an idle engine.

        Args:
            runner: answers calls.
            catalog: tells which CLIP scores an unguided picture.
            on_outcome: called on the engine's thread when a job leaves; must not block.
            on_preview: likewise, when there is a preview of one of a job's pictures.
            on_picture: likewise, when one of its pictures is finished; returns what is to be kept of it until the job
                ends.
        """
        self._runner = runner
        self._catalog = catalog
        self._on_outcome = on_outcome
        self._on_preview = on_preview
        self._on_picture = on_picture
        self._schedule = Schedule(runner.max_batch)
        self._inbox: queue.SimpleQueue[Work | None] = queue.SimpleQueue()  # None only wakes the loop
        self._fetches: Fetches[Track[_Job]] = Fetches(lambda: self._inbox.put(None))
        self._jobs: list[_Job] = []
        self._tracks: list[Track[_Job]] = []  # all that wait for a call, longest first
        self._closing = False
        self.calling_since: float | None = None
        self.busy_s = 0.0

    def admit(self, work: Work) -> None:
        """Take a job in; it starts as soon as its models are in memory."""
        self._inbox.put(work)

    def close(self) -> None:
        """Let the loop end: every job still in it comes out as ``Stopped``."""
        self._closing = True
        self._inbox.put(None)

    def serve(self) -> None:
        """Run until closed.

        Raises:
            DeviceLostError: the device computes no more. No job comes out: the process must end, and whoever gave it
                the jobs gives them to another.
        """
        while not self._closing:
            self._take_in()
            self._dismiss()
            self._go_on_with_fetched()
            self._start_loaded()
            if self._tracks:
                self._turn(self._schedule.choose(self._tracks))
        self._take_in()
        self._fetches.close()
        for job in list(self._jobs):
            self._leave(job, Stopped())

    def _take_in(self) -> None:
        """Enter newly admitted jobs; with nothing else to do, wait for one, or for models that are being loaded."""
        try:
            if not self._tracks and not self._closing:
                self._enter(self._inbox.get(timeout=WAKE_S if self._jobs else None))
            while True:
                self._enter(self._inbox.get_nowait())
        except queue.Empty:
            return

    def _enter(self, work: Work | None) -> None:
        """Ask for the models of a job."""
        if work is None:
            return
        try:
            planned = plan(work.request, work.inputs, self._catalog)
        except LodestarError as error:
            return self._on_outcome(work, Failed(error))
        hold = self._runner.models.hold(planned.refs, on_settled=lambda: self._inbox.put(None))
        self._jobs.append(_Job(work, planned, hold))

    def _dismiss(self) -> None:
        """Part with the jobs that were told to stop, that are overdue, or whose models cannot be loaded."""
        for job in list(self._jobs):
            work = job.work
            if work.stop.is_set():
                self._leave(job, Stopped())
            elif work.overdue:
                message = f"the job ran longer than its timeout_s of {work.request.timeout_s:g} s"
                self._leave(job, Failed(DeadlineExceededError(message)))
            elif job.hold.error is not None:
                self._fail(job, job.hold.error)

    def _go_on_with_fetched(self) -> None:
        """Let the samplers go on whose files have been read."""
        for track, answer in self._fetches.done():
            self._advance(track, answer)

    def _start_loaded(self) -> None:
        """Start the samplers of the jobs whose models have come."""
        for job in [job for job in self._jobs if job.hold.ready and job.account is None]:
            job.work.progress = Progress(step=0, steps=job.plan.steps)
            job.work.started = time.monotonic()
            job.account = self._schedule.open(job.work.weight)
            for sampler in islice(job.plan.samplers, AT_ONCE):
                self._start(job, job.account, sampler)

    def _start(self, job: _Job, account: Account, sampler: Sampler) -> None:
        if job.left:
            return sampler.close()
        track = Track(job, account, sampler)
        job.tracks.append(track)
        self._advance(track, None)

    def _turn(self, group: list[Track[_Job]]) -> None:
        """Run a group, and let each of its samplers go on."""
        self.calling_since = began = time.monotonic()
        answers = self._runner.run([track.call for track in group])
        seconds = time.monotonic() - began
        self.calling_since = None
        self.busy_s += seconds
        self._schedule.charge(group, seconds)
        moving = set(group)
        self._tracks = [track for track in self._tracks if track not in moving]
        for track, answer in zip(group, answers, strict=True):
            self._advance(track, answer)

    def _advance(self, track: Track[_Job], answer: object) -> None:
        """Send a sampler its answer, and follow it to the next call that takes a model's time."""
        job = track.owner
        if job.left:
            return
        try:
            if isinstance(answer, LodestarError):
                raise answer
            call = track.sampler.send(answer)
            while isinstance(call, Describe | InputSize | Predictor | Measure | Stepped | Preview | Note):
                call = track.sampler.send(self._note(job.work, call))
            if isinstance(call, Fetch):
                return self._fetches.begin(track, call)
            track.wait_for(call)
            self._tracks.append(track)
        except StopIteration as end:
            self._finish(job, track, end.value)
        except LodestarError as error:
            self._fail(job, error)
        except Exception as error:
            # The boundary of a job: whatever its sampler does wrong ends this job and no other.
            log.exception("sampler raised", job=job.work.id)
            self._leave(job, Failed(JobFailedError(f"internal error: {type(error).__name__}")))

    def _note(
        self, work: Work, call: Describe | InputSize | Predictor | Measure | Stepped | Preview | Note
    ) -> object:
        """Answer what takes no model's time."""
        match call:
            case Stepped():
                work.note_step()
                return None
            case Preview():
                self._on_preview(work, call)
                return None
            case Note(sentence=sentence):
                work.notes = (*work.notes, sentence)
                return None
            case _:
                return self._runner.look_up(call)

    def _finish(self, job: _Job, track: Track[_Job], made: Picture | Done) -> None:
        job.tracks.remove(track)
        if isinstance(made, Done):
            return self._leave(job, made)
        job.work.pictures.append(self._on_picture(job.work, made))
        for sampler in islice(job.plan.samplers, 1):
            self._start(job, track.account, sampler)
        if len(job.work.pictures) == job.plan.results:
            ordered = sorted(job.work.pictures, key=lambda picture: picture.index)
            self._leave(job, Finished(tuple(ordered)))

    def _fail(self, job: _Job, error: LodestarError) -> None:
        log.warning("job failed", job=job.work.id, error=error.type, exc_info=error.__cause__ and error)
        self._leave(job, Failed(error))

    def _leave(self, job: _Job, outcome: Outcome) -> None:
        job.left = True
        self._jobs.remove(job)
        self._tracks = [track for track in self._tracks if track.owner is not job]
        for track in job.tracks:
            track.sampler.close()
        job.hold.release()
        self._on_outcome(job.work, outcome)
