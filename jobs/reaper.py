"""Brings back jobs whose worker died and jobs whose ticket was lost. Safe to run in several processes at once."""

import time
from typing import Any

import structlog
from redis import Redis

from jobs.connection import translates_redis_errors
from jobs.errors import AttemptsExhaustedError
from jobs.scripts import PREFIX, Scripts
from jobs.state import JobError, JobStatus
from jobs.tickets import Tickets

MAX_ATTEMPTS = 3
TICKET_GRACE_S = 5.0
SWEEP_EVERY_S = 2.0

log = structlog.get_logger(__name__)


class Reaper:
    """One ``sweep`` does all; call it every couple of seconds."""

    def __init__(self, redis: "Redis[Any]", *, max_attempts: int = MAX_ATTEMPTS) -> None:
        self._redis = redis
        self._scripts = Scripts(redis)
        self._tickets = Tickets(redis)
        self._max_attempts = max_attempts
        self._ticketless_since: dict[str, float] = {}

    @translates_redis_errors
    def sweep(self) -> None:
        """Recover what can be recovered now."""
        self._recover_abandoned()
        self._reissue_tickets()

    def _recover_abandoned(self) -> None:
        seconds, microseconds = self._redis.time()
        ended = self._redis.zrangebyscore(PREFIX + "leases", "-inf", seconds * 1_000_000 + microseconds)
        reason = JobError(
            type=AttemptsExhaustedError.type,
            message=f"its worker was lost in each of {self._max_attempts} attempts",
        )
        for job_id in ended:
            status = self._scripts("recover", job_id, self._max_attempts, reason.model_dump_json())
            if status == JobStatus.QUEUED:
                self._tickets.write(job_id, again=True)
            log.warning("abandoned job recovered", job=job_id, status=status)

    def _reissue_tickets(self) -> None:
        """Write a new ticket for jobs that have waited without one for a while.

        A ticket is missing when the submitter died after storing the job, or a worker after taking the ticket. A moment
        without a ticket is normal: the worker that took it is about to claim.
        """
        queued = self._redis.zrange(PREFIX + "status:queued", 0, -1)
        missing = set(queued) - self._tickets.waiting()
        now = time.monotonic()
        self._ticketless_since = {job_id: self._ticketless_since.get(job_id, now) for job_id in missing}
        for job_id, since in list(self._ticketless_since.items()):
            if now - since >= TICKET_GRACE_S:
                self._tickets.write(job_id, again=True)
                del self._ticketless_since[job_id]
                log.warning("lost ticket written again", job=job_id)
