"""Threads for decoding pictures, so that no other request waits for that."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

THREADS = 2  # each takes a core and some 100 MB
LOOK_EVERY_S = 0.5

Made = TypeVar("Made")


class Decoder:
    """One queue for all requests. Each request has one picture in it at a time, so that none delays the others."""

    def __init__(self) -> None:
        """Start no thread yet."""
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="decoder")

    async def run(self, work: Callable[[], Made], still_wanted: Callable[[], Awaitable[None]]) -> Made:
        """Run ``work`` on a thread of the decoder's; its result.

        Args:
            work: decodes one picture.
            still_wanted: called during the wait. An exception of it ends the wait, and ``work`` does not start.
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
        """Drop the waiting work."""
        self._pool.shutdown(wait=False, cancel_futures=True)
