"""Secrets that the service draws for itself."""

import base64
import secrets
from typing import cast

from redis import Redis

SECRET_BYTES = 32


def drawn_once(redis: Redis, place: str, prefix: str = "") -> str:
    """The secret at a place, in base64 after a prefix: drawn at the first call, and then the same for every process."""
    drawn = prefix + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    redis.set(place, drawn, nx=True)
    return cast("str", redis.get(place))
