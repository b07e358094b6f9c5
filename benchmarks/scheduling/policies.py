"""The scheduler of the engine, and what it was chosen from."""

from collections.abc import Callable
from typing import Any

from benchmarks.scheduling.costs import MEASURED, seconds
from worker.calls import Call
from worker.engine.accounts import COUNTED_WORK, Account
from worker.engine.fairness import FairScheduler, Trajectory

MAX_BATCH = 32
GAIN = 0.2  # share of a call's seconds that a batch has to save where sharing has to pay


class FairQueueing(FairScheduler):
    """Start-time fair queueing (Goyal, Vin & Cheng 1996): the least advanced is served; a newcomer starts beside it."""

    def __init__(self, max_batch: int) -> None:
        super().__init__(max_batch)
        self._seed_s = 0.0

    def open(self, weight: float = 1.0, work: float = 0.0) -> Account:
        del work
        return Account(weight, self._seed_s)

    def choose(self, trajectories: Any) -> list[Trajectory[Any]]:
        batch = super().choose(trajectories)
        self._seed_s = batch[0].account.virtual_s
        return batch

    def _order(self, trajectory: Trajectory[Any]) -> tuple[float, float]:
        return trajectory.account.virtual_s, 0.0


class Arrival(FairScheduler):
    """The order of arrival."""

    def _order(self, trajectory: Trajectory[Any]) -> tuple[float, float]:
        return trajectory.account.arrived_s, trajectory.account.virtual_s


class ShortestRemaining(FairScheduler):
    """The least work left."""

    def _order(self, trajectory: Trajectory[Any]) -> tuple[float, float]:
        account = trajectory.account
        return max(0.0, account.work_s - account.charged_s), account.virtual_s


class FairSojourn(FairScheduler):
    """The engine's order with all of the work counted, as in the fair sojourn protocol."""

    def _order(self, trajectory: Trajectory[Any]) -> tuple[float, float]:
        account = trajectory.account
        counted_s = (1 - COUNTED_WORK) * account.work_s / account.weight
        place_s, virtual_s = super()._order(trajectory)
        return place_s + counted_s, virtual_s


class Paying(FairScheduler):
    """The engine's order, but a call joins a batch only while the seconds of each call have fallen by ``GAIN``."""

    def _batch(self, alike: list[Trajectory[Any]]) -> list[Trajectory[Any]]:
        batch = super()._batch(alike)
        return batch if _pays(batch[0].call, len(batch)) else batch[:1]


def _pays(call: Call, calls: int) -> bool:
    curve = MEASURED[type(call).__name__]
    return seconds(curve, calls) / calls <= (1 - GAIN) * seconds(curve, 1)


POLICIES: dict[str, Callable[[int], FairScheduler]] = {
    "engine": FairScheduler,
    "fair queueing": FairQueueing,
    "order of arrival": Arrival,
    "shortest remaining first": ShortestRemaining,
    "engine, all work counted": FairSojourn,
    "engine, sharing where it pays": Paying,
}
