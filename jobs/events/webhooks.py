"""The queue of webhook messages: stored in the same step as the change, and kept until settled.

The deliverer takes a message for the length of a lease. If it dies meanwhile, the message is due again, so each is
delivered at least once. Its id stays the same, so a receiver recognizes a repetition. Callers take turns, and so do the
hosts of each; see ``lua/deliver.lua``.
"""

import secrets
from dataclasses import dataclass

from redis import Redis

from jobs.db import keys
from jobs.db.connection import translates_redis_errors
from jobs.db.drawn import drawn_once
from jobs.db.scripts import Scripts
from jobs.events.secrets import PREFIX_OF_SECRETS
from jobs.requests.delivery.webhook import WebhookEvent

LEASE_S = 30.0  # twice what one attempt takes
MOST_PER_HOST = 2
MOST_PER_CALLER = 8
GIVE_UP_S = 24 * 3600.0
_PASSES = 100  # of one look; more messages than these look at are left to the next


@dataclass(frozen=True)
class Delivery:
    """One attempt to deliver one message."""

    message_id: str
    token: str
    job_id: str
    event: WebhookEvent
    attempt: int
    age_s: float
    tenant: str
    """Of the job; empty for the default one."""
    trace: str = ""
    """The place of the job's submission in a trace, see ``jobs.tracing``; empty without one."""


class WebhookQueue:
    """The messages that are not settled.

    All methods raise QueueUnavailableError when Redis cannot be reached or refuses to write.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        lease_s: float = LEASE_S,
        most_per_host: int = MOST_PER_HOST,
        most_per_caller: int = MOST_PER_CALLER,
        give_up_s: float = GIVE_UP_S,
    ) -> None:
        """Connect a taker to the queue.

        Args:
            redis: the server.
            lease_s: how long a message may be in hand before it is due again.
            most_per_host: messages in hand for one host and port at a time, by all takers together.
            most_per_caller: likewise for the jobs of one caller.
            give_up_s: age at which a message for a silent host is given up.
        """
        self._redis = redis
        self._scripts = Scripts(redis)
        self._lease_ms = int(lease_s * 1000)
        self._limits = (most_per_host, most_per_caller, int(give_up_s * 1000))

    @translates_redis_errors
    def take(self) -> Delivery | None:
        """Take the next message; None when none is due, or the limits of host and caller hold back all that are."""
        token = secrets.token_hex(8)
        for _ in range(_PASSES):
            answer = self._scripts(
                "deliver", self._lease_ms, token, *self._limits, "nobody has answered for a day"
            )
            if answer != "again":
                break
        if not answer or answer == "again":
            return None
        message_id, job_id, event, attempts, age_us, tenant, trace = answer
        age_s = int(age_us) / 1e6
        return Delivery(message_id, token, job_id, WebhookEvent(event), int(attempts), age_s, tenant, trace)

    @translates_redis_errors
    def delivered(self, delivery: Delivery) -> None:
        """Settle a message that its receiver accepted."""
        self._settle(delivery, "delivered", 0, "")

    @translates_redis_errors
    def retry(self, delivery: Delivery, delay_s: float, reason: str, *, is_silent: bool = False) -> None:
        """Try the message again after ``delay_s`` seconds; ``is_silent`` if the host did not answer."""
        self._settle(delivery, "pending", int(delay_s * 1000), reason, is_silent=is_silent)

    @translates_redis_errors
    def give_up(self, delivery: Delivery, reason: str, *, is_silent: bool = False) -> None:
        """Settle a message as failed; ``is_silent`` if the host did not answer."""
        self._settle(delivery, "failed", 0, reason, is_silent=is_silent)

    @translates_redis_errors
    def pending(self) -> int:
        """Number of messages that are not settled."""
        return self._redis.zcard(keys.WEBHOOKS)

    @translates_redis_errors
    def own_secret(self) -> str:
        """The signing secret when the operator has set none: drawn once, and the same in every process."""
        return drawn_once(self._redis, keys.WEBHOOK_SECRET, PREFIX_OF_SECRETS)

    def _settle(
        self, delivery: Delivery, status: str, delay_ms: int, reason: str, *, is_silent: bool = False
    ) -> None:
        fields = (delivery.message_id, delivery.token, status, delay_ms, reason, int(is_silent))
        self._scripts("delivered", *fields)
