from datetime import UTC, datetime

import pytest
from redis import Redis

from jobs.db.scripts import PREFIX
from jobs.queue.workers import HEARTBEAT_EVERY_S, HEARTBEAT_TTL_S, WorkerRegistry
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


def test_whoever_leaves_is_gone_at_once_and_leaves_nothing(registry: WorkerRegistry, redis: Redis) -> None:
    registry.announce(worker("a"))
    registry.leave("a")
    registry.leave("a")
    assert registry.alive() == ()
    assert list(redis.scan_iter(PREFIX + "*")) == []
