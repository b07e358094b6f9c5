"""Numbers of the whole queue that operators watch, read from Redis in one round trip."""

from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

from jobs.db import keys
from jobs.requests.request import Priority


@dataclass(frozen=True)
class Gauges:
    """One look at the queue.

    Attributes:
        oldest_s: since the submission of the oldest waiting job, by priority; 0 if none waits.
        work_for: units of work that wait, by model, or by the CLIP of a task.
        parked: jobs that no worker so far could read, since they are of a newer version.
        lost: executions that ended with their worker, since Redis was empty.
        kept_bytes: bytes that all jobs take, as ``LODESTAR_MAX_KEPT_BYTES`` counts them.
        kept_file_bytes: bytes of the files that were sent for them, likewise.
        memory_bytes: memory that Redis uses; None where it does not tell.
        max_memory_bytes: its limit; 0 without one, None where it does not tell.
    """

    oldest_s: dict[str, float]
    work_for: dict[str, int]
    parked: int
    lost: int
    kept_bytes: int
    kept_file_bytes: int
    memory_bytes: int | None
    max_memory_bytes: int | None


def read_gauges(redis: Redis) -> Gauges:
    """The numbers now.

    Raises:
        RedisError: Redis cannot be reached.
    """
    with redis.pipeline(transaction=False) as pipeline:
        pipeline.time()
        pipeline.hgetall(keys.WORK_FOR)
        pipeline.zcard(keys.PARKED)
        pipeline.mget(keys.KEPT_BYTES, keys.KEPT_FILE_BYTES, keys.EXECUTIONS_LOST)
        for priority in Priority:
            pipeline.zrange(keys.waiting_since(priority), 0, 0, withscores=True)
        pipeline.info("memory")
        answers = pipeline.execute(raise_on_error=False)
    (seconds, microseconds), work, parked, kept, *oldest, memory = map(_sound, answers)
    now_us = seconds * 1_000_000 + microseconds
    return Gauges(
        oldest_s={
            str(priority): max(0.0, now_us - first[0][1]) / 1e6 if first else 0.0
            for priority, first in zip(Priority, oldest, strict=True)
        },
        work_for={model: int(cost) for model, cost in work.items()},
        parked=parked,
        lost=int(kept[2] or 0),
        kept_bytes=int(kept[0] or 0),
        kept_file_bytes=int(kept[1] or 0),
        memory_bytes=memory.get("used_memory"),
        max_memory_bytes=memory.get("maxmemory"),
    )


def _sound(answer: Any) -> Any:
    """An answer of a pipeline. A managed server may refuse INFO; that is no reason to tell nothing."""
    if isinstance(answer, ResponseError):
        return {}
    if isinstance(answer, Exception):
        raise answer
    return answer
