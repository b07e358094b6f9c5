"""A job in the engine: its plan, its pinned models, and its trajectories."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import structlog

from jobs.errors import DeviceLostError
from worker.engine.accounts import Account
from worker.engine.fairness import Trajectory
from worker.engine.plans import AT_ONCE, Begun, Plan
from worker.engine.tasks import Done
from worker.engine.work import Failed, Finished, Outcome, Stopped, Work, as_failure
from worker.facts import Facts
from worker.models.registry import Pin
from worker.pictures.picture import Picture
from worker.sampling.resampling.meetings import Meetings
from worker.states.state import PictureState

log = structlog.get_logger(__name__)


@dataclass(eq=False)
class Job:
    """A job from its admission until it leaves.

    Attributes:
        work: the job, as its owner knows it.
        plan: its models and samplers.
        pin: keeps the models in memory.
        account: of its model time; None until it starts.
        samplers: those that have not begun; None until it starts.
        trajectories: those that have begun and are not finished.
        begun: number of the samplers that have begun.
        pictures: those that are finished.
        put_aside: states of pictures that were put down.
        left: whether its outcome is known.
        meetings: of its particles.
    """

    work: Work
    plan: Plan
    pin: Pin
    account: Account | None = None
    samplers: Iterator[Begun] | None = None
    trajectories: list[Trajectory["Job"]] = field(default_factory=list)
    begun: int = 0
    pictures: list[Picture] = field(default_factory=list)
    put_aside: list[PictureState] = field(default_factory=list)
    left: bool = False
    meetings: Meetings[Trajectory["Job"]] = field(default_factory=Meetings)

    def start(self, account: Account, facts: Facts) -> None:
        """Start the job's time, now that its models are in memory."""
        self.work.steps = self.plan.steps
        self.work.started = time.monotonic()
        self.account = account
        self.pictures = list(self.work.finished)
        self.begun = len(self.pictures)
        self.samplers = self.plan.samplers(facts, self.work.resumed)

    @property
    def ending(self) -> Outcome | None:
        """The outcome of a job that must end: stopped, overdue, or without its models; None for any other.

        Raises:
            DeviceLostError: its models met a device that computes no more.
        """
        if isinstance(self.pin.error, DeviceLostError):
            raise self.pin.error
        if self.work.stop.is_set():
            return Stopped()
        if self.work.overdue:
            return Failed(self.work.too_late())
        return Failed(self.pin.error) if self.pin.error is not None else None

    @property
    def may_begin_another(self) -> bool:
        """Whether a sampler is left, and fewer than ``AT_ONCE`` are under way."""
        return self.begun < self.plan.results and len(self.trajectories) < AT_ONCE

    def begin_another(self) -> Trajectory["Job"]:
        """The trajectory of the next sampler, for a job that has started."""
        assert self.account is not None
        assert self.samplers is not None
        sampler, state = next(self.samplers)
        trajectory = Trajectory(self, self.account, sampler, lambda: state)
        self.begun += 1
        self.trajectories.append(trajectory)
        return trajectory

    def finish(self, trajectory: Trajectory["Job"], made: Picture | Done) -> Outcome | None:
        """Keep the result of a trajectory; the outcome, if it was the last one."""
        self.trajectories.remove(trajectory)
        if isinstance(made, Done):
            return made
        self.pictures.append(made)
        return self.finished

    @property
    def finished(self) -> Finished | None:
        """The outcome, if no picture is left to be made."""
        if len(self.pictures) < self.plan.results:
            return None
        return Finished(tuple(sorted(self.pictures, key=lambda picture: picture.index)))

    def put_down(self, trajectory: Trajectory["Job"]) -> None:
        """Take the state of a trajectory, and end it.

        Raises:
            LodestarError: its last step has spoilt the picture.
        """
        assert trajectory.state is not None
        state = trajectory.state()
        if state is not None:
            self.put_aside.append(state)
        trajectory.sampler.close()
        self.trajectories.remove(trajectory)

    @property
    def states(self) -> tuple[PictureState, ...]:
        """Those of all pictures that were put down, here or by another worker before."""
        known = {each.index for each in self.pictures} | {each.index for each in self.put_aside}
        before = self.work.resumed.unfinished if self.work.resumed else ()
        return (*self.put_aside, *(each for each in before if each.index not in known))

    def leave(self, outcome: Outcome) -> None:
        """Log a failure, close the samplers, and release the models."""
        if isinstance(outcome, Failed):
            error = outcome.error
            log.warning("job failed", job=self.work.id, error=error.type, exc_info=error.__cause__ and error)
        self.left = True
        for trajectory in self.trajectories:
            trajectory.sampler.close()
        self.trajectories.clear()
        self.pin.release()

    def failure(self, error: Exception) -> Failed:
        """The outcome after an error of its own."""
        return Failed(as_failure(error, self.work.id))
