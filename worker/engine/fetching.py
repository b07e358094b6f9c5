"""Reads files for samplers on threads beside the engine's."""

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import structlog

from jobs.errors import JobFailedError, LodestarError
from worker.events import Fetch

READERS = 2  # one waits for the store while the other unpacks

log = structlog.get_logger(__name__)

Owner = TypeVar("Owner")


class Fetches(Generic[Owner]):
    """Files that are being read. The engine calls ``begin`` and ``done``; the rest runs on other threads."""

    def __init__(self, on_done: Callable[[], None], threads: int = READERS) -> None:
        """Start no thread before the first call.

        Args:
            on_done: called on any thread when ``done`` has another answer.
            threads: the most.
        """
        self._on_done, self._most = on_done, threads
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
