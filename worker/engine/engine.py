"""Runs the samplers of several jobs in one loop: step-level continuous batching.

Each turn of the loop looks at the calls that all samplers wait for, runs one group of them as a batch, and sends every
sampler its own answer. Jobs join and leave between any two turns, and never notice each other: what a sampler draws,
when it ends and whether it fails is its own affair.
"""

import queue
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from jobs.catalog.catalog import Catalog
from jobs.errors import LodestarError
from jobs.status.job import Progress
from worker.calls import Describe, Fetch, InputSize, Measure, Note, Predictor, Preview, Stepped
from worker.engine.fairness import Account, Schedule, Track, may_join
from worker.engine.fetching import Fetches
from worker.engine.plans import AT_ONCE, Plan, plan
from worker.engine.runner import Runner
from worker.engine.tasks import Done
from worker.engine.work import Failed, Finished, Outcome, Stopped, Work, as_failure
from worker.models.registry import Hold
from worker.pictures.picture import Picture

WAKE_S = 0.5  # how soon a job that waits for its models hears of its cancel
BEGIN_S = 0.05  # for beginning pictures, between two turns; one at least

log = structlog.get_logger(__name__)


@dataclass(eq=False)
class _Job:
    """A job, the models that are kept for it, and those of its pictures that are not finished."""

    work: Work
    plan: Plan
    hold: Hold
    account: Account | None = None  # from the start of its samplers
    tracks: list[Track["_Job"]] = field(default_factory=list)
    begun: int = 0  # samplers
    left: bool = False


