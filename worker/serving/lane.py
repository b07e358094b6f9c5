"""Threads that run tasks beside the engine, in order."""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar

from worker.engine.fetching import stand_back

P = ParamSpec("P")
T = TypeVar("T")

_Task = tuple[Future[Any], Callable[[], Any]]


class Lane:
    """A few threads that run tasks, the oldest first.

    Unlike those of an executor they are daemons: a task that is stuck keeps no process from ending.
    """

    def __init__(self, name: str, threads: int = 1, *, niceness: int = 0) -> None:
        """Start no thread yet.

        Args:
            name: of the threads.
            threads: the most; each starts when it is first needed.
            niceness: see ``stand_back``.
        """
        self._name = name
        self._niceness = niceness
        self._most = threads
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, do: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a task; returns at once. After ``close`` the task is canceled."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                future.cancel()
                return future
            self._tasks.put((future, lambda: do(*args, **kwargs)))
            if len(self._threads) < self._most:
                self._threads.append(threading.Thread(target=self._work, name=self._name, daemon=True))
                self._threads[-1].start()
        return future

    def close(self, within_s: float) -> None:
        """Cancel the tasks that have not begun; return when the others are done, or the time is over."""
        with self._lock:
            self._closed = True
        try:
            while True:
                task = self._tasks.get_nowait()
                if task is not None:
                    task[0].cancel()
        except queue.Empty:
            pass
        for _ in self._threads:
            self._tasks.put(None)
        end = time.monotonic() + within_s
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _work(self) -> None:
        stand_back(self._niceness)
        while (task := self._tasks.get()) is not None:
            future, do = task
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(do())
                except BaseException as error:
                    future.set_exception(error)
            # Or the task's objects would be kept until the next one comes.
            del task, future, do
