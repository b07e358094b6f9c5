"""The live workers and their heartbeats."""

from datetime import datetime
from typing import cast

from pydantic import Field
from redis import Redis

from jobs.db import keys
from jobs.db.connection import translates_redis_errors
from jobs.db.scripts import Scripts
from jobs.wire import Wire

HEARTBEAT_EVERY_S = 3.0
HEARTBEAT_TTL_S = 15


class WorkerInfo(Wire):
    """One worker process, as of its last heartbeat."""

    name: str = Field(description="Unique name of the process.", examples=["gpu-1.4242"])
    host: str = Field(description="Host it runs on.")
    pid: int = Field(description="Process id there.")
    device: str = Field(description="Device that it computes on.", examples=["cuda:0"])
    dtype: str = Field(description="Number format of the models.", examples=["fp16"])
    attention: str = Field(description="Attention implementation in use.", examples=["xformers"])
    threads: int = Field(description="CPU threads that it computes with.")
    models: tuple[str, ...] = Field(
        description="Models and CLIPs in its memory.", examples=[["pocket", "pocket-m"]]
    )
    jobs: tuple[str, ...] = Field(description="Ids of the jobs that it runs now.")
    speed: float | None = Field(
        None,
        ge=0,
        description=(
            "Units of work done in a second of recent work; null until measured. A unit is one row of one "
            "denoising step at 64 x 64 pixels."
        ),
    )
    load: float = Field(0, ge=0, description="Units of work that its jobs still need.")
    room: int = Field(0, ge=0, description="Jobs that it would take now.")
    busy_share: float | None = Field(
        None, ge=0, le=1, description="Share of about the last minute in which it had work.", examples=[0.75]
    )
    memory_used_bytes: int | None = Field(
        None,
        ge=0,
        description="Memory of its device that the process holds; null where the system does not report it.",
    )
    memory_total_bytes: int | None = Field(None, ge=0, description="Memory that its device has.")
    started_at: datetime = Field(description="When the process started.")
    heartbeat_at: datetime = Field(description="When it was last heard of.")


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


def _read(value: str | bytes) -> WorkerInfo:
    # A newer worker's heartbeat may have fields that this version does not know.
    return WorkerInfo.model_validate_json(value, extra="ignore")
