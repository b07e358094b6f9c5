"""What `lodestar check redis` says of real servers."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from redis import Redis
from typer.testing import CliRunner

from app.cli.main import cli
from jobs.db.connection import connect
from jobs.db.promises import promises
from jobs.errors import QueueUnavailableError
from jobs.queue.queue import JobQueue
from tests.jobs.samples import RESOLVED


@contextmanager
def set_to(redis: Redis, **settings: str) -> Iterator[None]:
    before = {
        name: str(redis.config_get(name.replace("_", "-"))[name.replace("_", "-")]) for name in settings
    }
    for name, value in settings.items():
        redis.config_set(name.replace("_", "-"), value)
    try:
        yield
    finally:
        for name, value in before.items():
            redis.config_set(name.replace("_", "-"), value)


def marks(url: str) -> dict[str, str]:
    return {promise.name: promise.mark for promise in promises(url)}


def test_a_server_of_ours_promises_what_it_should(redis: Redis, redis_url: str) -> None:
    with set_to(redis, appendfsync="always", maxmemory="1gb"):
        told = marks(redis_url)
    assert told["persistence"] == told["eviction"] == told["memory"] == told["version"] == "ok"
    assert told["replicas"] == told["failover"] == "note"
    assert told["earlier version"] == "ok"


@pytest.mark.parametrize(
    ("settings", "name", "mark"),
    [
        ({"maxmemory_policy": "allkeys-lru"}, "eviction", "wrong"),
        ({"appendfsync": "everysec"}, "persistence", "note"),
        ({"appendonly": "no"}, "persistence", "wrong"),
        ({"maxmemory": "0"}, "memory", "note"),
    ],
)
def test_what_it_does_not_promise_is_said(
    settings: dict[str, str], name: str, mark: str, redis: Redis, redis_url: str
) -> None:
    with set_to(redis, **settings):
        assert marks(redis_url)[name] == mark


def test_a_server_that_hides_its_settings_is_no_error(redis: Redis, redis_url: str) -> None:
    redis.execute_command("ACL", "SETUSER", "default", "-config")
    try:
        assert marks(redis_url)["persistence"] == "note"
    finally:
        redis.execute_command("ACL", "SETUSER", "default", "+config")


def test_the_command_says_so_and_exits_with_1_if_something_is_wrong(redis: Redis, redis_url: str) -> None:
    with set_to(redis, maxmemory_policy="allkeys-lru"):
        done = CliRunner().invoke(cli, ["check", "redis", "--redis-url", redis_url])
    assert done.exit_code == 1
    (line,) = [line for line in done.output.splitlines() if line.startswith("wrong")]
    assert line.split("\t")[1:] == [
        "eviction",
        "allkeys-lru: jobs vanish when the memory is full; set noeviction",
    ]


def test_the_command_that_moves_keys_can_only_count(redis: Redis, redis_url: str) -> None:
    redis.set("lodestar:check", "ok")
    redis.sadd("lodestar:workers", "old")
    for options, told in ((["--dry-run"], "to move: 2 keys"), ([], "moved: 2 keys"), ([], "moved: 0 keys")):
        done = CliRunner().invoke(cli, ["migrate", "--redis-url", redis_url, *options])
        assert (done.exit_code, done.output.partition(";")[0]) == (0, told)


def test_a_job_that_no_replica_has_is_not_accepted_where_one_must(redis_url: str) -> None:
    queue = JobQueue(connect(redis_url, patient=False), max_queued=10, replicas=1)
    with pytest.raises(QueueUnavailableError, match="0 replicas of Redis have the job"):
        queue.submit(RESOLVED, idempotency_key="once")
    again = JobQueue(connect(redis_url, patient=False), max_queued=10).submit(
        RESOLVED, idempotency_key="once"
    )
    assert again.replayed
