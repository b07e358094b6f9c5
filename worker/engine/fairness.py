"""Which calls share a batch, and which job is served next.

Every job has a virtual time, as in fair queueing (Demers, Keshav & Shenker 1989): the seconds of model time it was
charged, over its weight, counted on from the mean of the jobs that waited when it came. The first job in the order of
places (``accounts.py``) seeds a batch; if it is more than ``MAX_LEAD_S`` ahead of the least advanced, that one does. A
short call counts as ``SHORT_CALL_S`` nearer to the front: a job that has read its texts can share the next step with
others, and one whose picture is decoded and scored is done. Those that wait for a call of the same key join, since a
batch costs less than its calls alone, but none that is ``MAX_LEAD_S`` ahead: a large job must not live on the time of
others. The batch's seconds are charged to its jobs in proportion to the sizes of their calls.

The bound: a waiting job never falls behind another of its weight by more than ``MAX_LEAD_S`` and one batch. So each of
n jobs gets an n-th of the model's time, within a wait that depends on n and not on the work of the others.
"""

from collections.abc import Callable, Generator, Hashable, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Generic, TypeVar

from worker.calls import Call, Personalize
from worker.engine.accounts import Account, EqualShares, Pace, may_join
from worker.events import Yield
from worker.states.state import PictureState

SHORT_CALL_S = 1.0

Owner = TypeVar("Owner")


@dataclass(eq=False)
class Trajectory(Generic[Owner]):
    """The run of one picture or task: its sampler, and the call that it waits for. A later one has a higher number.

    Between two steps, ``state`` gives that of the picture, or None before the first; within a step there is none.
    """

    owner: Owner
    account: Account
    sampler: Generator[Yield, Any, Any]
    state: Callable[[], PictureState | None] | None = None
    number: int = field(default_factory=count().__next__, init=False)
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
        self._shares = EqualShares()
        self._pace = Pace()

    def open(self, weight: float = 1.0, work: float = 0.0) -> Account:
        """The account of a newcomer.

        Args:
            weight: a job of twice the weight gets twice the time.
            work: an estimate, in the units of ``jobs.queue.order.cost_of``; 0 if there is none.
        """
        shares = self._shares
        return Account(
            weight,
            shares.mean_s,
            arrived_s=shares.clock_s,
            work=work,
            work_s=work * self._pace.seconds_per_unit,
        )

    def close(self, account: Account) -> None:
        """Learn the pace from a job that has done all its work."""
        self._pace.note(account)

    def choose(self, trajectories: Iterable[Trajectory[Owner]]) -> list[Trajectory[Owner]]:
        """The next batch, its seed first.

        Args:
            trajectories: all that wait, longest first; at least one.
        """
        eligible = self._eligible(list(trajectories))
        self._shares.among(each.account for each in eligible)
        least = min(eligible, key=lambda each: each.account.virtual_s)
        ordered = sorted(eligible, key=self._order)
        seed = ordered[0] if may_join(ordered[0].account, least.account) else least
        others = [
            each
            for each in ordered
            if each is not seed and each.key == seed.key and may_join(each.account, least.account)
        ]
        return self._batch([seed, *others])

    def _order(self, trajectory: Trajectory[Any]) -> tuple[float, float]:
        """The place of the job, nearer to the front for a short call; then the least advanced."""
        account = trajectory.account
        is_short = not trajectory.call.is_step
        return account.place_s - SHORT_CALL_S * is_short, account.virtual_s

    def _batch(self, alike: list[Trajectory[Owner]]) -> list[Trajectory[Owner]]:
        """The first of these that one batch may hold."""
        batch: list[Trajectory[Owner]] = []
        size = 0
        for trajectory in alike[: self._max_batch]:
            size += trajectory.call.size
            if batch and size > trajectory.call.max_batch_size:
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
                each.account.skip_to(self._shares.mean_s)
        return eligible

    def charge(self, batch: list[Trajectory[Owner]], seconds: float) -> None:
        """Share the time of a batch among its jobs, by the sizes of their calls."""
        total = sum(each.call.size for each in batch)
        for each in batch:
            each.account.charge(seconds * each.call.size / total)
        self._shares.advance(seconds)


def _is_fitting(call: Call) -> bool:
    """Whether the call goes on with an encoder that is being fitted."""
    return isinstance(call, Personalize) and call.fitting is not None
