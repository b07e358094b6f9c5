"""What a server promises that our own promises rest on: durability, room, a place to fail over to."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from jobs.db import keys
from jobs.db.connection import connect
from jobs.db.following import new_sentinel
from jobs.db.migration import migrate
from jobs.db.servers import Servers, read_servers

LEAST_VERSION = (6, 2)
SLOW_MS = 5.0
PINGS = 9
Mark = Literal["ok", "note", "wrong"]


@dataclass(frozen=True)
class Promise:
    """One line of the answer.

    Attributes:
        name: of what is promised.
        mark: ``note`` where it holds in part or is not told, ``wrong`` where jobs can be lost or refused.
        detail: one sentence.
    """

    name: str
    mark: Mark
    detail: str


def promises(url: str) -> Iterator[Promise]:
    """Ask the server, and those that watch it. What it does not tell, as managed servers do not, is a note.

    Raises:
        RedisError: it cannot be reached.
        ValueError: the address is wrong.
    """
    servers = read_servers(url)
    with connect(url, patient=False) as redis:
        told: dict[str, Any] = {**redis.info("server"), **redis.info("replication"), **redis.info("memory")}
        redis.set(keys.CHECK, "ok", ex=60)
        yield _version(told)
        yield _latency(redis)
        yield from _persistence(redis)
        yield _eviction(told)
        yield _memory(told)
        yield from _replicas(redis, told)
        yield _failover(redis, servers)
        if servers is None or servers.kind == "sentinel":
            yield _earlier_keys(redis)


def _version(told: dict[str, Any]) -> Promise:
    name = "Valkey" if "valkey_version" in told else "Redis"
    version = str(told.get("valkey_version", told["redis_version"]))
    compatible = tuple(int(part) for part in str(told["redis_version"]).split(".")[:2])
    if compatible < LEAST_VERSION:
        return Promise("version", "wrong", f"{name} {version}: 6.2 or newer is needed")
    return Promise("version", "ok", f"{name} {version}")


def _latency(redis: Redis) -> Promise:
    taken = []
    for _ in range(PINGS):
        before = time.perf_counter()
        redis.ping()
        taken.append(1000 * (time.perf_counter() - before))
    middle = statistics.median(taken)
    detail = f"{middle:.1f} ms for a ping"
    return Promise("latency", "note" if middle > SLOW_MS else "ok", detail)


def _setting(redis: Redis, name: str) -> str | None:
    """A setting of the server; None if it does not tell."""
    try:
        found = cast("dict[str, str]", redis.config_get(name))
    except ResponseError:
        return None
    return found.get(name)


def _persistence(redis: Redis) -> Iterator[Promise]:
    told: dict[str, Any] = redis.info("persistence")
    syncs = _setting(redis, "appendfsync")
    if not told.get("aof_enabled"):
        detail = "no append-only file: a restart loses jobs, unless the server keeps a log of its own, as MemoryDB does"
        yield Promise("persistence", "wrong" if syncs is not None else "note", detail)
    elif syncs is None:
        yield Promise("persistence", "note", "an append-only file; the server does not tell when it syncs")
    elif syncs != "always":
        yield Promise(
            "persistence", "note", f"appendfsync {syncs}: a kill can lose what was acknowledged last"
        )
    else:
        yield Promise("persistence", "ok", "every write is in the append-only file before it is acknowledged")
    if str(told.get("aof_last_write_status", "ok")) != "ok":
        yield Promise("disk", "wrong", "the last write to the append-only file failed")


def _eviction(told: dict[str, Any]) -> Promise:
    policy = told.get("maxmemory_policy")
    if policy is None:
        return Promise("eviction", "note", "the server does not tell; it must be noeviction")
    if policy != "noeviction":
        return Promise("eviction", "wrong", f"{policy}: jobs vanish when the memory is full; set noeviction")
    return Promise("eviction", "ok", "noeviction: new jobs are refused when the memory is full")


def _memory(told: dict[str, Any]) -> Promise:
    used, most = int(told["used_memory"]) >> 20, int(told.get("maxmemory", 0)) >> 20
    if not most:
        return Promise(
            "memory",
            "note",
            f"{used} MiB in use, no maxmemory: the system may end the server when it is full",
        )
    return Promise("memory", "note" if used > 0.75 * most else "ok", f"{used} of {most} MiB in use")


def _replicas(redis: Redis, told: dict[str, Any]) -> Iterator[Promise]:
    if told["role"] != "master":
        yield Promise("role", "wrong", "a replica, which takes no jobs")
    number = int(told.get("connected_slaves", 0))
    if not number:
        yield Promise("replicas", "note", "none: the jobs are as safe as this one server's disk")
        return
    yield Promise("replicas", "ok", f"{number}")
    least = _setting(redis, "min-replicas-to-write")
    if least is None:
        return
    if int(least) == 0:
        detail = (
            "min-replicas-to-write 0: a primary that is cut off accepts jobs which the next one never gets"
        )
        yield Promise("cut off", "note", detail)
    elif int(least) >= number:
        detail = (
            f"min-replicas-to-write {least}: without one of its {number} replicas the server accepts nothing"
        )
        yield Promise("cut off", "note", detail)
    else:
        yield Promise("cut off", "ok", f"a primary without {least} of its replicas accepts nothing")


def _failover(redis: Redis, servers: Servers | None) -> Promise:
    if servers is None:
        return Promise(
            "failover", "note", "none: one server is named, or a service that fails over by itself"
        )
    ask: Callable[[], Promise] = (
        (lambda: _sentinels(servers)) if servers.kind == "sentinel" else (lambda: _cluster(redis))
    )
    try:
        return ask()
    except RedisError as error:
        return Promise("failover", "wrong", str(error))


def _sentinels(servers: Servers) -> Promise:
    states: list[Any] = []
    for sentinel in new_sentinel(servers).sentinels:
        try:
            states.append(sentinel.sentinel_master(servers.name))
        except RedisError:
            continue
    here, named = len(states), len(servers.hosts)
    quorum = max((int(state["quorum"]) for state in states), default=0)
    known = max((int(state["num-other-sentinels"]) + 1 for state in states), default=0)
    detail = f"{here} of {named} Sentinels answer, {known} know each other, {quorum} must agree"
    needed = max(quorum, known // 2 + 1)
    if not here or here < min(needed, named):
        return Promise("failover", "wrong", f"{detail}: too few")
    return Promise("failover", "ok" if known >= 3 and here == named else "note", detail)


def _cluster(redis: Redis) -> Promise:
    told: Any = redis.execute_command("CLUSTER INFO")
    lines = (
        told
        if isinstance(told, dict)
        else dict(line.split(":", 1) for line in str(told).split() if ":" in line)
    )
    detail = f"a cluster of {lines['cluster_known_nodes']} nodes, {lines['cluster_state']}; all keys lie in one slot"
    return Promise("failover", "ok" if lines["cluster_state"] == "ok" else "wrong", detail)


def _earlier_keys(redis: Redis) -> Promise:
    try:
        found = migrate(redis, dry_run=True)
    except RedisError:
        return Promise("earlier version", "note", "the server does not tell whether it left keys")
    if found.keys:
        return Promise(
            "earlier version", "note", f"{found.keys} keys; `lodestar migrate` or the next start moves them"
        )
    return Promise("earlier version", "ok", "no keys")
