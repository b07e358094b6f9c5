"""Runs the samplers of several jobs in one loop: step-level continuous batching.

Each iteration takes the calls that the samplers wait for, runs some of them as one batch, and sends every sampler its
own answer. Jobs join and leave between any two iterations. They do not affect each other: the random numbers of a
sampler, its end and its failure are its own. The loop is one iteration ahead of a device that computes beside it
(``device_time.py``): there a cancel, a failure and the charge for a batch take effect one iteration later.
"""

import queue
import time
from collections.abc import Callable

from jobs.errors import DeviceLostError, LodestarError
from worker.calls import Denoise
from worker.engine.accounts import Account, least_served, may_join
from worker.engine.device_time import AHEAD, Launched, spans_of
from worker.engine.doors.inbox import Inbox
from worker.engine.doors.putting_down import drop_foreign, put_down
from worker.engine.events import EventHandlers
from worker.engine.fairness import FairScheduler, Trajectory
from worker.engine.jobs import Job
from worker.engine.plans import facts_of, plan
from worker.engine.runner import Runner
from worker.engine.tasks import Done
from worker.engine.work import Failed, Outcome, Stopped, Work, as_failure
from worker.events import Event, Preview
from worker.pictures.picture import Picture

WAKE_S = 0.5  # between two looks at the cancels of jobs that wait for their models
BEGIN_S = 0.05  # for beginning pictures between two batches; one at least


