"""Ids of the entries of Redis' streams. One that a caller sends is read here before a command of a stream has it."""

import re
from dataclasses import dataclass
from typing import Self

_ID = re.compile(r"([0-9]{1,20})-([0-9]{1,20})", re.ASCII)
_MOST = 2**64 - 1  # of either part, by Redis


@dataclass(frozen=True, order=True)
class StreamId:
    """Where an entry stands in its stream.

    Attributes:
        milliseconds: since 1970, by the clock of Redis.
        sequence: number of the entry within its millisecond.
    """

    milliseconds: int
    sequence: int

    @classmethod
    def read(cls, text: str) -> Self | None:
        """The id that a text is; None if no entry has such an id, or none could follow it."""
        found = _ID.fullmatch(text)
        if found is None or max(parts := (int(found[1]), int(found[2]))) >= _MOST:
            return None
        return cls(*parts)

    @classmethod
    def of(cls, text: str) -> Self:
        """The id of an entry, as Redis tells it.

        Raises:
            ValueError: it is none.
        """
        found = cls.read(text)
        if found is None:
            raise ValueError(f"{text[:50]!r} is not the id of an entry of a stream")
        return found

    def __str__(self) -> str:
        return f"{self.milliseconds}-{self.sequence}"

    @property
    def after(self) -> str:
        """The lower end of a range of all entries that follow this one."""
        return f"({self}"

    @property
    def before(self) -> str:
        """The upper end of a range of all entries that precede this one."""
        # Redis refuses a range that excludes 0-0 as its upper end; no entry has this id.
        return str(self) if self == StreamId(0, 0) else f"({self}"
