"""Memory that this process takes: now, and at most during a block of code."""

import re
import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import torch

CLEAR_PEAK = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")

_beside_lock = threading.RLock()
_beside: Counter[str] = Counter()  # blocks of ``taking_memory`` now, by type of device,
_begun: Counter[str] = Counter()  # and since the start


@contextmanager
def taking_memory(device: torch.device) -> Generator[None, None, None]:
    """Mark a block that takes much memory of a device beside the batches: measurements meanwhile are disturbed."""
    with _beside_lock:
        _beside[device.type] += 1
        _begun[device.type] += 1
    try:
        yield
    finally:
        with _beside_lock:
            _beside[device.type] -= 1


@contextmanager
def undisturbed(device: torch.device) -> Generator[bool, None, None]:
    """Whether no other thread takes much memory of a device; one that would begin to waits until the block ends."""
    with _beside_lock:
        yield not _beside[device.type]


def is_measuring() -> bool:
    """Whether the memory of a block is being measured."""
    return bool(_measuring)


def _beginnings(device: torch.device) -> int | None:
    """Number of the blocks that have begun to take memory; None while one is running."""
    with _beside_lock:
        return None if _beside[device.type] else _begun[device.type]


class Peak:
    """The most memory since a measurement began. The system counts one peak, which every measurement starts anew.

    Call it for the bytes beyond those at the beginning.

    Attributes:
        disturbed: whether other threads took memory meanwhile.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._most = 0
        self._begun = _beginnings(device)
        self.disturbed = False
        self._before = self._restart()

    def note(self) -> None:
        """Keep the system's count, before another measurement restarts it."""
        counted = torch.cuda.max_memory_allocated(self._device) if self._is_cuda else _resident("VmHWM")
        self._most = max(self._most, counted)
        self.disturbed = self._begun is None or _beginnings(self._device) != self._begun

    def __call__(self) -> int:
        return max(self._most - self._before, 0)

    @property
    def _is_cuda(self) -> bool:
        return self._device.type == "cuda"

    def _restart(self) -> int:
        """Restart the system's count from the memory that is taken now."""
        if self._is_cuda:
            torch.cuda.reset_peak_memory_stats(self._device)
            return torch.cuda.memory_allocated(self._device)
        if not CLEAR_PEAK.exists():
            return _resident("VmHWM")
        CLEAR_PEAK.write_text("5")
        return _resident("VmRSS")


_measuring: list[Peak] = []  # in this process, outer ones first


@contextmanager
def peak_memory(device: torch.device) -> Generator[Peak, None, None]:
    """Measure the peak of the memory that the block takes; call the result for it after the block.

    On a CPU that is the growth of the peak resident set, which Linux can start anew (elsewhere the answer is 0). Memory
    that the process holds already and uses again is not counted, as it is not free either; memory that other threads
    take meanwhile is. Measurements may lie within each other.
    """
    for outer in tuple(_measuring):
        outer.note()
    peak = Peak(device)
    _measuring.append(peak)
    try:
        yield peak
    finally:
        peak.note()
        _measuring.remove(peak)


def resident_bytes() -> int | None:
    """Memory that this process holds; None where the system has no count."""
    return _resident("VmRSS") if CLEAR_PEAK.exists() else None


def _resident(name: str) -> int:
    """A count of the kernel's, in bytes; 0 where it has none."""
    if not STATUS.exists():
        return 0
    found = re.search(rf"{name}:\s+(\d+) kB", STATUS.read_text())
    return int(found[1]) * 1024 if found else 0
