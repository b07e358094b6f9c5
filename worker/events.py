"""The events that a sampler yields between its model calls."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from worker.calls import Call
from worker.raster import Raster


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


@dataclass(frozen=True)
class Stepped(Event):
    """One step is done."""


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


Yield = Call | Event  # all that a sampler yields
