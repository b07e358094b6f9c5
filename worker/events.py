"""The events that a sampler yields between its model calls."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from jobs.requests.selection import Potential
from worker.calls import Call
from worker.latents import LatentState
from worker.raster import Raster
from worker.states.state import PictureState


class Event:
    """Something that a sampler reports or waits for, besides model calls. The engine has a handler for each class.

    Attributes:
        is_answered_later: whether the sampler waits for an answer; otherwise it goes on at once, with None.
    """

    is_answered_later: ClassVar[bool] = False


@dataclass(frozen=True)
class Fetch(Event):
    """Read a file while the engine computes for others. Answer: the result of ``read``."""

    is_answered_later: ClassVar[bool] = True

    read: Callable[[], Tensor | None]


@dataclass(frozen=True)
class Compute(Fetch):
    """Compute for seconds beside the engine, where it delays no file that others wait for."""


@dataclass(frozen=True, eq=False)
class Stepped(Event):
    """One step is done.

    Attributes:
        state: gives the picture's state after it, until the denoiser's next call is answered; LodestarError where the
            step has spoilt the picture. None for what can only be begun anew.
    """

    state: Callable[[], PictureState] | None = None


@dataclass(frozen=True)
class Preview(Event):
    """The estimate of an unfinished picture. There is nothing to show if it is not finite."""

    index: int
    step: int  # steps done, from 1
    raster: Raster


@dataclass(frozen=True)
class Note(Event):
    """A remark on the job for the person who requested it."""

    sentence: str


@dataclass(frozen=True)
class Past:
    """The rewards of a particle's line so far.

    Attributes:
        last: the latest one; None before the first.
        best: the largest.
        total: their sum.
    """

    last: float | None = None
    best: float = -math.inf
    total: float = 0.0

    def then(self, reward: float) -> "Past":
        """With one more; one that is not finite is as if nothing were there."""
        if not math.isfinite(reward):
            return self
        return Past(reward, max(self.best, reward), self.total + reward)


@dataclass(frozen=True, eq=False)
class Met:
    """What a particle learns at a meeting.

    Attributes:
        ancestor: the member of the group that it goes on as.
        state: of that one; None for itself.
        past: of that one, with the score of this meeting.
    """

    ancestor: int
    state: LatentState | None
    past: Past


@dataclass(frozen=True, eq=False)
class Meet(Event):
    """Wait for the other particles of a group. Answer: a ``Met``.

    Attributes:
        group: number of the group in its job.
        size: its particles.
        number: of the meeting.
        member: number of the particle in its group.
        seed: of the job, for the draws.
        reward: of the particle's estimate.
        past: rewards of its line before.
        potential: what a particle weighs.
        strength: as its request says.
        state: of the particle; nobody changes it while it waits.
    """

    is_answered_later: ClassVar[bool] = True

    group: int
    size: int
    number: int
    member: int
    seed: int
    reward: float
    past: Past
    potential: Potential
    strength: float
    state: LatentState


Yield = Call | Event  # all that a sampler yields
