"""When the device has done a batch, and how long that took it.

A CUDA device takes its work in a queue, so a batch has been launched long before it is done. The engine prepares and
launches the next batch meanwhile, one ahead of the device. It must not go further: a cancel, a newcomer and a charge
would come as many batches late.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import torch

from jobs.errors import DeviceLostError

AHEAD = 1  # batches that may wait for the device behind the one that it computes

T = TypeVar("T")
Batch = TypeVar("Batch")


class Span(Protocol):
    """A part of the device's time, which begins when this is made."""

    def end(self) -> None:
        """End it behind all work that the device has been given by now; returns at once."""

    @property
    def is_over(self) -> bool:
        """Whether the device has reached the end.

        Raises:
            DeviceLostError: it never will.
        """

    def seconds(self) -> float:
        """Seconds from the beginning to the end; waits until the device has reached it.

        Raises:
            DeviceLostError: it never will.
        """


class WallSpan:
    """That of a device which computes at once, as a CPU does."""

    def __init__(self) -> None:
        self._began = self._ended = time.monotonic()

    def end(self) -> None:
        """End it now."""
        self._ended = time.monotonic()

    @property
    def is_over(self) -> bool:
        """It is."""
        return True

    def seconds(self) -> float:
        """Seconds from the beginning to the end."""
        return self._ended - self._began


class CudaSpan:
    """That of a CUDA device: two events on the current stream. If the device was idle, launching counts too."""

    def __init__(self) -> None:
        # Waiting sleeps: nothing is lost by waking late, since the device has its next batch already.
        self._began, self._ended = (torch.cuda.Event(enable_timing=True, blocking=True) for _ in range(2))
        self._began.record()

    def end(self) -> None:
        """End it behind all work of the current stream."""
        self._ended.record()

    @property
    def is_over(self) -> bool:
        """Whether the device has reached the end."""
        try:
            is_over: bool = self._ended.query()
        except RuntimeError as error:
            raise DeviceLostError(f"the device is lost: {error}") from error
        return is_over

    def seconds(self) -> float:
        """Seconds from the beginning to the end."""
        try:
            self._ended.synchronize()
            milliseconds: float = self._began.elapsed_time(self._ended)
        except RuntimeError as error:
            raise DeviceLostError(f"the device is lost: {error}") from error
        return milliseconds / 1e3


def spans_of(device: torch.device) -> Callable[[], Span]:
    """Makes the spans of a device."""
    return CudaSpan if device.type == "cuda" else WallSpan


class Launched(Generic[Batch]):
    """Batches that the device has been given, the oldest first, until they are known to be done."""

    def __init__(self, begin: Callable[[], Span], on_done: Callable[[Batch, float], None]) -> None:
        """Start without any.

        Args:
            begin: begins a span of the device.
            on_done: called with each batch and its seconds, in their order, by ``settle``.
        """
        self._begin = begin
        self._on_done = on_done
        self._batches: deque[tuple[Batch, Span]] = deque()

    def launch(self, batch: Batch, run: Callable[[], T]) -> T:
        """Give the device a batch; the result of ``run``, which does it."""
        span = self._begin()
        result = run()
        span.end()
        self._batches.append((batch, span))
        return result

    def settle(self, most: int = AHEAD) -> None:
        """Note the batches that are done; wait until at most ``most`` are not.

        Raises:
            DeviceLostError: the device will do no more.
        """
        while self._batches and (len(self._batches) > most or self._batches[0][1].is_over):
            batch, span = self._batches.popleft()
            self._on_done(batch, span.seconds())
