"""Logins of browsers."""

import pytest
from redis import Redis

from jobs.callers import sessions as module
from jobs.callers.sessions import Sessions


@pytest.fixture
def sessions(redis: Redis) -> Sessions:
    """The sessions in Redis."""
    return Sessions(redis)


def test_a_session_stands_for_its_key_until_it_is_ended(sessions: Sessions) -> None:
    token = sessions.begin("a" * 10)
    assert sessions.key_of(token) == "a" * 10
    sessions.end(token)
    assert sessions.key_of(token) is None
    sessions.end(token)


def test_redis_keeps_no_token(redis: Redis, sessions: Sessions) -> None:
    token = sessions.begin("a" * 10)
    (key,) = redis.keys("{lodestar}:session:*")
    assert token not in f"{key!r} {redis.hgetall(key)}"


def test_a_used_session_goes_on_and_an_unused_one_ends(redis: Redis, sessions: Sessions) -> None:
    token = sessions.begin("a" * 10)
    (key,) = redis.keys("{lodestar}:session:*")
    redis.expire(key, 10)
    assert sessions.key_of(token)
    assert redis.ttl(key) > module.IDLE_S - 10


def test_a_session_ends_after_a_week_however_it_is_used(
    redis: Redis, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ABSOLUTE_S", 100)
    token = sessions.begin("a" * 10)
    (key,) = redis.keys("{lodestar}:session:*")
    assert sessions.key_of(token)
    assert redis.ttl(key) <= 100
    monkeypatch.setattr(module, "ABSOLUTE_S", 0)
    assert sessions.key_of(sessions.begin("a" * 10)) is None


def test_no_two_sessions_have_the_same_token(sessions: Sessions) -> None:
    assert len({sessions.begin("a" * 10) for _ in range(20)}) == 20
