"""The jobs that a worker holds, from their claim until they are settled."""

import threading
from dataclasses import dataclass, field

from jobs.queue.leases import Lease, Standing
from jobs.status.job import Progress
from worker.engine.work import Work

NEWS_EVERY_S = 1.0
NEWS_OF_A_JOB = 20  # at least, one at every 5 %


@dataclass
class Execution:
    """A claimed job, its work in the engine, and its standing at the queue."""

    lease: Lease
    work: Work
    cost: int = 0  # 0 until it is known
    standing: Standing = Standing.HELD
    counted: float = 0.0  # share of the cost that the throughput has counted
    noted: int = 0  # number of the engine's notes that the queue has
    told: Progress = field(default_factory=Progress)  # that the queue knows of
    told_at: float = 0.0
    enlarging: bool = False  # it has left the engine, and its pictures are being upscaled

    @property
    def left(self) -> float:
        """Units of work that are left."""
        return self.cost * (1 - self.work.progress.fraction)

    @property
    def news(self) -> Progress | None:
        """Its progress, if the queue does not know of it yet."""
        progress = self.work.progress
        return None if (progress.step, progress.steps) == (self.told.step, self.told.steps) else progress

    def due_news(self, now: float) -> Progress | None:
        """The same, once a second or 5 % of the job have passed since the last that was told."""
        news = self.news
        if news is None or now - self.told_at >= NEWS_EVERY_S or news.steps != self.told.steps:
            return news
        return news if NEWS_OF_A_JOB * abs(news.step - self.told.step) >= news.steps else None

    def note_told(self, progress: Progress | None, now: float) -> None:
        """The queue has been told."""
        if progress is not None:
            self.told, self.told_at = progress, now

    def count(self) -> float:
        """Units of work done since the last count."""
        fraction = self.work.progress.fraction
        units = self.cost * (fraction - self.counted)
        self.counted = fraction
        return units


class HeldJobs:
    """The executions that the worker holds; any thread may read and change them."""

    def __init__(self, capacity: int) -> None:
        """Start without executions.

        Args:
            capacity: jobs at most that the engine computes or that are being settled, and as many again whose pictures
                are being upscaled. If those counted as the others, the engine would idle for minutes.
        """
        self._capacity = capacity
        # By execution, not by job: a job that was lost may come again before its last execution has left the engine.
        self._executions: dict[str, Execution] = {}
        self._settled_units = 0.0
        self._is_draining = False
        self._is_paused = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._executions)

    @property
    def room(self) -> int:
        """Number of jobs that may still be claimed."""
        held = self.all()
        if self._is_draining or self._is_paused or any(execution.lease.alone for execution in held):
            return 0
        upscaling = sum(execution.enlarging for execution in held)
        return max(0, self._capacity - (len(held) - min(upscaling, self._capacity)))

    def drain(self) -> None:
        """Have no more room, ever: those that are held are the last."""
        self._is_draining = True

    def pause(self, *, wanted: bool) -> None:
        """Have no more room for as long as an operator wants it."""
        with self._changed:
            self._is_paused = wanted
            self._changed.notify_all()

    def all(self) -> list[Execution]:
        """The executions held now."""
        with self._changed:
            return list(self._executions.values())

    def add(self, execution: Execution) -> None:
        with self._changed:
            self._executions[execution.lease.artifact_prefix] = execution

    def park(self, execution: Execution) -> None:
        """Park an execution whose pictures are being upscaled: the engine has room for another."""
        with self._changed:
            execution.enlarging = True
            self._changed.notify_all()

    def remove(self, execution: Execution) -> None:
        """Remove a settled execution."""
        with self._changed:
            self._settled_units += execution.count()
            del self._executions[execution.lease.artifact_prefix]
            # Or the two would keep each other, and the job's files, until the garbage collector runs.
            execution.work.owner = None
            self._changed.notify_all()

    def wait_for_room(self, timeout_s: float) -> bool:
        """Whether another job may be claimed now, or within ``timeout_s``."""
        with self._changed:
            return self._changed.wait_for(lambda: self.room > 0, timeout_s)

    def wait_until_empty(self, timeout_s: float) -> None:
        """Return when every execution is settled, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: not self._executions, timeout_s)

    def count(self) -> float:
        """Units of work done since the last count, those of settled jobs included."""
        with self._changed:
            done, self._settled_units = self._settled_units, 0.0
            return done + sum(execution.count() for execution in self._executions.values())
