"""The keys that Redis keeps."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

from redis import Redis

from jobs.callers.record import KeyRecord
from jobs.callers.secret import KeyText, draw_key
from jobs.db import keys
from jobs.db.connection import translates_redis_errors
from jobs.errors import UnknownKeyError

OVERLAP = timedelta(hours=24)


class KeyStore:
    """Makes, reads, rotates and revokes keys.

    All methods raise QueueUnavailableError when Redis cannot be reached or refuses to write.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    @translates_redis_errors
    def add(self, record: KeyRecord) -> None:
        """Keep a new key."""
        self._put(record)

    @translates_redis_errors
    def get(self, key_id: str) -> KeyRecord | None:
        """The record of a key; None if there is none."""
        with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.hget(keys.KEYS, key_id)
            pipeline.hget(keys.KEY_USES, key_id)
            text, used_on = pipeline.execute()
        return None if text is None else _read(text, used_on)

    @translates_redis_errors
    def list(self) -> tuple[KeyRecord, ...]:
        """All of them, the oldest first."""
        with self._redis.pipeline() as pipeline:
            pipeline.hgetall(keys.KEYS)
            pipeline.hgetall(keys.KEY_USES)
            texts, uses = pipeline.execute()
        records = (_read(text, uses.get(key_id)) for key_id, text in texts.items())
        return tuple(sorted(records, key=lambda record: (record.created_at, record.id)))

    @translates_redis_errors
    def uses(self, key_ids: Sequence[str]) -> dict[str, date]:
        """The day of the last use of these keys, also of those that a file keeps."""
        if not key_ids:
            return {}
        days = self._redis.hmget(keys.KEY_USES, [*key_ids])
        return {
            key_id: date.fromisoformat(day)
            for key_id, day in zip(key_ids, cast("Sequence[str | None]", days), strict=True)
            if day
        }

    @translates_redis_errors
    def rotate(self, key_id: str, *, overlap: timedelta = OVERLAP) -> tuple[KeyText, KeyRecord]:
        """Make a key like another one, which ends after ``overlap``; the new key and its record.

        Raises:
            UnknownKeyError: there is no such key.
        """
        old = self.get(key_id)
        if old is None:
            raise _unknown(key_id)
        key, now = draw_key(), datetime.now(UTC).replace(microsecond=0)
        lifetime = None if old.expires_at is None else old.expires_at - old.created_at
        fresh = {
            "id": key.id,
            "sha256": key.sha256,
            "created_at": now,
            "not_before": None,
            "expires_at": None if lifetime is None else now + lifetime,
            "last_used_on": None,
        }
        new = old.model_copy(update=fresh)
        self._put(new, old.ending(now + overlap))
        self._redis.publish(keys.CHANGED_KEYS, key_id)
        return key, new

    @translates_redis_errors
    def revoke(self, key_id: str) -> None:
        """End a key now, in every process.

        Raises:
            UnknownKeyError: there is no such key.
        """
        with self._redis.pipeline() as pipeline:
            pipeline.hdel(keys.KEYS, key_id)
            pipeline.hdel(keys.KEY_USES, key_id)
            pipeline.publish(keys.CHANGED_KEYS, key_id)
            was_there, *_ = pipeline.execute()
        if not was_there:
            raise _unknown(key_id)

    @translates_redis_errors
    def note_use(self, key_id: str, day: date) -> None:
        """Remember the day of a key's last use."""
        self._redis.hset(keys.KEY_USES, key_id, day.isoformat())

    def _put(self, *records: KeyRecord) -> None:
        texts = {
            each.id: each.model_dump_json(exclude_none=True, exclude={"last_used_on"}) for each in records
        }
        self._redis.hset(keys.KEYS, mapping=cast("Mapping[Any, Any]", texts))


def _read(text: str, used_on: str | None) -> KeyRecord:
    # A newer version may know more of a key.
    record = KeyRecord.model_validate_json(text, extra="ignore")
    return record.model_copy(update={"last_used_on": date.fromisoformat(used_on) if used_on else None})


def _unknown(key_id: str) -> UnknownKeyError:
    return UnknownKeyError(f"there is no key {key_id[:40]!r}: it never existed, or was revoked")
