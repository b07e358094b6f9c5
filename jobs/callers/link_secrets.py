"""The secrets that sign addresses of pictures."""

import base64
import time
from collections.abc import Sequence

from redis import Redis

from jobs.db import keys
from jobs.db.connection import translates_redis_errors
from jobs.db.drawn import drawn_once

CACHE_S = 60.0


class LinkSecrets:
    """The secrets, the newest first: it signs, and all of them verify. Threads may share one."""

    def __init__(self, redis: Redis, given: Sequence[str] = ()) -> None:
        """Make one.

        Args:
            redis: keeps the drawn secret. If it is deleted there, every address that it signed ends within a minute.
            given: the operator's own, in base64; if there are none, one is drawn and kept.
        """
        self._redis = redis
        self._given = tuple(base64.b64decode(secret) for secret in given)
        self._drawn, self._until = b"", 0.0

    @translates_redis_errors
    def all(self) -> tuple[bytes, ...]:
        """The secrets.

        Raises:
            QueueUnavailableError: none was given, and Redis is away.
        """
        if self._given:
            return self._given
        if time.monotonic() >= self._until:
            self._drawn = base64.b64decode(drawn_once(self._redis, keys.LINK_SECRET))
            self._until = time.monotonic() + CACHE_S
        return (self._drawn,)
