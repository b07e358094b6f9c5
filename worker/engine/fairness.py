"""Which calls share a batch, and which job is served next.

Time is shared out by start-time fair queueing (Goyal, Vin & Cheng 1996). Every job has a virtual time: the seconds of
model time it was charged, over its weight, counted on from the virtual time of the job that was served when it came.
The trajectory whose job is least advanced seeds a batch; those that wait for a call of the same key join it, the least
advanced first; and the batch's seconds are charged to its jobs in proportion to the sizes of their calls. Joining saves
time for all, since a batch costs less than its calls alone. But a large job must not live on the time of others, so it
may join only while it is no more than ``MAX_LEAD_S`` ahead of the seed.

The bound: a waiting job never falls behind another of its weight by more than ``MAX_LEAD_S`` and one batch. So each of
n jobs gets an n-th of the model's time, within a wait that depends on n and not on the work of the others.
"""

from collections.abc import Generator, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from worker.calls import Call, Personalize, Yield

MAX_LEAD_S = 2.0


@dataclass
class Account:
    """The model time of a job."""

    weight: float = 1.0
    virtual_s: float = 0.0
    charged_s: float = 0.0

    def charge(self, seconds: float) -> None:
        """Charge the job seconds of the engine's time."""
        self.charged_s += seconds
        self.virtual_s += seconds / self.weight


def may_join(account: Account, least: Account) -> bool:
    """Whether a job is near enough to the least advanced one to share its batch."""
    return account.virtual_s <= least.virtual_s + MAX_LEAD_S


Owner = TypeVar("Owner")


@dataclass(eq=False)
class Trajectory(Generic[Owner]):
    """The run of one picture or task: its sampler, and the call that it waits for."""

    owner: Owner
    account: Account
    sampler: Generator[Yield, Any, Any]
    call: Call = field(init=False)
    key: Hashable = field(init=False)

    def wait_for(self, call: Call) -> None:
        """Set the call that it waits for."""
        self.call, self.key = call, call.key


class FairScheduler:
    """Opens accounts, chooses batches and charges for them."""

    def __init__(self, max_batch: int) -> None:
        """Start at virtual time 0.

        Args:
            max_batch: calls in one batch at most.
        """
        self._max_batch = max_batch
        self._now_s = 0.0

    def open(self, weight: float = 1.0) -> Account:
        """The account of a newcomer: not behind, so that it cannot hold up the others, and not ahead."""
        return Account(weight, self._now_s)

    def choose(self, trajectories: Iterable[Trajectory[Owner]]) -> list[Trajectory[Owner]]:
        """The next batch, its seed first.

        Args:
            trajectories: all that wait, longest first; at least one.
        """
        waiting = sorted(self._eligible(list(trajectories)), key=lambda each: each.account.virtual_s)
        seed = waiting[0]
        self._now_s = seed.account.virtual_s
        batch: list[Trajectory[Owner]] = []
        size = 0
        for trajectory in waiting:
            if len(batch) == self._max_batch or not may_join(trajectory.account, seed.account):
                break
            if trajectory.key != seed.key:
                continue
            size += trajectory.call.size
            if batch and size > seed.call.max_batch_size:
                break
            batch.append(trajectory)
        return batch

    def _eligible(self, trajectories: list[Trajectory[Owner]]) -> list[Trajectory[Owner]]:
        """Those that may be served now. One text encoder is fitted at a time, since each takes much memory.

        A job does not make up later for the time that it waits for another's encoder: all others would pay for it.
        """
        if not any(_is_fitting(each.call) for each in trajectories):
            return trajectories
        eligible = [
            each for each in trajectories if not isinstance(each.call, Personalize) or _is_fitting(each.call)
        ]
        accounts = {id(each.account) for each in eligible}
        for each in trajectories:
            if id(each.account) not in accounts:
                each.account.virtual_s = max(each.account.virtual_s, self._now_s)
        return eligible

    def charge(self, batch: list[Trajectory[Owner]], seconds: float) -> None:
        """Share the time of a batch among its jobs, by the sizes of their calls."""
        total = sum(each.call.size for each in batch)
        for each in batch:
            each.account.charge(seconds * each.call.size / total)


def _is_fitting(call: Call) -> bool:
    """Whether the call goes on with an encoder that is being fitted."""
    return isinstance(call, Personalize) and call.fitting is not None
