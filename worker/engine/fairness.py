"""Which calls share a batch, and whose turn it is.

Turns are shared out by start-time fair queueing (Goyal, Vin & Cheng 1996). Every job has a virtual time: the seconds of
model time it was charged, over its weight, counted on from the virtual time of the job that was being served when it
came. The track whose job is least advanced seeds a group; those that wait for the same kind of call join it, the least
advanced first; and the seconds that the group took are charged to its jobs in proportion to their rows. Joining saves
time for all, since a batch costs less than its calls alone. But a job with much to do must not live on others' turns,
so it may join only while it is no more than ``MAX_LEAD_S`` ahead of the seed.

What that promises: while a job has a call waiting, no other job of its weight is charged more than it by over
``MAX_LEAD_S`` and one group of its own, however heavy that other job is. So of n jobs each gets its n-th of the model's
time, to within a wait that depends on their number, not on what they do.
"""

from collections.abc import Generator, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from worker.calls import (
    Call,
    Decode,
    Denoise,
    Describe,
    EmbedImage,
    EmbedText,
    EncodeText,
    Fetch,
    Guide,
    InputSize,
    Look,
    Measure,
    Note,
    Personalize,
    Predictor,
    Preview,
    PullBack,
    Score,
    Stepped,
)

MAX_LEAD_S = 2.0
# Views in one group of guidance: what a picture may ask of one CLIP. One that asks more of several CLIPs is a group by
# itself. So no group lasts longer than its longest picture would alone.
MAX_VIEWS = 256


def batch_key(call: Call) -> Hashable:
    """What two calls must have in common to run as one batch: their kind, models and shapes, and nothing else."""
    match call:
        case Denoise() | PullBack() | Decode():
            return type(call), call.model, call.latents.shape
        case Guide():
            return type(call), call.model, call.latents.shape, call.decoder, call.loss.clips
        case EmbedImage() | Score() | Look():
            return type(call), call.clip, call.picture.shape
        case EncodeText() | Personalize() | Describe():
            return type(call), call.model
        case EmbedText() | InputSize() | Predictor():
            return type(call), call.clip
        case Measure(kind=kind, id=reader):
            return type(call), kind, reader
        case Fetch() | Stepped() | Preview() | Note():
            return (type(call),)


def rows(call: Call) -> int:
    """How much of a batch a call makes up: rows of the UNet's batch, views for guidance, else one."""
    match call:
        case Denoise() | PullBack():
            return len(call.context)
        case Guide():
            return max(1, sum(len(sight.views) for sight in call.loss.sights))
        case _:
            return 1


def _is_fitting(call: Call) -> bool:
    """Whether the call goes on with an encoder that is being fitted."""
    return isinstance(call, Personalize) and call.fitting is not None


@dataclass
class Account:
    """What a job has had of the model."""

    weight: float = 1.0
    virtual_s: float = 0.0
    charged_s: float = 0.0

    def charge(self, seconds: float) -> None:
        """The job has had so much of the engine's time."""
        self.charged_s += seconds
        self.virtual_s += seconds / self.weight


def may_join(account: Account, least: Account) -> bool:
    """Whether a job is near enough to the least advanced one to have something done that is not its turn."""
    return account.virtual_s <= least.virtual_s + MAX_LEAD_S


Owner = TypeVar("Owner")


@dataclass(eq=False)
class Track(Generic[Owner]):
    """One picture in the making: its sampler, and the call that it waits for."""

    owner: Owner
    account: Account
    sampler: Generator[Call, Any, Any]
    call: Call = field(init=False)
    key: Hashable = field(init=False)

    def wait_for(self, call: Call) -> None:
        """Note the call that comes next."""
        self.call, self.key = call, batch_key(call)


class Schedule:
    """Opens accounts, chooses groups and charges for them."""

    def __init__(self, max_batch: int) -> None:
        """Start with nobody served.

        Args:
            max_batch: calls in one group at most.
        """
        self._max_batch = max_batch
        self._now_s = 0.0

    def open(self, weight: float = 1.0) -> Account:
        """The account of a newcomer: not behind, so that it cannot hold up the others, and not ahead."""
        return Account(weight, self._now_s)

    def choose(self, tracks: Iterable[Track[Owner]]) -> list[Track[Owner]]:
        """The next group, its seed first.

        Args:
            tracks: all that wait, longest first; at least one.
        """
        waiting = sorted(self._eligible(list(tracks)), key=lambda track: track.account.virtual_s)
        seed = waiting[0]
        self._now_s = seed.account.virtual_s
        if isinstance(seed.call, Personalize):
            return [seed]  # nothing is gained by company: each has an encoder of its own
        group: list[Track[Owner]] = []
        views = 0
        for track in waiting:
            if len(group) == self._max_batch or not may_join(track.account, seed.account):
                break
            if track.key != seed.key:
                continue
            if isinstance(track.call, Guide):
                views += rows(track.call)
                if views > MAX_VIEWS and group:
                    break
            group.append(track)
        return group

    def _eligible(self, tracks: list[Track[Owner]]) -> list[Track[Owner]]:
        """Those that may be served now: of encoders that are fitted, one after the other, for the sake of memory.

        The time that a job waits for another's encoder is not made up for later: it would take it from all others.
        """
        if not any(_is_fitting(track.call) for track in tracks):
            return tracks
        eligible = [
            track for track in tracks if not isinstance(track.call, Personalize) or _is_fitting(track.call)
        ]
        accounts = {id(track.account) for track in eligible}
        for track in tracks:
            if id(track.account) not in accounts:
                track.account.virtual_s = max(track.account.virtual_s, self._now_s)
        return eligible

    def charge(self, group: list[Track[Owner]], seconds: float) -> None:
        """Share the time that a group took among its jobs, by rows."""
        total = sum(rows(track.call) for track in group)
        for track in group:
            track.account.charge(seconds * rows(track.call) / total)
