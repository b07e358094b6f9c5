"""The controls of the engine's loop, for any thread."""

import queue

from worker.engine.work import Work


class Inbox:
    """Takes jobs in, and the wish to end."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._inbox: queue.SimpleQueue[Work | None] = queue.SimpleQueue()  # None only wakes the loop
        self._closing = self._handing_over = False

    def admit(self, work: Work) -> None:
        """Take a job in; it starts as soon as its models are in memory."""
        self._inbox.put(work)

    def wake(self) -> None:
        """Let the loop look at its jobs again, if it waits."""
        self._inbox.put(None)

    def hand_over(self) -> None:
        """Let all jobs come out between two steps, now and from now on: as ``HandedOver`` once they have done one."""
        self._handing_over = True
        self.wake()

    def close(self) -> None:
        """Let the loop end: every job still in it comes out as ``Stopped``."""
        self._closing = True
        self.wake()
