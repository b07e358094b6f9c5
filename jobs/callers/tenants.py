"""What operators have set for tenants: in the keys file, in Redis, or for all by default."""

import threading
import time
from typing import cast

from redis import Redis

from jobs.callers.key_file import KeyFile
from jobs.callers.quota import NO_QUOTA, Quota
from jobs.callers.record import TenantRecord
from jobs.db import keys
from jobs.db.connection import translates_redis_errors
from jobs.errors import UnknownTenantError

CACHE_S = 10.0
_MOST_CACHED = 10_000


class TenantStore:
    """The records that Redis keeps.

    All methods raise QueueUnavailableError when Redis cannot be reached or refuses to write.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    @translates_redis_errors
    def put(self, record: TenantRecord) -> None:
        """Keep a record, in place of the one before."""
        self._redis.hset(keys.TENANT_RECORDS, record.name, record.model_dump_json(exclude_none=True))

    @translates_redis_errors
    def get(self, name: str) -> TenantRecord | None:
        """The record of a tenant; None if there is none."""
        text = cast("str | None", self._redis.hget(keys.TENANT_RECORDS, name))
        return None if text is None else _read(text)

    @translates_redis_errors
    def list(self) -> tuple[TenantRecord, ...]:
        """All records, by name."""
        texts = cast("dict[str, str]", self._redis.hgetall(keys.TENANT_RECORDS))
        return tuple(_read(texts[name]) for name in sorted(texts))

    @translates_redis_errors
    def remove(self, name: str) -> None:
        """Forget a record; what holds for every tenant holds again.

        Raises:
            UnknownTenantError: there is none.
        """
        if not self._redis.hdel(keys.TENANT_RECORDS, name):
            raise UnknownTenantError(f"nothing is set for a tenant {name[:63]!r} here")


class TenantBook:
    """The records as a server asks for them: the file's win, and what Redis said is believed for ten seconds.

    Threads may share one.
    """

    def __init__(
        self,
        store: TenantStore,
        file: KeyFile | None = None,
        *,
        default: Quota = NO_QUOTA,
        cache_s: float = CACHE_S,
    ) -> None:
        """Make one.

        Args:
            store: the records in Redis.
            file: those in a file.
            default: the quota of a tenant for which none is set.
            cache_s: how long a record of Redis is believed.
        """
        self._store = store
        self._file = file
        self._default = default
        self._cache_s = cache_s
        self._lock = threading.Lock()
        self._cache: dict[str, tuple[TenantRecord | None, float]] = {}

    def get(self, name: str) -> TenantRecord:
        """What holds for a tenant.

        Raises:
            QueueUnavailableError: Redis cannot be reached.
        """
        record = self.filed(name) or self._kept(name) or TenantRecord(name=name)
        return record if record.quota is not None else record.model_copy(update={"quota": self._default})

    def filed(self, name: str) -> TenantRecord | None:
        """What the file has set for a tenant; None if nothing."""
        return self._file.tenant(name) if self._file else None

    def list(self) -> tuple[TenantRecord, ...]:
        """All records, those of the file first.

        Raises:
            QueueUnavailableError: Redis cannot be reached.
        """
        filed = self._file.tenants() if self._file else ()
        names = {record.name for record in filed}
        return (*filed, *(record for record in self._store.list() if record.name not in names))

    def forget(self, name: str) -> None:
        """Ask Redis anew at the next use of a record."""
        with self._lock:
            self._cache.pop(name, None)

    def _kept(self, name: str) -> TenantRecord | None:
        now = time.monotonic()
        with self._lock:
            record, until = self._cache.get(name, (None, 0.0))
        if now < until:
            return record
        record = self._store.get(name)
        with self._lock:
            if len(self._cache) >= _MOST_CACHED:
                self._cache.clear()
            self._cache[name] = record, now + self._cache_s
        return record


def _read(text: str) -> TenantRecord:
    # A newer version may know more of a tenant.
    return TenantRecord.model_validate_json(text, extra="ignore")