class Engine:
    """The loop. ``serve`` runs on one thread; ``admit`` and ``close`` may be called from any other.

    Attributes, which any thread may read:
        calling_since: when the engine began what it is at: a group of calls, or what a sampler does of its own between
            two calls; None while it waits for something to do. A watchdog that finds this long ago has found a hang.
        busy_s: seconds spent in model calls; its growth over a time is the share of it that the model was busy.
    """

    def __init__(
        self,
        runner: Runner,
        catalog: Catalog,
        on_outcome: Callable[[Work, Outcome], None],
        on_preview: Callable[[Work, Preview], None] = lambda *_: None,
        on_picture: Callable[[Work, Picture], Picture] = lambda _work, picture: picture,
        may_draw: Callable[[Work], bool] = lambda _work: True,
    ) -> None:
        """Make an idle engine.

        Args:
            runner: answers calls.
            catalog: tells which CLIP scores an unguided picture.
            on_outcome: called on the engine's thread when a job leaves; must not block.
            on_preview: likewise, when there is a preview of one of a job's pictures.
            on_picture: likewise, when one of its pictures is finished; returns what is to be kept of it until the job
                ends.
            may_draw: asked before another of a job's pictures is begun; whoever says no calls ``wake`` when that
                changes.
        """
        self._runner = runner
        self._catalog = catalog
        self._on_outcome = on_outcome
        self._on_preview = on_preview
        self._on_picture = on_picture
        self._may_draw = may_draw
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

    def wake(self) -> None:
        """Have the loop look at its jobs again, if it waits."""
        self._inbox.put(None)

    def close(self) -> None:
        """Let the loop end: every job still in it comes out as ``Stopped``."""
        self._closing = True
        self.wake()

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
            self._begin_loaded()
            self._begin_pictures()
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
            hold = self._runner.models.hold(planned.refs, on_settled=self.wake)
        except Exception as error:
            return self._on_outcome(work, Failed(as_failure(error, work.id)))
        self._jobs.append(_Job(work, planned, hold))

    def _dismiss(self) -> None:
        """Part with the jobs that may not go on."""
        for job in list(self._jobs):
            self._may_go_on(job)

    def _go_on_with_fetched(self) -> None:
        """Let the samplers go on whose files have been read."""
        for track, answer in self._fetches.done():
            if self._may_go_on(track.owner):
                self._advance(track, answer)

    def _may_go_on(self, job: _Job) -> bool:
        """Whether a job is still here; it leaves if it was told to stop, is overdue, or has models that do not load."""
        work = job.work
        if job.left:
            return False
        if work.stop.is_set():
            self._leave(job, Stopped())
        elif work.overdue:
            self._leave(job, Failed(work.too_late()))
        elif job.hold.error is not None:
            self._fail(job, job.hold.error)
        return not job.left

    def _begin_loaded(self) -> None:
        """Open an account for the jobs whose models have come; their time begins now."""
        for job in self._jobs:
            if job.hold.ready and job.account is None:
                job.work.progress = Progress(step=0, steps=job.plan.steps)
                job.work.started = time.monotonic()
                job.account = self._schedule.open(job.work.weight)

    def _begin_pictures(self) -> None:
        """Start samplers, of every job so many that ``AT_ONCE`` are under way; some now, and some after a turn."""
        end = time.monotonic() + BEGIN_S
        opened = [job for job in self._jobs if job.account is not None]
        for job in sorted(opened, key=lambda job: job.account.virtual_s if job.account else 0.0):
            while self._begins_another(job):
                if time.monotonic() > end:
                    return

    def _begins_another(self, job: _Job) -> bool:
        """Start a job's next sampler; whether there was one to start, and a place for it."""
        account = job.account
        if account is None or job.begun == job.plan.results or len(job.tracks) >= AT_ONCE:
            return False
        if self._is_ahead(account) or not self._may_go_on(job) or not self._may_draw(job.work):
            return False
        track = Track(job, account, next(job.plan.samplers))
        job.begun += 1
        job.tracks.append(track)
        self._advance(track, None)
        return True

    def _is_ahead(self, account: Account) -> bool:
        """Whether a job is too far ahead of one that has something to be done."""
        waiting = [track.account for track in self._tracks]
        waiting += [job.account for job in self._jobs if job.account is not None and not job.begun]
        least = min(waiting, key=lambda other: other.virtual_s, default=account)
        return not may_join(account, least)

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
            if self._may_go_on(track.owner):
                self._advance(track, answer)

    def _advance(self, track: Track[_Job], answer: object) -> None:
        """Send a sampler its answer, and follow it to the next call that takes a model's time.

        What it does in between costs its job, as its calls do.
        """
        self.calling_since = began = time.monotonic()
        try:
            self._follow(track, answer)
        except Exception as error:
            # The boundary of a job: whatever its sampler does wrong ends this job and no other.
            self._fail(track.owner, as_failure(error, track.owner.work.id))
        self.calling_since = None
        track.account.charge(time.monotonic() - began)

    def _follow(self, track: Track[_Job], answer: object) -> None:
        job = track.owner
        if isinstance(answer, LodestarError):
            raise answer
        try:
            call = track.sampler.send(answer)
            while isinstance(call, Describe | InputSize | Predictor | Measure | Stepped | Preview | Note):
                call = track.sampler.send(self._note(job.work, call))
        except StopIteration as end:
            made: Picture | Done = end.value
        else:
            if isinstance(call, Fetch):
                return self._fetches.begin(track, call)
            track.wait_for(call)
            self._tracks.append(track)
            return
        self._finish(job, track, made)

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
        if len(job.work.pictures) == job.plan.results:
            ordered = sorted(job.work.pictures, key=lambda picture: picture.index)
            self._leave(job, Finished(tuple(ordered)))

    def _fail(self, job: _Job, error: LodestarError) -> None:
        log.warning("job failed", job=job.work.id, error=error.type, exc_info=error.__cause__ and error)
        self._leave(job, Failed(error))

    def _leave(self, job: _Job, outcome: Outcome) -> None:
        if job.left:
            return
        job.left = True
        self._jobs.remove(job)
        self._tracks = [track for track in self._tracks if track.owner is not job]
        for track in job.tracks:
            track.sampler.close()
        job.hold.release()
        self._on_outcome(job.work, outcome)
