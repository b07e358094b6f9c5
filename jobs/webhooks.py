"""Webhook messages that are owed: stored together with the change they tell of, and kept until they are settled.

The deliverer takes a message for the length of a lease. If it dies meanwhile, the message is due again, so each is
delivered at least once; its id stays the same, by which a receiver knows it again.
"""

import base64
import secrets
from dataclasses import dataclass
from typing import cast

from redis import Redis

from jobs.connection import translates_redis_errors
from jobs.request import WebhookEvent
from jobs.scripts import PREFIX, Scripts

LEASE_S = 60.0
_SECRET = PREFIX + "webhook_secret"
_SECRET_BYTES = 32


@dataclass(frozen=True)
class Delivery:
    """One attempt to deliver one message."""

    message_id: str
    token: str
    job_id: str
    event: WebhookEvent
    attempt: int
    age_s: float


class WebhookQueue:
    """The messages that are owed.

    All methods raise QueueUnavailableError when Redis cannot be reached or refuses to write.
    """

    def __init__(self, redis: Redis, *, lease_s: float = LEASE_S) -> None:
        self._redis = redis
        self._scripts = Scripts(redis)
        self._lease_ms = int(lease_s * 1000)

    @translates_redis_errors
    def take(self) -> Delivery | None:
        """The message that has been due for the longest; None when none is due."""
        token = secrets.token_hex(8)
        answer = self._scripts("deliver", self._lease_ms, token)
        if not answer:
            return None
        message_id, job_id, event, attempts, age_us = answer
        return Delivery(message_id, token, job_id, WebhookEvent(event), int(attempts), int(age_us) / 1e6)

    @translates_redis_errors
    def delivered(self, delivery: Delivery) -> None:
        """The receiver has accepted it."""
        self._scripts("delivered", delivery.message_id, delivery.token, "delivered", 0, "")

    @translates_redis_errors
    def retry(self, delivery: Delivery, delay_s: float, reason: str) -> None:
        """It is to be tried again after ``delay_s`` seconds."""
        delay_ms = int(delay_s * 1000)
        self._scripts("delivered", delivery.message_id, delivery.token, "pending", delay_ms, reason)

    @translates_redis_errors
    def give_up(self, delivery: Delivery, reason: str) -> None:
        """It is not to be tried again."""
        self._scripts("delivered", delivery.message_id, delivery.token, "failed", 0, reason)

    @translates_redis_errors
    def pending(self) -> int:
        """Number of messages that are owed."""
        return self._redis.zcard(PREFIX + "webhooks")

    @translates_redis_errors
    def own_secret(self) -> str:
        """A secret to sign with where the operator has set none: drawn once, and the same for every process."""
        drawn = "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
        self._redis.set(_SECRET, drawn, nx=True)
        return cast("str", self._redis.get(_SECRET))
