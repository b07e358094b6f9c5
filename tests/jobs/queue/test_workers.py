import time
from datetime import UTC, datetime, timedelta

import pytest
from redis import Redis

from jobs.db.scripts import PREFIX
from jobs.errors import UnknownWorkerError
from jobs.queue.leases import Leases, Standing
from jobs.queue.queue import JobQueue
from jobs.queue.workers import HEARTBEAT_EVERY_S, HEARTBEAT_TTL_S, REMEMBERED_S, WorkerRegistry
from jobs.status.workers import WorkerInfo
from tests.jobs.samples import RESOLVED, claimed, pictures_of

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


def test_a_drained_worker_claims_nothing_until_it_is_resumed(
    registry: WorkerRegistry, queue: JobQueue, leases: Leases
) -> None:
    held, waits = (queue.submit(RESOLVED).job.id for _ in range(2))
    registry.announce(worker("steady"))
    lease = claimed(leases, held)
    assert registry.drain("steady").draining
    assert leases.claim_next() is None  # at once, although the worker has not heard of it
    assert leases.renew(lease) is Standing.HELD
    leases.succeed(lease, pictures_of(lease))
    assert registry.announce(worker("steady").model_copy(update={"room": 4}))
    (told,) = registry.alive()
    assert (told.draining, told.room) == (True, 0)
    assert not registry.resume("steady").draining
    assert claimed(leases, waits).job_id == waits


def test_a_drained_worker_is_no_better_place_for_jobs_of_its_model(
    registry: WorkerRegistry, redis: Redis
) -> None:
    registry.announce(worker("steady").model_copy(update={"room": 4}))
    assert redis.zrange(PREFIX + "holders:pocket", 0, -1) == ["steady"]
    registry.drain("steady")
    registry.announce(worker("steady").model_copy(update={"room": 4}))
    assert redis.zrange(PREFIX + "holders:pocket", 0, -1) == []


def test_a_drain_ends_with_the_process_and_not_with_a_silence(registry: WorkerRegistry, redis: Redis) -> None:
    registry.announce(worker("steady"))
    registry.drain("steady")
    redis.delete(PREFIX + "worker:steady")  # as its expiry does
    assert registry.announce(worker("steady"))
    again = worker("steady").model_copy(update={"started_at": NOW + timedelta(hours=1)})
    assert not registry.announce(again)
    assert [info.draining for info in registry.alive()] == [False]
    registry.drain("steady")
    registry.leave("steady")
    assert not redis.exists(PREFIX + "draining:steady")


def test_only_a_worker_that_is_alive_can_be_drained(registry: WorkerRegistry) -> None:
    for change in (registry.drain, registry.resume):
        with pytest.raises(UnknownWorkerError, match="'nobody'"):
            change("nobody")


def test_a_worker_whose_process_has_ended_is_gone_at_once_with_its_log(redis: Redis) -> None:
    registry = WorkerRegistry(redis, log=lambda: ("it said so",))
    registry.announce(worker("a", "job"))
    registry.bury("elsewhere", 42, "was killed by SIGKILL", ["another one"])
    assert registry.alive()[0].log == ("it said so",)
    registry.bury("host", 42, "was killed by SIGKILL", [])
    assert registry.alive() == ()
    (gone,) = registry.gone()
    assert (gone.was_lost, gone.jobs, gone.ending, gone.log) == (
        True,
        ("job",),
        "was killed by SIGKILL",
        ("it said so",),
    )
    registry.bury("host", 42, "was killed by SIGKILL", ["it said more"])  # the worker is buried already
    assert registry.gone()[0].log == ("it said so",)
    assert not redis.exists(f"{PREFIX}holders:pocket") or not redis.zrange(f"{PREFIX}holders:pocket", 0, -1)
