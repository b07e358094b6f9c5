"""Notifies a worker at once that one of its jobs was canceled or deleted.

This is a hint and may be lost. The answer to the next renewal of the lease decides.
"""

from contextlib import suppress

from redis import Redis
from redis.client import PubSub

from jobs.db import keys


class Interrupts:
    """Subscribes to the stops of running jobs. For one thread."""

    def __init__(self, redis: Redis) -> None:
        self._messages = PubSub(redis.connection_pool, ignore_subscribe_messages=True)
        self._subscribed = False

    def wait(self, timeout_s: float) -> str | None:
        """Id of the next job to stop; None on timeout.

        Raises:
            RedisError: the connection is lost; the next call makes a new one.
        """
        if not self._subscribed:
            self._messages.subscribe(keys.INTERRUPTS)
            self._subscribed = True
        message = self._messages.get_message(timeout=timeout_s)
        return None if message is None else str(message["data"])

    def close(self) -> None:
        with suppress(Exception):
            self._messages.close()
