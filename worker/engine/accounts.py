"""The model time of jobs, and the order in which they are served.

The order is that of the fair sojourn protocol (Friedman & Henderson 2003), leaning towards the order of arrival. A
clock runs as fast as a job's time would if all waiting jobs shared the model equally. Under such sharing a job would
end when the clock has gone on by its work over its weight. The protocol serves the job first that would end first. Half
of the work counts here: with all of it the slowest jobs take longer (``python -m benchmarks.scheduling``). The place of
a job stays while it waits, and the clock goes on. So in time every newcomer is placed behind it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

MAX_LEAD_S = 2.0
# Share of a job's work that decides on its place: 0 for the order of arrival, 1 for the protocol's.
COUNTED_WORK = 0.5
REMEMBERED = 0.9  # of the pace so far, each time that a job ends


@dataclass
class Account:
    """The model time of a job.

    Attributes:
        weight: a job of twice the weight gets twice the time.
        virtual_s: seconds charged over the weight, counted on from the mean of the jobs that waited when it came.
        charged_s: seconds charged.
        arrived_s: reading of the clock when it came.
        work: units of ``jobs.queue.order.cost_of``; 0 if unknown.
        work_s: the same in seconds at the pace of the time it came.
    """

    weight: float = 1.0
    virtual_s: float = 0.0
    charged_s: float = 0.0
    arrived_s: float = 0.0
    work: float = 0.0
    work_s: float = 0.0

    @property
    def place_s(self) -> float:
        """Reading of the clock by which jobs are ordered; the time beyond a job's estimated work moves it back."""
        overrun_s = self.charged_s - self.work_s
        return self.arrived_s + max(COUNTED_WORK * self.work_s, overrun_s) / self.weight

    def charge(self, seconds: float) -> None:
        """Charge the job seconds of the engine's time."""
        self.charged_s += seconds
        self.virtual_s += seconds / self.weight

    def skip_to(self, virtual_s: float) -> None:
        """Forgo the time up to a virtual time, if that is still to come."""
        skipped_s = max(0.0, virtual_s - self.virtual_s)
        self.virtual_s += skipped_s
        self.arrived_s += skipped_s


def may_join(account: Account, least: Account) -> bool:
    """Whether a job is near enough to the least advanced one to be served before it, or in its batch."""
    return account.virtual_s <= least.virtual_s + MAX_LEAD_S


def least_served(accounts: Iterable[Account], none: Account) -> Account:
    """The account that is the furthest behind; ``none`` if there is no account."""
    return min(accounts, key=lambda account: account.virtual_s, default=none)


class EqualShares:
    """What jobs would get that share the model equally.

    Attributes:
        mean_s: mean of the waiting jobs' virtual times, by weight: a newcomer starts there, neither behind nor ahead.
        clock_s: grows by the seconds of a batch over the weight of the jobs that waited.
    """

    def __init__(self) -> None:
        self.mean_s = 0.0
        self.clock_s = 0.0
        self._weight = 1.0

    def among(self, accounts: Iterable[Account]) -> None:
        """Share the time from now on among these accounts; at least one."""
        sharing = {id(account): account for account in accounts}.values()
        self._weight = sum(account.weight for account in sharing)
        self.mean_s = sum(account.weight * account.virtual_s for account in sharing) / self._weight

    def advance(self, seconds: float) -> None:
        """Note the time of a batch."""
        self.mean_s += seconds / self._weight
        self.clock_s += seconds / self._weight


class Pace:
    """Seconds that a unit of work takes, learnt from the jobs that ended; 0 before the first."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._units = 0.0

    @property
    def seconds_per_unit(self) -> float:
        """A mean by work, in which the last ten jobs count for two thirds."""
        return self._seconds / self._units if self._units else 0.0

    def note(self, account: Account) -> None:
        """Learn from a job of known work that has done all of it."""
        if not account.work:
            return
        self._seconds = REMEMBERED * self._seconds + account.charged_s
        self._units = REMEMBERED * self._units + account.work
