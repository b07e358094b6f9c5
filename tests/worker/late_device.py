"""A device that computes beside the engine: a thread on which the work of each batch is done later, in order."""

import queue
import threading
from collections.abc import Callable

from jobs.errors import DeviceLostError


class LateSpan:
    """A batch's part of the device's time."""

    def __init__(self, device: "LateDevice") -> None:
        self._device = device
        self._done = threading.Event()
        self._seconds = 0.0
        self._lost = False

    def end(self) -> None:
        self._device.give(self._work)

    def _work(self, seconds: float | None) -> None:
        self._lost, self._seconds = seconds is None, seconds or 0.0
        self._done.set()

    @property
    def is_over(self) -> bool:
        return self._done.is_set()

    def seconds(self) -> float:
        assert self._done.wait(60)
        if self._lost:
            raise DeviceLostError("the device is lost: an illegal memory access was encountered")
        return self._seconds


class LateDevice:
    """Does one batch after another; each waits until it is let through, for good with ``let_all``.

    Attributes:
        given: number of the batches that it has been given.
        done: number of those that it has done.
    """

    def __init__(self, seconds: float = 0.001) -> None:
        """Start the thread.

        Args:
            seconds: of the device's clock that a batch takes.
        """
        self.given = self.done = 0
        self._seconds = seconds
        self._may_do = threading.Semaphore(0)
        self._free = threading.Event()
        self._lost = threading.Event()
        self._work: queue.SimpleQueue[Callable[[float | None], None]] = queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def begin(self) -> LateSpan:
        """Begin a span, as ``spans_of`` does it for other devices."""
        return LateSpan(self)

    def give(self, work: Callable[[float | None], None]) -> None:
        """Queue the work of a batch; returns at once."""
        self.given += 1
        self._work.put(work)

    def let(self, batches: int = 1) -> None:
        """Do some more batches."""
        self._may_do.release(batches)

    def let_all(self) -> None:
        """Do all batches from now on as they come."""
        self._free.set()
        self._may_do.release()

    def lose(self) -> None:
        """Do no batch any more."""
        self._lost.set()
        self.let_all()

    def _run(self) -> None:
        while True:
            work = self._work.get()
            while not (self._free.is_set() or self._may_do.acquire(timeout=0.05)):
                pass
            self.done += 1
            work(None if self._lost.is_set() else self._seconds)
