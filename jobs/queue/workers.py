"""The live workers and their heartbeats."""

from typing import cast

from redis import Redis

from jobs.db import keys
from jobs.db.connection import translates_redis_errors
from jobs.db.scripts import Scripts
from jobs.status.workers import GoneWorker, WorkerInfo

HEARTBEAT_EVERY_S = 3.0
HEARTBEAT_TTL_S = 15
REMEMBERED_S = 3600  # after its last heartbeat, a worker is remembered: see announce.lua


class WorkerRegistry:
    """The heartbeats in Redis; a worker that is silent for 15 s is gone."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._scripts = Scripts(redis)

    def announce(self, info: WorkerInfo) -> None:
        """Write a worker's heartbeat."""
        self._scripts(
            "announce",
            info.name,
            info.model_dump_json(),
            HEARTBEAT_TTL_S,
            int(info.room > 0),
            *info.models,
        )

    def leave(self, name: str) -> None:
        """Remove a worker's heartbeat."""
        last = cast("str | None", self._redis.get(keys.worker(name)))
        with self._redis.pipeline() as pipeline:
            for model in _read(last).models if last else ():
                pipeline.zrem(keys.holders(model), name)
            pipeline.delete(keys.worker(name))
            pipeline.srem(keys.WORKERS, name)
            if last:
                stopped = _gone(last).model_copy(update={"was_lost": False})
                pipeline.set(keys.last_heartbeat(name), stopped.model_dump_json(), ex=REMEMBERED_S)
            pipeline.execute()

    @translates_redis_errors
    def alive(self) -> tuple[WorkerInfo, ...]:
        """The workers heard of within the last 15 s, by name."""
        names = sorted(cast("set[str]", self._redis.smembers(keys.WORKERS)))
        values = self._redis.mget([keys.worker(name) for name in names]) if names else []
        silent = [name for name, value in zip(names, values, strict=True) if value is None]
        if silent:
            self._redis.srem(keys.WORKERS, *silent)
        return tuple(_read(value) for value in values if value is not None)

    @translates_redis_errors
    def gone(self) -> tuple[GoneWorker, ...]:
        """The workers that stopped or were lost within the last hour, the latest first."""
        alive = {info.name for info in self.alive()}
        known = cast("list[str]", self._redis.zrevrange(keys.KNOWN_WORKERS, 0, -1))
        names = [name for name in known if name not in alive]
        values = self._redis.mget([keys.last_heartbeat(name) for name in names]) if names else []
        return tuple(_gone(value) for value in values if value is not None)


def _gone(value: str | bytes) -> GoneWorker:
    return GoneWorker.model_validate_json(value, extra="ignore")


def _read(value: str | bytes) -> WorkerInfo:
    # A newer worker's heartbeat may have fields that this version does not know.
    return WorkerInfo.model_validate_json(value, extra="ignore")
