"""Brings back jobs whose worker died and jobs whose ticket was lost. Safe to run in several processes at once."""

import time
from typing import cast

import structlog
from redis import Redis

from jobs.connection import translates_redis_errors
from jobs.errors import AttemptsExhaustedError
from jobs.scripts import PREFIX, Scripts
from jobs.state import JobError, JobStatus
from jobs.tickets import Tickets, job_of

MAX_ATTEMPTS = 3
TICKET_GRACE_S = 5.0
SWEEP_EVERY_S = 2.0
DISCARDS_PER_SWEEP = 500  # each walks the queue once; a flood of canceled jobs is cleared away in portions

log = structlog.get_logger(__name__)


class Reaper:
    """One ``sweep`` does all; call it every couple of seconds."""

    def __init__(
        self, redis: Redis, *, max_attempts: int = MAX_ATTEMPTS, ticket_grace_s: float = TICKET_GRACE_S
    ) -> None:
        self._redis = redis
        self._scripts = Scripts(redis)
        self._tickets = Tickets(redis)
        self._max_attempts = max_attempts
        self._grace_s = ticket_grace_s
        self._ticketless = _Overdue(ticket_grace_s)
        self._taken = _Overdue(ticket_grace_s)

    @translates_redis_errors
    def sweep(self) -> None:
        """Recover what can be recovered now."""
        self._recover_abandoned()
        self._tend_tickets()
        self._tickets.clean_registries()

    def _recover_abandoned(self) -> None:
        seconds, microseconds = self._redis.time()
        now = seconds * 1_000_000 + microseconds
        reason = JobError(
            type=AttemptsExhaustedError.type,
            message=f"its worker was lost in each of {self._max_attempts} attempts",
        )
        for job_id in cast("list[str]", self._redis.zrangebyscore(PREFIX + "leases", "-inf", now)):
            status = self._scripts("recover", job_id, self._max_attempts, reason.model_dump_json())
            if status == JobStatus.QUEUED:
                self._tickets.write(job_id, again=True)
            if status != "held":
                log.warning("abandoned job recovered", job=job_id, status=status)

    def _tend_tickets(self) -> None:
        """Hold the tickets against the jobs that wait.

        The tickets are read first: the job of a ticket was stored before it, so one that does not wait by now has been
        claimed, canceled or deleted, and its ticket is of no use any more.
        """
        in_line, taken = self._tickets.queue.get_job_ids(), self._tickets.taken()
        queued = cast("list[str]", self._redis.zrange(PREFIX + "status:queued", 0, -1))
        waiting = set(queued)
        useless = [ticket for ticket in in_line if job_of(ticket) not in waiting]
        self._tickets.discard(useless[:DISCARDS_PER_SWEEP])
        self._tickets.discard(self._taken.among(taken))
        missing = self._ticketless.among(waiting - {job_of(ticket) for ticket in in_line})
        # The oldest last, since each goes to the front.
        for job_id in [job_id for job_id in reversed(queued) if job_id in missing]:
            self._reissue(job_id)

    def _reissue(self, job_id: str) -> None:
        """Write a new ticket for a job that has waited without one for a while.

        A ticket is missing when the submitter died after storing the job, or a worker after taking the ticket. A moment
        without a ticket is normal: the worker that took it is about to claim.
        """
        mark = f"{PREFIX}reissued:{job_id}"
        if self._redis.set(mark, "1", nx=True, px=max(1, int(self._grace_s * 1000))):
            self._tickets.write(job_id, again=True)
            log.warning("lost ticket written again", job=job_id)


class _Overdue:
    """Remembers since when it has seen each thing without a break."""

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._since: dict[str, float] = {}

    def among(self, seen: set[str]) -> set[str]:
        """What is seen now and has been for the grace; anything that is not seen is forgotten."""
        now = time.monotonic()
        self._since = {thing: self._since.get(thing, now) for thing in seen}
        return {thing for thing, since in self._since.items() if now - since >= self._grace_s}
