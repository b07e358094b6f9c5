"""The jobs that a worker holds, from their claim until they are settled."""

import threading
from dataclasses import dataclass

from jobs.queue.leases import Lease, Standing
from worker.engine.work import Work


@dataclass
class Execution:
    """A claimed job, its place in the engine, and what the queue last said of it."""

    lease: Lease
    work: Work
    cost: int = 0  # until it is known
    standing: Standing = Standing.HELD
    counted: float = 0.0  # share of the cost that the throughput knows of
    noted: int = 0  # how many of the engine's notes the queue knows of
    enlarging: bool = False  # it has left the engine, and its pictures are being upscaled

    @property
    def left(self) -> float:
        """Units of work still to do."""
        return self.cost * (1 - self.work.progress.fraction)

    def count(self) -> float:
        """Units of work done since the last count."""
        fraction = self.work.progress.fraction
        units = self.cost * (fraction - self.counted)
        self.counted = fraction
        return units


class Held:
    """What is held; any thread may ask and change it."""

    def __init__(self, capacity: int) -> None:
        """Hold nothing yet.

        Args:
            capacity: jobs at most that the engine works for or that are being settled, and as many again whose
                pictures are being upscaled. Those would keep the engine idle for minutes if they counted as the others.
        """
        self._capacity = capacity
        # By execution, not by job: a job that was lost may come again before its last execution has left the engine.
        self._executions: dict[str, Execution] = {}
        self._settled_units = 0.0
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._executions)

    @property
    def room(self) -> int:
        """How many more jobs may be claimed."""
        held = self.all()
        if any(execution.lease.alone for execution in held):
            return 0
        beside = sum(execution.enlarging for execution in held)
        return max(0, self._capacity - (len(held) - min(beside, self._capacity)))

    def all(self) -> list[Execution]:
        """Those held now."""
        with self._changed:
            return list(self._executions.values())

    def of(self, work: Work) -> Execution:
        """The execution that a place in the engine belongs to."""
        return next(each for each in self.all() if each.work is work)

    def add(self, execution: Execution) -> None:
        """Hold one more."""
        with self._changed:
            self._executions[execution.lease.artifact_prefix] = execution

    def set_beside(self, execution: Execution) -> None:
        """The engine is done with it, and its pictures are to be upscaled: there is room for another."""
        with self._changed:
            execution.enlarging = True
            self._changed.notify_all()

    def remove(self, execution: Execution) -> None:
        """It is settled."""
        with self._changed:
            self._settled_units += execution.count()
            del self._executions[execution.lease.artifact_prefix]
            self._changed.notify_all()

    def wait_for_room(self, timeout_s: float) -> bool:
        """Whether another job may be claimed now, or within ``timeout_s``."""
        with self._changed:
            return self._changed.wait_for(lambda: self.room > 0, timeout_s)

    def wait_until_empty(self, timeout_s: float) -> None:
        """Return when all is settled, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: not self._executions, timeout_s)

    def count(self) -> float:
        """Units of work done since the last count, those of settled jobs included."""
        with self._changed:
            done, self._settled_units = self._settled_units, 0.0
            return done + sum(execution.count() for execution in self._executions.values())
