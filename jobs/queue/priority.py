"""Another priority for a job that waits."""

import json
from collections.abc import Callable
from typing import cast

from redis import Redis

from jobs.db import keys
from jobs.db.connection import translates_redis_errors
from jobs.db.scripts import Scripts
from jobs.errors import InvalidRequestError, JobNotWaitingError, QueueUnavailableError, unknown_job
from jobs.queue.order import WEIGHTS
from jobs.requests.request import Priority
from jobs.status.job import JobStatus
from jobs.status.view import WHOLE, View

_TRIES = 5  # while others change the same job


class Priorities:
    """Changes priorities. A change is one atomic script, and the order of all other jobs stays as it is."""

    def __init__(
        self, redis: Redis, view: View = WHOLE, weight_of: Callable[[str], float] = lambda _: 1.0
    ) -> None:
        """Make one.

        Args:
            redis: the server.
            view: jobs outside of it do not exist.
            weight_of: the weight of a tenant among the others, by its name; empty for the default one.
        """
        self._redis, self._view, self._weight_of = redis, view, weight_of
        self._scripts = Scripts(redis)

    @translates_redis_errors
    def change(self, job_id: str, priority: Priority) -> None:
        """Give a waiting job a priority; nothing changes if it has that.

        Raises:
            UnknownJobError: there is none of this id, or the view does not show it.
            JobNotWaitingError: it runs or has ended.
            InvalidRequestError: it makes no pictures, and has no priority.
        """
        for _ in range(_TRIES):
            status = self._try(job_id, priority)
            if status == JobStatus.QUEUED:
                return
            if not status:
                raise unknown_job(job_id)
            if status != "changed":
                raise JobNotWaitingError(
                    f"job {job_id} is {status}; only one that waits has a place to change"
                )
        raise QueueUnavailableError("the job is changed by others at the same time; try again")

    def _try(self, job_id: str, priority: Priority) -> str:
        """The job's status, as the script tells it."""
        names = ("request", "flow", "tenant", "status", "kind")
        found = self._redis.hmget(keys.job(job_id), names)
        request, flow, tenant, status, kind = cast("list[str | None]", found)
        if status is None or not self._view.shows_tenant(tenant):
            return ""
        self._view.notice(job_id, tenant)
        if status != JobStatus.QUEUED or request is None:
            return status
        if (kind or "generate") != "generate":
            raise InvalidRequestError(
                f"job {job_id} makes no pictures, and has no priority", field="priority"
            )
        caller, _, before = (flow or "").rpartition(":")
        if before == priority:
            return status
        raised = WEIGHTS[priority] > WEIGHTS[Priority(before)]
        weight = f"{WEIGHTS[priority] * self._weight_of(tenant or ''):g}"
        asked, new_flow = _with_priority(request, priority), f"{caller}:{priority}"
        return str(self._scripts("prioritize", job_id, request, asked, new_flow, weight, int(raised)))


def _with_priority(request: str, priority: Priority) -> str:
    """A stored request with another priority; fields that this version does not know stay."""
    fields = {**json.loads(request), "priority": priority}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
