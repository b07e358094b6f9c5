"""Requeues jobs whose worker died, and replaces lost tickets. Safe to run in several processes at once."""

import time
from typing import cast

import structlog
from redis import Redis

from jobs.db import keys
from jobs.db.connection import translates_redis_errors
from jobs.db.scripts import Scripts
from jobs.queue.attempts import MAX_ATTEMPTS, give_up
from jobs.queue.leases import LEASE_S
from jobs.queue.pace import PaceBook
from jobs.queue.tickets import Tickets
from jobs.queue.workers import WorkerRegistry
from jobs.status.job import JobStatus

TICKET_GRACE_S = 5.0
SWEEP_EVERY_S = 1.0
OUTAGE_GRACE_S = 3.0  # live workers are back within two seconds of the server: see jobs.db.connection
SETTLED_AFTER_S = 60  # a server that was up this long before a reaper saw it first has its workers back
CLOCK_JUMP_S = 2.0  # more than an answer can take
PORTION = 500  # jobs or tickets dealt with in one sweep

log = structlog.get_logger(__name__)


class Reaper:
    """Call ``sweep`` every second."""

    def __init__(
        self,
        redis: Redis,
        *,
        max_attempts: int = MAX_ATTEMPTS,
        ticket_grace_s: float = TICKET_GRACE_S,
        outage_grace_s: float = OUTAGE_GRACE_S,
    ) -> None:
        self._redis = redis
        self._scripts = Scripts(redis)
        self._tickets = Tickets(redis)
        self._workers = WorkerRegistry(redis)
        self._pace = PaceBook(redis)
        self._max_attempts = max_attempts
        self._grace_s = ticket_grace_s
        self._outage = _Outage(redis, outage_grace_s)
        self._taken = _Overdue(ticket_grace_s)
        self._missing = _Overdue(ticket_grace_s)
        self._surplus = 0

    @translates_redis_errors
    def sweep(self) -> None:
        """Recover the jobs and tickets that are due."""
        if self._outage.is_over():
            self._recover_abandoned()
        self._tend_tickets()
        self._tickets.clean_registries()
        self._pace.note(self._workers.alive())

    def _recover_abandoned(self) -> None:
        now = _now_us(self._redis)
        ended = cast("list[str]", self._redis.zrangebyscore(keys.LEASES, "-inf", now, start=0, num=PORTION))
        for job_id in ended:
            status = give_up(self._scripts, job_id, max_attempts=self._max_attempts)
            if status == JobStatus.QUEUED:
                self._tickets.write(job_id, again=True)
            if status != "held":
                log.warning("abandoned job recovered", job=job_id, status=status)
        self._shorten_leases(now)

    def _shorten_leases(self, now: int) -> None:
        """No lease ends this late unless the server's clock was set back; its worker may be dead."""
        soon, too_late = now + int(LEASE_S * 1e6), now + int(10 * LEASE_S * 1e6)
        late = cast(
            "list[str]", self._redis.zrangebyscore(keys.LEASES, too_late, "+inf", start=0, num=PORTION)
        )
        for job_id in late:
            self._redis.zadd(keys.LEASES, {job_id: soon}, xx=True)

    def _tend_tickets(self) -> None:
        """Match the number of tickets to the number of waiting jobs, since any ticket serves any job.

        It counts the tickets first. A job is stored before its ticket, so new jobs cannot make a surplus.
        """
        tickets, taken = self._tickets.count(), self._tickets.taken()
        jobs = self._redis.zcard(keys.WAITING)
        self._tickets.discard(self._taken.among(taken))
        if self._missing.among({"tickets"} if tickets < jobs else set()):
            self._write_missing(jobs - tickets)
        # For a moment, a worker that takes a job before its ticket makes a surplus.
        before, self._surplus = self._surplus, max(0, tickets - jobs)
        self._tickets.discard(self._tickets.newest(min(before, self._surplus, PORTION)))

    def _write_missing(self, number: int) -> None:
        """Write tickets in place of lost ones.

        A ticket is lost when its submitter dies after storing the job, or a worker after taking the ticket. A moment
        without a ticket is normal: the worker that took it is about to claim.
        """
        mark = keys.REISSUED
        if self._redis.set(mark, "1", nx=True, px=max(1, int(self._grace_s * 1000))):
            first = cast("list[str]", self._redis.zrange(keys.WAITING, 0, min(number, PORTION) - 1))
            self._tickets.write_many(first)
            log.warning("lost tickets written again", tickets=len(first))


class _Outage:
    """Decides whether the workers have had time to renew their leases since the server was last away.

    Leases run on while the server is away, and end early when its clock is set forward or the whole machine was
    suspended. So no job is recovered before every live worker had time to renew its lease.
    """

    def __init__(self, redis: Redis, grace_s: float) -> None:
        self._redis = redis
        self._grace_s = grace_s
        self._run_id: str | None = None
        self._clocks = 0.0
        self._since: float | None = None

    def is_over(self) -> bool:
        """Ask the server before each sweep; a failure counts as an outage."""
        since, self._since = self._since, None
        server = self._redis.info("server")
        clocks = _now_us(self._redis) / 1e6 - time.monotonic()
        jumped = abs(clocks - self._clocks) > CLOCK_JUMP_S
        if self._run_id is None and server["uptime_in_seconds"] >= SETTLED_AFTER_S:
            since = float("-inf")
        elif since is None or server["run_id"] != self._run_id or jumped:
            since = time.monotonic()
        self._run_id, self._clocks, self._since = server["run_id"], clocks, since
        return time.monotonic() - since >= self._grace_s


class _Overdue:
    """Remembers the start of each member's unbroken presence."""

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._since: dict[str, float] = {}

    def among(self, seen: set[str]) -> set[str]:
        """The members that were present for the whole grace period; an absent member starts anew."""
        now = time.monotonic()
        self._since = {thing: self._since.get(thing, now) for thing in seen}
        return {thing for thing, since in self._since.items() if now - since >= self._grace_s}


def _now_us(redis: Redis) -> int:
    seconds, microseconds = redis.time()
    return seconds * 1_000_000 + microseconds
