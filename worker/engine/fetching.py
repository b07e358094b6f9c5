"""Reads files and computes for samplers, on threads beside the engine's."""

import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Generic, TypeVar

import structlog

from jobs.errors import JobFailedError, LodestarError
from worker.events import Fetch

# Of long computations: the engine computes with the same cores on a CPU, and drives the device with one of them
# elsewhere.
NICENESS = 10
READERS = 2  # one waits for the store while the other unpacks

log = structlog.get_logger(__name__)

Owner = TypeVar("Owner")


class Fetches(Generic[Owner]):
    """Files that are being read. The engine calls ``begin`` and ``done``; the rest runs on other threads."""

    def __init__(self, on_done: Callable[[], None], threads: int = READERS, niceness: int = 0) -> None:
        """Start no thread before the first call.

        Args:
            on_done: called on any thread when ``done`` has another answer.
            threads: the most.
            niceness: of the threads, see ``stand_back``.
        """
        self._on_done, self._most, self._niceness = on_done, threads, niceness
        self._asked: queue.SimpleQueue[tuple[Owner, Fetch] | None] = queue.SimpleQueue()
        self._answered: queue.SimpleQueue[tuple[Owner, object]] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def begin(self, owner: Owner, call: Fetch) -> None:
        """Read a file; returns at once."""
        self._asked.put((owner, call))
        if len(self._threads) < self._most:
            self._threads.append(threading.Thread(target=self._serve, name="fetcher", daemon=True))
            self._threads[-1].start()

    def done(self) -> Iterator[tuple[Owner, object]]:
        """The owners of files that have been read, each with the answer: a LodestarError if there is none."""
        while not self._answered.empty():
            yield self._answered.get()

    def close(self) -> None:
        """Read no more files."""
        for _ in self._threads:
            self._asked.put(None)

    def _serve(self) -> None:
        stand_back(self._niceness)
        while asked := self._asked.get():
            owner, call = asked
            self._answered.put((owner, _answer(call)))
            self._on_done()


def _answer(call: Fetch) -> object:
    try:
        return call.read()
    except LodestarError as error:
        return error
    except OSError as error:
        log.exception("artifact store failed")
        return JobFailedError(
            f"what the job needs could not be read: {error.strerror or type(error).__name__}"
        )
    except Exception as error:
        # The boundary of a job: an error of its files ends this job and no other.
        log.exception("what a job needs cannot be read")
        return JobFailedError(f"internal error: {type(error).__name__}")


def stand_back(niceness: int) -> None:
    """Leave the cores of the CPU to less nice threads, as long as they have work.

    Linux counts niceness by thread, and a thread inherits it from its starter; elsewhere nothing happens.

    Args:
        niceness: of the calling thread, 0 to 19. While all cores are wanted, 5 gets a third of what 0 gets, 10 a tenth.
    """
    if niceness and sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
