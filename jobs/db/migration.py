"""Brings the keys of an earlier version to where this one looks for them."""

from dataclasses import dataclass
from typing import cast

import structlog
from redis import Redis
from redis.exceptions import RedisError

from jobs.db.scripts import EARLIER_PREFIX, EARLIER_TICKETS, Scripts

# Any server that an earlier version has used has some of them.
SIGNS = ("jobs", "workers", "check", "keys", "tenant_records", "webhook_secret", "link_secret", "pace")

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Migration:
    """What was moved, or is to be.

    Attributes:
        keys: that get another name.
        tickets: of RQ that go, since others take their place.
    """

    keys: int
    tickets: int


def migrate(redis: Redis, *, dry_run: bool = False) -> Migration:
    """Move all keys of the earlier version, in one step; safe to repeat. Not for a cluster, where there are none.

    Processes of the earlier version do not see the keys any more, and must have ended.

    Raises:
        RedisError: the server is away, or forbids ``KEYS``.
    """
    if not redis.exists(*(EARLIER_PREFIX + sign for sign in SIGNS)):
        return Migration(0, 0)
    answer = Scripts(redis)("migrate", EARLIER_PREFIX, EARLIER_TICKETS, int(dry_run))
    return Migration(*cast("list[int]", answer))


def migrate_if_possible(redis: Redis) -> bool:
    """The same at the start of a process; False if the server is away, or does not allow it."""
    try:
        done = migrate(redis)
    except RedisError as error:
        log.warning("keys of an earlier version were not looked for", reason=str(error))
        return False
    if done.keys:
        log.info("keys of an earlier version moved", keys=done.keys)
    return True
