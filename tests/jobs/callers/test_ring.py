"""Keys at each request."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis import Redis

from jobs.callers.key_file import KeyFile
from jobs.callers.keys import KeyStore
from jobs.callers.ring import KeyRing
from jobs.callers.secret import KeyText, draw_key
from jobs.db.connection import connect
from jobs.errors import QueueUnavailableError
from tests.jobs.callers.conftest import Make
from tests.jobs.callers.test_key_file import entry


def test_a_key_is_verified_by_its_secret(store: KeyStore, make: Make) -> None:
    key, record = make()
    ring = KeyRing(store)
    assert ring.verify(key) == record.info
    assert ring.verify(KeyText(key.id, "x" * 32)) is None
    assert ring.verify(draw_key()) is None


def test_redis_is_asked_once_in_a_while(redis: Redis, store: KeyStore, make: Make) -> None:
    key, _ = make()
    ring = KeyRing(store)
    assert ring.verify(key)
    redis.delete("{lodestar}:keys")
    assert ring.verify(key)
    ring.forget(key.id)
    assert ring.verify(key) is None


def test_a_key_is_asked_for_anew_after_its_time(store: KeyStore, make: Make) -> None:
    key, _ = make()
    ring = KeyRing(store, cache_s=0)
    assert ring.verify(key)
    store.revoke(key.id)
    assert ring.verify(key) is None


def test_an_expired_key_counts_no_more_even_from_the_cache(store: KeyStore, make: Make) -> None:
    key, record = make()
    ring = KeyRing(store)
    assert ring.verify(key)
    store.add(record.ending(datetime.now(UTC) - timedelta(seconds=1)))
    ring.forget(key.id)
    assert ring.verify(key) is None


def test_a_key_does_not_count_before_its_time(store: KeyStore, make: Make) -> None:
    key, record = make()
    store.add(record.model_copy(update={"not_before": datetime.now(UTC) + timedelta(hours=1)}))
    assert KeyRing(store).verify(key) is None


def test_the_day_of_a_use_is_noted(store: KeyStore, make: Make) -> None:
    key, _ = make()
    KeyRing(store).verify(key)
    kept = store.get(key.id)
    assert kept is not None
    assert kept.last_used_on == datetime.now(UTC).date()


def test_a_key_of_the_file_works_while_redis_is_away(tmp_path: Path) -> None:
    key = draw_key()
    (tmp_path / "keys.toml").write_text(entry(key))
    away = KeyStore(connect("redis://127.0.0.1:1", patient=False))
    ring = KeyRing(away, KeyFile(tmp_path / "keys.toml"))
    assert ring.verify(key)
    with pytest.raises(QueueUnavailableError):
        ring.verify(draw_key())


def test_the_file_wins_over_redis(tmp_path: Path, store: KeyStore, make: Make) -> None:
    key, _ = make()
    (tmp_path / "keys.toml").write_text(entry(KeyText(key.id, "another"), name='"filed"'))
    ring = KeyRing(store, KeyFile(tmp_path / "keys.toml"))
    assert ring.verify(key) is None
    assert [info.name for info in ring.list()] == ["filed"]
    assert ring.is_filed(key.id)
