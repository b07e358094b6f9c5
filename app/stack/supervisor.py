"""A tree of processes: starts them, restarts those that die, and takes all of them down."""

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

from app.stack.child import Child, ChildFailedError, ChildSpec
from app.stack.child_log import ChildLog

LOOK_EVERY_S = 0.1
DEATHS_ALLOWED = 3  # of one child before everything is up
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # SIGHUP: the terminal was closed


class StopRequested(BaseException):
    """A signal requested the end of this process."""


class Supervisor:
    """Keeps children alive while its caller waits in ``sleep``; none of them outlives its ``with`` block.

    Within the block the stop signals only make ``sleep`` raise StopRequested. A handler that raised could strike
    between the start of a child and the note of it, and a second Ctrl-C in the middle of taking them down.

    For the main thread: only that one may handle signals, and a child ends with the thread that started it.

    Args:
        log_folder: where each child's log goes.
        say: called with each message: a child's death, and the end.
        verbose: whether ``say`` also gets every line that a child logs.
    """

    def __init__(self, log_folder: Path, *, say: Callable[[str], None], verbose: bool = False) -> None:
        self.children: list[Child] = []
        self.on_death: Callable[[Child], None] = _ignore  # called with a child that has just died
        self.is_up = False  # set once the service answers: before, a child that keeps dying ends everything
        self._log_folder = log_folder
        self._say = say
        self._verbose = verbose
        self._stop_requested = False
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._handlers = {number: signal.signal(number, self._request_stop) for number in STOP_SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def start(self, spec: ChildSpec) -> Child:
        """Start a child, with a fresh log.

        Raises:
            ChildFailedError: there is no room for it, or its log cannot be written.
        """
        try:
            child = Child(spec, ChildLog(self._log_folder / f"{spec.name}.log"))
            self.children.append(child)
            child.start()
        except OSError as error:
            raise ChildFailedError(f"{spec.name} cannot be started: {error}") from error
        return child

    def sleep(self, seconds: float) -> None:
        """Let the time pass and keep the children alive.

        Raises:
            StopRequested: a stop was requested.
            ChildFailedError: a child cannot be started, before everything was up.
        """
        end = time.monotonic() + seconds
        while True:
            self._look()
            left_s = end - time.monotonic()
            if left_s <= 0:
                return
            time.sleep(min(LOOK_EVERY_S, left_s))

    def watch(self) -> NoReturn:
        """Keep the children alive until a stop is requested; see ``sleep``."""
        while True:
            self.sleep(3600)

    def stop(self) -> None:
        """End all children, those that others need last; returns when none is left."""
        self._end([child for child in self.children if not child.spec.last])
        self._end([child for child in self.children if child.spec.last])
        self._read_logs()
        self.children.clear()

    def _request_stop(self, _signum: int, _frame: FrameType | None) -> None:
        self._stop_requested = True

    def _look(self) -> None:
        if self._stop_requested:
            self._tell("Stopping ...")
            raise StopRequested
        self._read_logs()
        for child in self.children:
            news = self._look_at(child)
            if news is None:
                continue
            self._tell(news)
            if child.last_death is not None:
                self.on_death(child)
            if not self.is_up and child.deaths >= DEATHS_ALLOWED:
                raise _keeps_dying(child)

    def _look_at(self, child: Child) -> str | None:
        try:
            return child.look()
        except ChildFailedError as error:
            if not self.is_up:
                raise
            # A setting or the catalog became invalid while the service was up: the other processes go on.
            return f"{child.spec.name} refuses its configuration: {error.message}; starting it again"

    def _end(self, children: list[Child]) -> None:
        for child in children:
            child.ask_to_end()
        start = time.monotonic()
        for child in children:
            while not child.has_ended() and time.monotonic() - start < child.spec.grace_s:
                self._read_logs()
                time.sleep(0.02)
            child.kill()

    def _read_logs(self) -> None:
        for child in self.children:
            with suppress(OSError):  # no trouble with a log is worth a process
                for line in child.log.unread() if self._verbose else ():
                    self._tell(f"{child.spec.name} | {line}")
                child.log.cut()

    def _tell(self, message: str) -> None:
        with suppress(OSError):  # nobody reads it any more
            self._say(message)


def _ignore(_: Child) -> None:
    """Do nothing."""


def _keeps_dying(child: Child) -> ChildFailedError:
    tail = "\n".join(f"  {line}" for line in child.log.tail(15))
    return ChildFailedError(f"{child.spec.name} keeps dying; the end of {child.log.path}:\n{tail}")
