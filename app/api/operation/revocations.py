"""Follows the revocations of keys, so that each process forgets a revoked key at once."""

import asyncio
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from jobs.callers.ring import KeyRing
from jobs.db import keys

RECONNECT_S = 0.5

log = structlog.get_logger(__name__)


async def follow_revocations(redis: Redis, ring: KeyRing) -> None:
    """Follow until canceled; after an outage of Redis, every key is asked for anew."""
    while True:
        try:
            await _follow(redis, ring)
        except RedisError as error:
            log.debug("no revocation can be read", reason=str(error))
            await asyncio.sleep(RECONNECT_S)


async def _follow(redis: Redis, ring: KeyRing) -> None:
    async with redis.pubsub(ignore_subscribe_messages=True) as channel:
        await channel.subscribe(keys.CHANGED_KEYS)
        ring.forget_all()
        while True:
            message: Any = await channel.get_message(timeout=5.0)
            if message is not None:
                ring.forget(message["data"])
