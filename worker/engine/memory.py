"""Predicts the memory of a batch from the memory that earlier batches took.

The model is a line for every kind of batch: bytes = a + b * size. The first batch of a kind holds one call, the second
at most ``GROWTH`` times as much; from then on the steepest line from the smallest size to any other predicts the rest.
An out-of-memory error is a measurement too: such a batch takes more than was free.

A measurement includes the memory that other threads take meanwhile, to load a model or to upscale a picture
(``worker.models.footprint.taking_memory``). Such a disturbed measurement counts only until there is an undisturbed
one. No measurement counts for ever: of each size the last ``KEPT`` count, unless they are older than ``FORGET_AFTER``
batches of their kind.
"""

import math
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from itertools import accumulate

from worker.models.device import FREE_SHARE

GROWTH = 4
MEASURE_EVERY = 64  # batches of the same kind and size; measuring costs a CPU half a millisecond
KEPT = 5  # measurements of the same kind and size
FORGET_AFTER = KEPT * MEASURE_EVERY  # batches of the same kind


@dataclass
class _Size:
    """The memory of batches of one kind and size.

    Attributes:
        taken: bytes, the latest last.
        disturbed: whether other threads took memory meanwhile, so that this is an upper bound.
        runs: how many there were.
        measured_at: number of the batch of this kind that was measured last.
    """

    taken: deque[int] = field(default_factory=lambda: deque(maxlen=KEPT))
    disturbed: bool = False
    runs: int = 0
    measured_at: int = 0


@dataclass
class _Kind:
    """The measurements of one kind of batch."""

    runs: int = 0
    sizes: dict[int, _Size] = field(default_factory=dict)
    refused: dict[int, int] = field(default_factory=dict)  # free bytes when a batch of this size did not fit

    def known(self) -> dict[int, _Size]:
        """The sizes that were measured, and not too long ago."""
        measured = {size: seen for size, seen in self.sizes.items() if seen.taken}
        return {
            size: seen for size, seen in measured.items() if self.runs - seen.measured_at <= FORGET_AFTER
        } or measured


class MemoryModel:
    """Predicts the memory of batches, and learns from each."""

    def __init__(self, free_bytes: Callable[[], int], limit_bytes: float = math.inf) -> None:
        """Start without measurements.

        Args:
            free_bytes: the memory that is free now.
            limit_bytes: of one batch, besides ``FREE_SHARE`` of the free memory.
        """
        self._free_bytes = free_bytes
        self._limit_bytes = limit_bytes
        self._kinds: dict[Hashable, _Kind] = {}

    def largest(self, key: Hashable) -> float | None:
        """The largest batch that is expected to fit now; None if nothing is known of its kind."""
        kind = self._kinds.get(key)
        if kind is None:
            return None
        known = kind.known()
        taken = {size: max(seen.taken) for size, seen in known.items()}
        sure = {**kind.refused, **{size: taken[size] for size, seen in known.items() if not seen.disturbed}}
        points = {**kind.refused, **taken}
        if not points:
            return None
        least = min(sure, default=0)
        slope = max(((sure[size] - sure[least]) / (size - least) for size in sure if size > least), default=0)
        if slope > 0:
            return (self._budget_bytes() - sure[least]) / slope + least
        return self._in_proportion(points)

    def _in_proportion(self, points: dict[int, int]) -> float:
        """Without a line: proportional to the point that allows the largest batch.

        That overestimates larger batches, since they pay a part of the memory only once. So it errs on the safe
        side, also where the point itself is too high.
        """
        budget, bound = self._budget_bytes(), float(GROWTH * max(points))
        return max(min(budget / taken * size, bound) if taken else bound for size, taken in points.items())

    def fitting(self, key: Hashable, sizes: Iterable[int]) -> int:
        """Number of the first calls that fit together: at least one, so that a call that cannot fit fails by itself.

        Args:
            key: the kind of batch.
            sizes: of the calls.
        """
        largest = self.largest(key) or 0.0
        return max(1, sum(total <= largest for total in accumulate(sizes)))

    def note(self, key: Hashable, size: int, taken: int, *, disturbed: bool = False) -> None:
        """Learn the bytes of a batch that fitted; ``disturbed``: those of other threads included."""
        kind = self._kinds.setdefault(key, _Kind())
        for proved_wrong in [other for other in kind.refused if other <= size]:
            del kind.refused[proved_wrong]
        seen = kind.sizes.setdefault(size, _Size())
        if disturbed and seen.taken and not seen.disturbed:
            return
        if (seen.disturbed and not disturbed) or size not in kind.known():
            seen.taken.clear()
        seen.taken.append(taken)
        seen.disturbed, seen.measured_at = disturbed, kind.runs

    def refuse(self, key: Hashable, size: int) -> None:
        """Learn that a batch of this size did not fit: it is not tried again until much more is free."""
        kind = self._kinds.setdefault(key, _Kind())
        kind.refused[size] = int(self._budget_bytes() / FREE_SHARE) + 1

    def _budget_bytes(self) -> float:
        """Bytes that a batch may take now."""
        return min(FREE_SHARE * self._free_bytes(), self._limit_bytes)

    def worth_measuring(self, key: Hashable, size: int) -> bool:
        """Whether to measure the next batch: while its size is unknown, and every ``MEASURE_EVERY`` batches."""
        kind = self._kinds.setdefault(key, _Kind())
        kind.runs += 1
        seen = kind.sizes.setdefault(size, _Size())
        seen.runs += 1
        return size not in kind.known() or seen.disturbed or seen.runs % MEASURE_EVERY == 1
