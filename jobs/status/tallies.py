"""How many jobs ended, and how long they waited and ran: counted in Redis, so that no restart of an API loses any."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from redis import Redis

from jobs.db import keys
from jobs.db.connection import translates_redis_errors

Counted = Literal["ended", "waited", "ran"]


@dataclass(frozen=True)
class Labels:
    """What the jobs of one tally have in common.

    Attributes:
        kind: ``generate``, or that of a task.
        model: that it needs; empty for none.
        preset: of its guidance; empty without.
        outcome: the status that they ended with; empty for waits, which are counted before.
    """

    kind: str
    model: str
    preset: str
    outcome: str


@dataclass
class Tally:
    """Jobs counted by duration.

    Attributes:
        buckets: numbers of jobs by the end of their bucket in seconds, ``+Inf`` for the last; those of shorter
            durations are not in it.
        seconds: all durations together.
        jobs: their number, where durations are not counted.
    """

    buckets: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    jobs: int = 0


class Tallies:
    """Reads what ``tally`` of ``lua/prelude.lua`` counts."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    @translates_redis_errors
    def read(self) -> dict[Counted, dict[Labels, Tally]]:
        """All tallies, by what they count and by the labels of their jobs."""
        return _grouped(cast("dict[str, str]", self._redis.hgetall(keys.TALLIES)))


def _grouped(rows: Mapping[str, str]) -> dict[Counted, dict[Labels, Tally]]:
    found: dict[Counted, dict[Labels, Tally]] = {"ended": {}, "waited": {}, "ran": {}}
    for name, number in rows.items():
        what, kind, model, preset, outcome, last = json.loads(name)
        if what not in found:
            continue  # of a newer version
        tally = found[cast("Counted", what)].setdefault(Labels(kind, model, preset, outcome), Tally())
        match last:
            case "":
                tally.jobs = int(number)
            case "sum":
                tally.seconds = float(number)
            case _:
                tally.buckets[last] = int(number)
    return found
