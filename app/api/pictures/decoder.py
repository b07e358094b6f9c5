"""Threads of their own for unpacking pictures, so that no other request waits for it, however many pictures come."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

THREADS = 2  # of which each takes a core, and some 100 MB
LOOK_EVERY_S = 0.5

Made = TypeVar("Made")


class Decoder:
    """One queue for all requests; each has one picture in it at a time, so that one of many holds up no other."""

    def __init__(self) -> None:
        """Start no thread yet."""
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="decoder")

    async def run(self, work: Callable[[], Made], still_wanted: Callable[[], Awaitable[None]]) -> Made:
        """What ``work`` returns, or raises.

        Args:
            work: done by a thread of the decoder's when its turn comes.
            still_wanted: asked meanwhile; what it raises ends the wait, and ``work`` is not begun any more.
        """
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        try:
            while True:
                await still_wanted()
                done, _ = await asyncio.wait({future}, timeout=LOOK_EVERY_S)
                if done:
                    return future.result()
        finally:
            future.cancel()

    def close(self) -> None:
        """Leave what waits undone."""
        self._pool.shutdown(wait=False, cancel_futures=True)
