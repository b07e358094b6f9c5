"""The keys that Redis keeps."""

from datetime import UTC, date, datetime, timedelta

import pytest
from pydantic import ValidationError
from redis import Redis

from jobs.callers.keys import KeyStore
from jobs.callers.record import new_record
from jobs.callers.scopes import Scope
from jobs.callers.secret import draw_key
from jobs.errors import UnknownKeyError
from tests.jobs.callers.conftest import Make


def everything_in(redis: Redis) -> str:
    values = [redis.hgetall(key) if redis.type(key) == "hash" else "" for key in redis.keys("*")]
    return repr(values)


def test_redis_keeps_no_secret(redis: Redis, make: Make) -> None:
    key, _ = make()
    assert key.id in everything_in(redis)
    assert key.secret not in everything_in(redis)


def test_a_record_is_read_back(store: KeyStore, make: Make) -> None:
    key, record = make(expires_in=timedelta(days=1))
    assert store.get(key.id) == record
    assert record.matches(key)
    assert not record.matches(draw_key())


def test_a_record_of_a_newer_version_is_read(redis: Redis, store: KeyStore, make: Make) -> None:
    key, record = make()
    text = str(redis.hget("{lodestar}:keys", key.id))
    redis.hset("{lodestar}:keys", key.id, text[:-1] + ', "colour": "red"}')
    assert store.get(key.id) == record


def test_keys_are_listed_by_age_with_the_day_of_their_last_use(store: KeyStore, make: Make) -> None:
    made = [make(name)[1] for name in ("one", "two")]
    store.note_use(made[0].id, date(2026, 1, 2))
    listed = {record.id: record for record in store.list()}
    assert set(listed) == {record.id for record in made}
    assert listed[made[0].id].last_used_on == date(2026, 1, 2)
    assert listed[made[1].id].last_used_on is None


def test_a_rotated_key_still_counts_for_a_while(store: KeyStore, make: Make) -> None:
    old, record = make()
    new, fresh = store.rotate(old.id, overlap=timedelta(hours=1))
    assert (fresh.tenant, fresh.name, fresh.scopes) == (record.tenant, record.name, record.scopes)
    assert fresh.matches(new)
    ending, now = store.get(old.id), datetime.now(UTC)
    assert ending is not None
    assert ending.counts(now)
    assert not ending.counts(now + timedelta(hours=1, seconds=1))
    assert fresh.counts(now + timedelta(days=1000))


def test_a_key_that_ends_sooner_is_not_prolonged_by_its_rotation(store: KeyStore, make: Make) -> None:
    old, record = make(expires_in=timedelta(minutes=1))
    _, fresh = store.rotate(old.id)
    ending = store.get(old.id)
    assert ending is not None
    assert ending.expires_at == record.expires_at
    assert fresh.expires_at is not None
    assert fresh.expires_at - fresh.created_at == timedelta(minutes=1)


def test_a_revoked_key_is_gone(store: KeyStore, make: Make) -> None:
    key, _ = make()
    store.note_use(key.id, date(2026, 1, 2))
    store.revoke(key.id)
    assert store.get(key.id) is None
    assert store.uses([key.id]) == {}


def test_only_a_key_that_is_there_can_be_revoked_or_rotated(store: KeyStore) -> None:
    with pytest.raises(UnknownKeyError):
        store.revoke("a" * 10)
    with pytest.raises(UnknownKeyError):
        store.rotate("a" * 10)


@pytest.mark.parametrize(
    ("tenant", "name"),
    [
        ("", "a"),
        ("A", "a"),
        ("a/b", "a"),
        ("a b", "a"),
        ("-", "a"),
        ("a" * 64, "a"),
        ("a", ""),
        ("a", "a\nb"),
    ],
)
def test_names_have_a_form(tenant: str, name: str) -> None:
    with pytest.raises(ValidationError):
        new_record(draw_key(), tenant=tenant, name=name, scopes=(Scope.JOBS_READ,))


def test_a_key_may_do_something() -> None:
    with pytest.raises(ValidationError):
        new_record(draw_key(), tenant="a", name="a", scopes=())
