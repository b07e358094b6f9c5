"""The live workers and their heartbeats."""

from collections.abc import Callable, Iterable, Sequence
from typing import cast

from pydantic import BaseModel
from redis import Redis

from jobs.db import keys
from jobs.db.connection import translates_redis_errors
from jobs.db.scripts import Scripts
from jobs.errors import UnknownWorkerError
from jobs.status.workers import GoneWorker, WorkerInfo

HEARTBEAT_EVERY_S = 3.0
HEARTBEAT_TTL_S = 15
REMEMBERED_S = 3600  # after its last heartbeat, a worker is remembered: see announce.lua


class WorkerRegistry:
    """The heartbeats in Redis; a worker that is silent for 15 s is gone."""

    def __init__(self, redis: Redis, *, log: Callable[[], tuple[str, ...]] | None = None) -> None:
        """Make one.

        Args:
            redis: the server.
            log: gives the last lines of the log of the worker that announces itself, to go with its heartbeats.
        """
        self._redis = redis
        self._scripts = Scripts(redis)
        self._log = log

    def announce(self, info: WorkerInfo) -> bool:
        """Write a worker's heartbeat; whether the worker is drained, so that it claims no more."""
        if self._log is not None:
            info = info.model_copy(update={"log": self._log()})
        answer = self._scripts(
            "announce",
            info.name,
            info.model_dump_json(),
            HEARTBEAT_TTL_S,
            int(info.room > 0),
            *info.models,
        )
        return bool(answer)

    @translates_redis_errors
    def drain(self, name: str) -> WorkerInfo:
        """Have a worker finish what it holds and claim nothing more, until it is resumed; the worker after that.

        It holds at once, whether the worker hears of it or not, and ends with the worker's process.

        Raises:
            UnknownWorkerError: none that is alive has this name.
        """
        started_at = self._one(name).model_dump(mode="json")["started_at"]
        self._redis.set(keys.draining(name), started_at, ex=REMEMBERED_S)
        return self._one(name)

    @translates_redis_errors
    def resume(self, name: str) -> WorkerInfo:
        """Have a worker claim jobs again; the worker after that.

        Raises:
            UnknownWorkerError: as for ``drain``.
        """
        self._one(name)
        self._redis.delete(keys.draining(name))
        return self._one(name)

    def _one(self, name: str) -> WorkerInfo:
        for info in self.alive():
            if info.name == name:
                return info
        raise UnknownWorkerError(f"no worker that is alive has the name {name[:100]!r}")

    def leave(self, name: str) -> None:
        """Remove a worker's heartbeat."""
        last = cast("str | None", self._redis.get(keys.worker(name)))
        gone = None if last is None else _gone(last).model_copy(update={"was_lost": False})
        self._remove(name, () if last is None else _read(last).models, gone)

    @translates_redis_errors
    def bury(self, host: str, pid: int, ending: str, log: Sequence[str]) -> None:
        """Note how the process of a worker ended, and remove its heartbeat; nothing if none was heard of.

        Args:
            host: that it ran on.
            pid: of its process there.
            ending: in words.
            log: the last lines of its log; empty keeps those that it sent.
        """
        names = cast("list[str]", self._redis.zrevrange(keys.KNOWN_WORKERS, 0, -1))
        values = self._redis.mget([keys.last_heartbeat(name) for name in names]) if names else []
        for name, value in zip(names, values, strict=True):
            if value is None or (said := _Process.model_validate_json(value)).pid != pid or said.host != host:
                continue
            known = {"ending": ending, **({"log": tuple(log)} if log else {})}
            self._remove(name, said.models, _gone(value).model_copy(update=known))
            return

    def _remove(self, name: str, models: Iterable[str], gone: GoneWorker | None) -> None:
        with self._redis.pipeline() as pipeline:
            for model in models:
                pipeline.zrem(keys.holders(model), name)
            pipeline.delete(keys.worker(name), keys.draining(name))
            pipeline.srem(keys.WORKERS, name)
            if gone:
                pipeline.set(keys.last_heartbeat(name), gone.model_dump_json(), ex=REMEMBERED_S)
            pipeline.execute()

    @translates_redis_errors
    def alive(self) -> tuple[WorkerInfo, ...]:
        """The workers heard of within the last 15 s, by name."""
        names = sorted(cast("set[str]", self._redis.smembers(keys.WORKERS)))
        if not names:
            return ()
        asked = [key for name in names for key in (keys.worker(name), keys.draining(name))]
        answers = cast("list[str | None]", self._redis.mget(asked))
        values, draining = answers[::2], answers[1::2]
        silent = [name for name, value in zip(names, values, strict=True) if value is None]
        if silent:
            self._redis.srem(keys.WORKERS, *silent)
        return tuple(
            _read(value, is_drained=process is not None)
            for value, process in zip(values, draining, strict=True)
            if value is not None
        )

    @translates_redis_errors
    def gone(self) -> tuple[GoneWorker, ...]:
        """The workers that stopped or were lost within the last hour, the latest first."""
        alive = {info.name for info in self.alive()}
        known = cast("list[str]", self._redis.zrevrange(keys.KNOWN_WORKERS, 0, -1))
        names = [name for name in known if name not in alive]
        values = self._redis.mget([keys.last_heartbeat(name) for name in names]) if names else []
        return tuple(_gone(value) for value in values if value is not None)


class _Process(BaseModel):
    """Which process a heartbeat is of; none, if the worker has left since."""

    host: str
    pid: int = 0
    models: tuple[str, ...] = ()


def _gone(value: str | bytes) -> GoneWorker:
    return GoneWorker.model_validate_json(value, extra="ignore")


def _read(value: str | bytes, *, is_drained: bool = False) -> WorkerInfo:
    # A newer worker's heartbeat may have fields that this version does not know.
    info = WorkerInfo.model_validate_json(value, extra="ignore")
    # The worker itself hears of it at its next heartbeat.
    return info.model_copy(update={"draining": True, "room": 0}) if is_drained else info
