"""Tells a worker at once that one of its jobs was canceled or deleted.

Only a hint, which may be lost: the answer to the next renewal of the lease is what counts.
"""

from contextlib import suppress

from redis import Redis
from redis.client import PubSub

from jobs.db import keys


class Interrupts:
    """Hears of every running job that someone wants to stop. For one thread."""

    def __init__(self, redis: Redis) -> None:
        self._messages = PubSub(redis.connection_pool, ignore_subscribe_messages=True)
        self._subscribed = False

    def wait(self, timeout_s: float) -> str | None:
        """Id of the next job that is to stop; None when none came in time.

        Raises:
            RedisError: the connection is lost; the next call makes a new one.
        """
        if not self._subscribed:
            self._messages.subscribe(keys.INTERRUPTS)
            self._subscribed = True
        message = self._messages.get_message(timeout=timeout_s)
        return None if message is None else str(message["data"])

    def close(self) -> None:
        """Give the connection up."""
        with suppress(Exception):
            self._messages.close()
