import time
from datetime import UTC, datetime

import pytest
from redis import Redis

from jobs.db.scripts import PREFIX
from jobs.queue.workers import HEARTBEAT_EVERY_S, HEARTBEAT_TTL_S, REMEMBERED_S, WorkerRegistry
from jobs.status.workers import WorkerInfo

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def worker(name: str, *jobs: str) -> WorkerInfo:
    return WorkerInfo(
        name=name,
        host="host",
        pid=42,
        device="cpu",
        dtype="fp32",
        attention="sdpa",
        threads=2,
        models=("pocket", "pocket-m"),
        jobs=jobs,
        started_at=NOW,
        heartbeat_at=NOW,
    )


@pytest.fixture
def registry(redis: Redis) -> WorkerRegistry:
    return WorkerRegistry(redis)


def test_nobody_is_alive_at_first(registry: WorkerRegistry) -> None:
    assert registry.alive() == ()


def test_whoever_announced_itself_is_alive_in_the_order_of_names(registry: WorkerRegistry) -> None:
    registry.announce(worker("b", "job"))
    registry.announce(worker("a"))
    assert registry.alive() == (worker("a"), worker("b", "job"))


def test_the_last_heartbeat_counts(registry: WorkerRegistry) -> None:
    registry.announce(worker("a", "old"))
    registry.announce(worker("a", "new"))
    assert registry.alive() == (worker("a", "new"),)


def test_a_heartbeat_lasts_for_a_few_missed_ones_and_no_longer(
    registry: WorkerRegistry, redis: Redis
) -> None:
    registry.announce(worker("a"))
    assert 0 < redis.ttl(f"{PREFIX}worker:a") <= HEARTBEAT_TTL_S
    assert HEARTBEAT_TTL_S >= 3 * HEARTBEAT_EVERY_S


def test_whoever_falls_silent_is_gone_and_comes_back_with_its_next_heartbeat(
    registry: WorkerRegistry, redis: Redis
) -> None:
    registry.announce(worker("a"))
    registry.announce(worker("b"))
    redis.delete(f"{PREFIX}worker:a")  # as its expiry does
    assert registry.alive() == (worker("b"),)
    assert redis.smembers(PREFIX + "workers") == {"b"}
    registry.announce(worker("a"))
    assert registry.alive() == (worker("a"), worker("b"))


def test_whoever_leaves_is_gone_at_once_and_leaves_its_last_word_for_an_hour(
    registry: WorkerRegistry, redis: Redis
) -> None:
    registry.announce(worker("a"))
    registry.leave("a")
    registry.leave("a")
    assert registry.alive() == ()
    left = {PREFIX + name for name in ("known_workers", "last_heartbeat:a")}
    assert set(redis.scan_iter(PREFIX + "*")) == left
    assert 0 < redis.ttl(PREFIX + "last_heartbeat:a") <= REMEMBERED_S


def test_those_that_went_are_told_apart_by_whether_they_said_so(
    registry: WorkerRegistry, redis: Redis
) -> None:
    for name in ("lost", "stopped", "alive", "forgotten"):
        registry.announce(worker(name, "job"))
    registry.leave("stopped")
    for name in ("lost", "forgotten"):
        redis.delete(f"{PREFIX}worker:{name}")  # as its expiry does
    redis.delete(PREFIX + "last_heartbeat:forgotten")
    gone = {info.name: info for info in registry.gone()}
    assert {name: info.was_lost for name, info in gone.items()} == {"lost": True, "stopped": False}
    assert gone["lost"].jobs == ("job",)
    registry.announce(worker("lost"))  # it was away, and is back
    assert [info.name for info in registry.gone()] == ["stopped"]


def test_a_worker_is_remembered_for_an_hour_and_no_longer(registry: WorkerRegistry, redis: Redis) -> None:
    registry.announce(worker("old"))
    redis.zadd(PREFIX + "known_workers", {"old": (time.time() - REMEMBERED_S - 1) * 1e6})
    registry.announce(worker("new"))
    assert redis.zrange(PREFIX + "known_workers", 0, -1) == ["new"]
