"""Logins of browsers: a random token in a cookie stands for a key."""

import secrets
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, cast

from redis import Redis

from jobs.db.connection import translates_redis_errors
from jobs.db.scripts import PREFIX

IDLE_S = 8 * 3600
ABSOLUTE_S = 7 * 24 * 3600
_TOKEN_BYTES = 32


class Sessions:
    """The sessions that Redis keeps, each under the digest of its token.

    All methods raise QueueUnavailableError when Redis cannot be reached or refuses to write.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    @translates_redis_errors
    def begin(self, key_id: str) -> str:
        """A session of a key; its token."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        seconds, _ = self._redis.time()
        with self._redis.pipeline() as pipeline:
            fields = {"key": key_id, "ends_s": seconds + ABSOLUTE_S}
            pipeline.hset(_place(token), mapping=cast("Mapping[Any, Any]", fields))
            pipeline.expire(_place(token), IDLE_S)
            pipeline.execute()
        return token

    @translates_redis_errors
    def key_of(self, token: str) -> str | None:
        """Id of the key that a session stands for; None if it has ended. It goes on for another eight hours."""
        with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.hmget(_place(token), "key", "ends_s")
            pipeline.time()
            (key_id, ends_s), (now_s, _) = pipeline.execute()
        if key_id is None or now_s >= int(ends_s):
            return None
        self._redis.expire(_place(token), min(IDLE_S, int(ends_s) - now_s))
        return str(key_id)

    @translates_redis_errors
    def end(self, token: str) -> None:
        """End a session; one that has ended is fine."""
        self._redis.delete(_place(token))


def _place(token: str) -> str:
    return f"{PREFIX}session:{sha256(token.encode()).hexdigest()}"
