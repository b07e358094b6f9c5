"""Callers of the A1111 API: their jobs, and the model that each has chosen.

A1111's calls name no job, since A1111 has one at a time. Here progress and interruption are those of the caller's own
jobs. The caller is known by the proxy's name for it, by its credentials, or else by its address.
"""

import json
from contextlib import suppress
from hashlib import sha256
from typing import Any, cast

from fastapi import Request
from redis import Redis

from app.api.access import caller
from app.api.services import Services
from jobs.callers.identity import view_of
from jobs.db.connection import translates_redis_errors
from jobs.db.keys import of_tenant
from jobs.db.scripts import PREFIX
from jobs.errors import UnknownJobError
from jobs.queue.queue import JobQueue
from jobs.status.job import Job

_JOBS_TTL_S = 24 * 3600
_MODEL_TTL_S = 30 * 24 * 3600
_MOST_JOBS = 64


def caller_of(request: Request) -> str:
    """A name for the sender of a request; it does not reveal the sender's credentials or address."""
    address = request.client.host if request.client else ""
    known_by = (
        ("user", caller.caller_of(request)),
        ("credentials", request.headers.get("authorization", "")),
        ("address", address),
    )
    # The prefix tells the kinds apart, so that no name equals another caller's address.
    found = next((f"{kind}:{value}" for kind, value in known_by if value), "")
    return sha256(of_tenant(found, view_of(caller.identity_of(request)).tenant).encode()).hexdigest()[:24]


class Callers:
    """The state of callers, in Redis, since a caller's requests may reach different processes.

    All methods raise QueueUnavailableError when Redis cannot be reached or refuses to write.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    @translates_redis_errors
    def add(self, caller: str, job_id: str, task_id: str | None) -> None:
        """Remember a job's caller, and the caller's name for it."""
        key, entry = _jobs_key(caller), f"{job_id} {task_id or ''}"
        with self._redis.pipeline() as pipeline:
            pipeline.lrem(key, 0, entry)  # the same task may have been sent before
            pipeline.rpush(key, entry)
            pipeline.ltrim(key, -_MOST_JOBS, -1)
            pipeline.expire(key, _JOBS_TTL_S)
            pipeline.execute()

    @translates_redis_errors
    def current(self, caller: str, queue: JobQueue, task_id: str | None = None) -> Job | None:
        """The caller's job that has not ended, the oldest if there are several; None if there is none.

        Args:
            caller: its name.
            queue: to look up the jobs.
            task_id: only the job that the caller gave this name.
        """
        for entry in cast("list[str]", self._redis.lrange(_jobs_key(caller), 0, -1)):
            job_id, _, known_as = entry.partition(" ")
            if task_id not in {None, known_as}:
                continue
            with suppress(UnknownJobError):
                if not (job := queue.get(job_id)).status.is_terminal:
                    return job
            self._redis.lrem(_jobs_key(caller), 0, entry)
        return None

    @translates_redis_errors
    def choose(self, caller: str, model_id: str) -> None:
        """Remember the model for the caller's requests that name none."""
        self._redis.set(_model_key(caller), model_id, ex=_MODEL_TTL_S)

    @translates_redis_errors
    def chosen(self, caller: str) -> str | None:
        """The model that the caller has chosen; None for none within the last 30 days."""
        return cast("str | None", self._redis.getex(_model_key(caller), ex=_MODEL_TTL_S))

    @translates_redis_errors
    def change(self, caller: str, options: dict[str, Any]) -> None:
        """Remember options of the caller, beside those remembered before."""
        key = _options_key(caller)
        with self._redis.pipeline() as pipeline:
            pipeline.hset(key, mapping={name: json.dumps(value) for name, value in options.items()})
            pipeline.expire(key, _MODEL_TTL_S)
            pipeline.execute()

    @translates_redis_errors
    def changed(self, caller: str) -> dict[str, Any]:
        """The options that the caller has set within the last 30 days."""
        kept = cast("dict[str, str]", self._redis.hgetall(_options_key(caller)))
        return {name: json.loads(value) for name, value in kept.items()}


def chosen_model(request: Request, services: Services) -> str | None:
    """Id of the model that a request's caller has chosen, if the catalog holds it; None for none.

    Raises:
        QueueUnavailableError: Redis cannot be reached.
    """
    chosen = Callers(services.redis).chosen(caller_of(request))
    return chosen if any(card.id == chosen for card in services.catalog.models) else None


def _options_key(caller: str) -> str:
    return f"{PREFIX}a1111:options:{caller}"


def _jobs_key(caller: str) -> str:
    return f"{PREFIX}a1111:jobs:{caller}"


def _model_key(caller: str) -> str:
    return f"{PREFIX}a1111:model:{caller}"
