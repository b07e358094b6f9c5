"""Keys in a real Redis."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from redis import Redis

from jobs.callers.keys import KeyStore
from jobs.callers.record import KeyRecord, new_record
from jobs.callers.scopes import Scope
from jobs.callers.secret import KeyText, draw_key

Made = tuple[KeyText, KeyRecord]
Make = Callable[..., Made]


@pytest.fixture
def store(redis: Redis) -> KeyStore:
    """The keys in Redis."""
    return KeyStore(redis)


@pytest.fixture
def make(store: KeyStore) -> Make:
    """Make a key and keep it."""

    def make_one(name: str = "farm", *, tenant: str = "studio", expires_in: timedelta | None = None) -> Made:
        key = draw_key()
        scopes = (Scope.JOBS_READ, Scope.JOBS_WRITE)
        record = new_record(key, tenant=tenant, name=name, scopes=scopes, expires_in=expires_in)
        store.add(record)
        return key, record

    return make_one