class Engine(Inbox):
    """The loop. ``serve`` runs on one thread; the methods of ``Inbox`` may be called from any other.

    Attributes, which any thread may read:
        calling_since: start of the current batch, of a wait for the device, or of a sampler's own computing between two
            calls; None while the engine waits for jobs. A watchdog that finds a start of long ago has found a hang.
        busy_s: seconds of model calls; its growth over a time is the share of it that the model was busy.
    """

    def __init__(
        self,
        runner: Runner,
        on_outcome: Callable[[Work, Outcome], None],
        on_preview: Callable[[Work, Preview], None] = lambda *_: None,
        on_picture: Callable[[Work, Picture], Picture] = lambda _work, picture: picture,
        may_generate: Callable[[Work], bool] = lambda _work: True,
    ) -> None:
        """Make an idle engine.

        Args:
            runner: answers calls.
            on_outcome: called on the engine's thread when a job leaves; must not block.
            on_preview: likewise, with each preview of a job's pictures.
            on_picture: likewise, with each finished picture; returns the picture to keep until the job ends.
            may_generate: called before another picture of a job begins; after False, call ``wake`` when that changes.
        """
        super().__init__()
        self._runner = runner
        self._on_outcome = on_outcome
        self._on_picture = on_picture
        self._may_generate = may_generate
        self._scheduler = FairScheduler(runner.max_batch)
        self._launched = Launched(spans_of(runner.models.device.device), self._charge)
        self._events = EventHandlers(self.wake, on_preview)
        self._jobs: list[Job] = []
        self._waiting: list[Trajectory[Job]] = []  # for a call, longest first
        self.calling_since: float | None = None
        self.busy_s = 0.0

    def serve(self) -> None:
        """Run until closed.

        Raises:
            DeviceLostError: the device computes no more. No job comes out: the process must end, and its jobs must be
                run elsewhere.
        """
        while not self._closing:
            self._take_in()
            for job in list(self._jobs):
                self._may_go_on(job)
            self._go_on_with_answered()
            if self._handing_over:
                self._put_down()
            else:
                self._start_loaded()
                self._begin_pictures()
            if self._waiting:
                # In one order, whichever job is first, so that the same pictures make the same batch again.
                batch = self._scheduler.choose(self._waiting)
                self._iterate(sorted(batch, key=lambda trajectory: trajectory.number))
        self._take_in()
        self._events.close()
        for job in list(self._jobs):
            self._leave(job, Stopped())

    def _take_in(self) -> None:
        """Enter newly admitted jobs; with nothing else to do, wait for one, or for models that are being loaded."""
        try:
            if not self._waiting and not self._closing:
                self._settle(0)
                self._enter(self._inbox.get(timeout=WAKE_S if self._jobs else None))
            while True:
                self._enter(self._inbox.get_nowait())
        except queue.Empty:
            return

    def _enter(self, work: Work | None) -> None:
        """Pin the models of a job."""
        if work is None:
            return
        try:
            planned = plan(work.request, work.inputs, self._runner.models.catalog)
            pin = self._runner.models.pin(planned.refs, on_settled=self.wake)
        except Exception as error:
            return self._on_outcome(work, Failed(as_failure(error, work.id)))
        self._jobs.append(Job(work, planned, pin))

    def _go_on_with_answered(self) -> None:
        """Let the samplers go on whose events have been answered."""
        for trajectory, answer in self._events.answered():
            if self._may_go_on(trajectory.owner) and trajectory in trajectory.owner.trajectories:
                self._advance(trajectory, answer)

    def _put_down(self) -> None:
        """Put down what is between two steps."""
        put_down(list(self._jobs), self._runner.models, self._leave)
        self._waiting = [each for each in self._waiting if each in each.owner.trajectories]

    def _may_go_on(self, job: Job) -> bool:
        """Whether a job is still here and may go on; otherwise it leaves."""
        ending = None if job.left else job.ending
        if ending is not None:
            self._leave(job, ending)
        return not job.left

    def _start_loaded(self) -> None:
        """Start the jobs whose models have been loaded."""
        for job in list(self._jobs):
            if job.pin.ready and job.account is None:
                try:
                    facts = facts_of(self._runner.models, job.plan.refs)
                    drop_foreign(job, self._runner.models)
                    job.start(self._scheduler.open(job.work.weight, job.work.cost), facts)
                    if job.finished is not None:
                        self._leave(job, job.finished)
                except Exception as error:
                    self._leave(job, job.failure(error))

    def _begin_pictures(self) -> None:
        """Begin samplers of each job until ``AT_ONCE`` are under way, or ``BEGIN_S`` is over."""
        end = time.monotonic() + BEGIN_S
        started = [job for job in self._jobs if job.account is not None and job.may_begin_another]
        for job in sorted(started, key=lambda job: job.account.virtual_s if job.account else 0.0):
            while self._begins_another(job):
                if time.monotonic() > end:
                    return

    def _begins_another(self, job: Job) -> bool:
        """Begin a job's next sampler, if one is left and may begin now; whether it did."""
        account = job.account
        if account is None or not job.may_begin_another or self._is_ahead(account):
            return False
        if not self._may_go_on(job) or not self._may_generate(job.work):
            return False
        self._advance(job.begin_another(), None)
        return True

    def _is_ahead(self, account: Account) -> bool:
        """Whether a job is too far ahead of one that waits for model time."""
        waiting = [trajectory.account for trajectory in self._waiting]
        waiting += [job.account for job in self._jobs if job.account is not None and not job.begun]
        return not may_join(account, least_served(waiting, account))

    def _iterate(self, batch: list[Trajectory[Job]]) -> None:
        """Run a batch, and let each of its samplers go on."""
        self.calling_since, began_ns = time.monotonic(), time.time_ns()
        answers = self._launched.launch(
            batch, lambda: self._runner.run([trajectory.call for trajectory in batch])
        )
        self._settle(AHEAD)
        served = set(batch)
        self._waiting = [trajectory for trajectory in self._waiting if trajectory not in served]
        for trajectory, answer in zip(batch, answers, strict=True):
            if not trajectory.owner.left:
                trajectory.owner.work.note_call(trajectory.call, began_ns)
                if isinstance(trajectory.call, Denoise):
                    trajectory.state = None  # it is within a step
                self._advance(trajectory, answer)

    def _settle(self, most: int) -> None:
        """Charge for the batches that are done; wait until the device has at most ``most`` to do."""
        self.calling_since = time.monotonic()
        self._launched.settle(most)
        self.calling_since = None

    def _charge(self, batch: list[Trajectory[Job]], seconds: float) -> None:
        self.busy_s += seconds
        self._scheduler.charge(batch, seconds)

    def _advance(self, trajectory: Trajectory[Job], answer: object) -> None:
        """Send a sampler its answer, and follow it to its next model call. Its own computing is charged to its job."""
        self.calling_since = began = time.monotonic()
        try:
            self._follow(trajectory, answer)
        except DeviceLostError:
            raise
        except Exception as error:
            # The boundary of a job: an error of its sampler ends this job and no other.
            self._leave(trajectory.owner, trajectory.owner.failure(error))
        self.calling_since = None
        trajectory.account.charge(time.monotonic() - began)

    def _follow(self, trajectory: Trajectory[Job], answer: object) -> None:
        if isinstance(answer, LodestarError):
            raise answer
        while True:
            try:
                asked = trajectory.sampler.send(answer)
            except StopIteration as end:
                return self._finish(trajectory, end.value)
            if not isinstance(asked, Event):
                trajectory.wait_for(asked)
                return self._waiting.append(trajectory)
            self._events.handle(trajectory, asked)
            if asked.is_answered_later:
                return
            answer = None

    def _finish(self, trajectory: Trajectory[Job], made: Picture | Done) -> None:
        job = trajectory.owner
        if isinstance(made, Picture):
            made = self._on_picture(job.work, made)
        outcome = job.finish(trajectory, made)
        if outcome is not None:
            self._scheduler.close(trajectory.account)
            self._leave(job, outcome)

    def _leave(self, job: Job, outcome: Outcome) -> None:
        if job.left:
            return
        self._jobs.remove(job)
        self._waiting = [trajectory for trajectory in self._waiting if trajectory.owner is not job]
        job.leave(outcome)
        self._on_outcome(job.work, outcome)
