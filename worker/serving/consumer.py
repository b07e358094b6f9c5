"""The RQ side of a worker: takes tickets from the queue, and claims a job for each.

RQ itself forks for each job. This process stays, keeps its models, and holds several jobs at once. A ticket is done as
soon as a job is claimed; from then on the job's lease keeps it, not RQ.
"""

import sys
import time
from types import FrameType
from typing import Protocol

import structlog
from redis import Redis
from redis.exceptions import RedisError

import jobs.db.rq_prefix  # noqa: F401

# isort: split
from rq import Queue, SimpleWorker
from rq.exceptions import DequeueTimeout
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import now

from jobs.db.connection import bytes_twin
from jobs.queue.tickets import QUEUE_NAME, TICKET_FUNCTION, Tickets

POLL_S = 0.25  # how long one wait for a ticket lasts; SIGTERM is noticed after it
LOOK_EVERY_S = 1.0  # for jobs whose tickets were lost
RECONNECT_S = 1.0

log = structlog.get_logger(__name__)


class Admits(Protocol):
    """The worker's executions, or a test's list of jobs."""

    def wait_for_room(self, timeout_s: float) -> bool:
        """Whether another job may come."""

    def admit(self) -> bool:
        """Claim and start the next job of the queue; False if there is none."""

    def is_fit(self) -> bool:
        """Whether the worker can still compute."""


class Consumer(SimpleWorker):
    """An RQ worker that does not fork and does not wait for a job before it takes the next.

    It overrides internals of RQ 3.0.0, which is therefore pinned; a contract test watches them.
    """

    def __init__(self, redis: Redis, admission: Admits, *, name: str) -> None:
        connection = bytes_twin(redis)
        queue = Queue(QUEUE_NAME, connection=connection, serializer=JSONSerializer)
        super().__init__([queue], name=name, connection=connection, serializer=JSONSerializer)
        self._admission = admission
        self._tickets = Tickets(redis)
        self._looked_at = 0.0

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """The next ticket, once there is room for a job; None when the worker is to stop."""
        del timeout, max_idle_time
        while not self._stop_requested and self._admission.is_fit():
            try:
                found = self._next_ticket()
                if found is not None:
                    return found
                if time.monotonic() - self._looked_at > LOOK_EVERY_S:
                    self._looked_at = time.monotonic()
                    self.heartbeat()
                    self._look_without_ticket()
            except RedisError as error:
                log.warning("no ticket could be read", error=str(error))
                time.sleep(RECONNECT_S)
            except Exception:
                # RQ would end its loop and this worker, and the next worker would meet the same error.
                log.exception("no job could be claimed")
                time.sleep(RECONNECT_S)
        return None

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Claim a job, then settle the ticket: without RQ's books of what is in progress, which the leases keep.

        A ticket whose worker dies here stays among those that were taken, where the reaper finds it.
        """
        try:
            _check(job)
            self._admission.admit()
        except Exception:
            execution = self.prepare_execution(job)
            self.prepare_job_execution(job, remove_from_intermediate_queue=True)
            job.started_at = now()
            self._finalize_failure(job, queue, execution, sys.exc_info())
        else:
            self._settle(job.id)

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Stop after the present wait. RQ's own version raises here, which can lose a ticket it has just taken."""
        del signum, frame
        self._stop_requested = True

    def _set_ip_address(self, connection: Redis) -> None:
        del connection
        # RQ's own version reads a list that redis-py cannot parse if the path of a socket has a blank.
        self.ip_address = "unknown"

    def subscribe(self) -> None:
        """Listen to no commands: cancels have their own way, see ``jobs.queue.interrupts``."""

    def unsubscribe(self) -> None:
        """Do nothing: there is no subscription."""

    def _settle(self, ticket_id: str) -> None:
        try:
            self._tickets.settle(ticket_id)
        except RedisError as error:
            log.warning("a used ticket could not be removed; the reaper will", error=str(error))

    def _next_ticket(self) -> tuple[Job, Queue] | None:
        if not self._admission.wait_for_room(POLL_S):
            return None
        try:
            found: tuple[Job, Queue] | None = Queue.dequeue_any(
                self.queues,
                POLL_S,  # type: ignore[arg-type]  # passed on to Redis, which takes fractions
                connection=self.connection,
                serializer=self.serializer,
            )
        except DequeueTimeout:
            return None
        return found

    def _look_without_ticket(self) -> None:
        """Claim jobs without tickets: some are lost, some were used by a worker that left the job to this one."""
        while not self._stop_requested and self._admission.wait_for_room(0) and self._admission.admit():
            pass


def _check(ticket: Job) -> None:
    # A ticket is data and must not choose the code to run.
    if ticket.func_name != TICKET_FUNCTION or len(ticket.args) != 1 or not isinstance(ticket.args[0], str):
        raise ValueError(f"not a ticket: {ticket.func_name!r}")
