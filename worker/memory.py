"""What a batch takes of the device's memory, learned from what batches took.

The model is a line for every kind of batch: bytes = a + b * size. The first batch of a kind holds one call, the second
at most ``GROWTH`` times as much; from then on the line through the smallest seen, as steep as to any other, foretells
the rest. An out-of-memory error is a measurement too: such a batch takes more than was free.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Generator, Hashable, Iterable
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

import torch

GROWTH = 4
FREE_SHARE = 0.8  # of the free memory; the rest is for fragments, and for what other threads take meanwhile

MEASURE_EVERY = 64  # batches of the same kind and size; measuring costs a CPU half a millisecond
CLEAR_PEAK = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")


class MemoryModel:
    """Foretells the memory of batches, and learns from each."""

    def __init__(self, free_bytes: Callable[[], int], limit_bytes: float = math.inf) -> None:
        """Know nothing yet.

        Args:
            free_bytes: the memory that is free now.
            limit_bytes: what a batch may take at most, besides ``FREE_SHARE`` of the free memory.
        """
        self._free_bytes = free_bytes
        self._limit_bytes = limit_bytes
        self._taken: dict[Hashable, dict[int, int]] = {}  # the most that a batch of this size took
        self._refused: dict[Hashable, dict[int, int]] = {}  # what was free when one of this size did not fit
        self._runs: Counter[tuple[Hashable, int]] = Counter()

    def largest(self, key: Hashable) -> float | None:
        """The largest batch that is expected to fit now; None if nothing is known of its kind."""
        points = {**self._refused.get(key, {}), **self._taken.get(key, {})}
        if not points:
            return None
        least, budget = min(points), self._budget_bytes()
        if len(points) == 1:
            # In proportion: too much for what is larger, since part of it is paid once. So it errs to the safe side.
            base, slope, bound = 0.0, points[least] / least, float(GROWTH * least)
        else:
            slope = max((points[size] - points[least]) / (size - least) for size in points if size > least)
            base, bound = points[least] - slope * least, math.inf
        if slope <= 0:
            return bound if points[least] <= budget else 0.0
        return min((budget - base) / slope, bound)

    def fitting(self, key: Hashable, sizes: Iterable[int]) -> int:
        """How many of the first calls fit together: at least one, so that a call that cannot fit fails by itself.

        Args:
            key: the kind of batch.
            sizes: what each call adds to the batch.
        """
        largest = self.largest(key) or 0.0
        return max(1, sum(total <= largest for total in accumulate(sizes)))

    def note(self, key: Hashable, size: int, taken: int) -> None:
        """A batch of this size fitted, and took so many bytes."""
        seen = self._taken.setdefault(key, {})
        seen[size] = max(taken, seen.get(size, 0))
        refused = self._refused.get(key, {})
        for proved_wrong in [other for other in refused if other <= size]:
            del refused[proved_wrong]

    def refuse(self, key: Hashable, size: int) -> None:
        """A batch of this size did not fit; it is not expected to before much more is free."""
        self._refused.setdefault(key, {})[size] = int(self._budget_bytes() / FREE_SHARE) + 1

    def _budget_bytes(self) -> float:
        """What a batch may take now."""
        return min(FREE_SHARE * self._free_bytes(), self._limit_bytes)

    def worth_measuring(self, key: Hashable, size: int) -> bool:
        """Whether a batch can teach something: the first of its size, and now and then another."""
        self._runs[key, size] += 1
        return self._runs[key, size] % MEASURE_EVERY == 1


class _Peak:
    """The most memory since a measurement began. The system counts one peak, which every measurement starts anew."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._most = 0
        self._before = self._restart()

    def note(self) -> None:
        """Keep what the system counts, before another measurement starts it anew."""
        counted = torch.cuda.max_memory_allocated(self._device) if self._is_cuda else _resident("VmHWM")
        self._most = max(self._most, counted)

    def taken(self) -> int:
        """Bytes beyond those at the beginning."""
        return max(self._most - self._before, 0)

    @property
    def _is_cuda(self) -> bool:
        return self._device.type == "cuda"

    def _restart(self) -> int:
        """Start the system's count anew, from what is taken now."""
        if self._is_cuda:
            torch.cuda.reset_peak_memory_stats(self._device)
            return torch.cuda.memory_allocated(self._device)
        if not CLEAR_PEAK.exists():
            return _resident("VmHWM")
        CLEAR_PEAK.write_text("5")
        return _resident("VmRSS")


_measuring: list[_Peak] = []  # in this process, outer ones first


@contextmanager
def peak_memory(device: torch.device) -> Generator[Callable[[], int], None, None]:
    """Measure the most memory that the block takes on top of what was taken before; ask for it after the block.

    On a CPU that is the growth of the peak resident set, which Linux can start anew (elsewhere the answer is 0). Memory
    that the process holds already and uses again is not counted, as it is not free either; what other threads take
    meanwhile is. Measurements may lie within each other.
    """
    for outer in tuple(_measuring):
        outer.note()
    peak = _Peak(device)
    _measuring.append(peak)
    try:
        yield peak.taken
    finally:
        peak.note()
        _measuring.remove(peak)


def resident_bytes() -> int | None:
    """Memory that this process holds; None where the system does not tell."""
    return _resident("VmRSS") if CLEAR_PEAK.exists() else None


def _resident(name: str) -> int:
    """A count of the kernel's, in bytes; 0 where it has none."""
    if not STATUS.exists():
        return 0
    found = re.search(rf"{name}:\s+(\d+) kB", STATUS.read_text())
    return int(found[1]) * 1024 if found else 0
