"""Ends a process whose computing hangs."""

import faulthandler
import sys
import threading
from collections.abc import Callable


class Watchdog:
    """Ends the process, with the stack of every thread on stderr, after too long without a sign of life.

    The timer is a C thread that needs neither the interpreter nor its lock. So it also ends a process that is stuck in
    a kernel with the lock held, where no Python code runs any more. The process ends as if it were
    killed, and its jobs are recovered as for any worker that died. There is one such thread in a process.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._dismissed = threading.Event()

    def watch(self, sign_of_life: Callable[[], object]) -> None:
        """Begin to watch.

        Args:
            sign_of_life: its result changes as long as the computing goes on. Called about every second, on a thread of
                the watchdog's.
        """
        threading.Thread(target=self._walk, args=(sign_of_life,), name="watchdog", daemon=True).start()

    def dismiss(self) -> None:
        """Watch no more."""
        self._dismissed.set()
        faulthandler.cancel_dump_traceback_later()

    def _walk(self, sign_of_life: Callable[[], object]) -> None:
        before: object = None
        while not self._dismissed.wait(min(1.0, self._limit_s / 10)):
            sign = sign_of_life()
            if sign != before and not self._dismissed.is_set():
                before = sign
                faulthandler.dump_traceback_later(self._limit_s, exit=True, file=sys.stderr)
