"""RQ as the way a job reaches a worker.

An RQ job is only a ticket that says "job X waits"; the job itself lives in its own hash and is claimed atomically. So a
ticket that is lost is written again by the reaper, and one that is delivered twice does nothing the second time.
"""

import secrets
from typing import Any

from redis import Redis
from rq import Queue
from rq.exceptions import DuplicateJobError
from rq.serializers import JSONSerializer

from jobs.connection import bytes_twin

QUEUE_NAME = "lodestar"
TICKET_FUNCTION = "worker.consumer.run"
TICKET_TIMEOUT_S = 60  # a worker needs milliseconds to claim; never -1, which RQ treats as seven minutes


class Tickets:
    """Writes tickets to the RQ queue and looks which ones wait there."""

    def __init__(self, redis: "Redis[Any]") -> None:
        self.queue = Queue(QUEUE_NAME, connection=bytes_twin(redis), serializer=JSONSerializer)

    def write(self, job_id: str, *, again: bool = False) -> None:
        """Tell the workers that a job waits.

        Args:
            job_id: of the waiting job.
            again: write a further ticket although one was written before, because that one may be lost.
        """
        suffix = secrets.token_hex(4) if again else "first"
        try:
            self.queue.enqueue_call(
                TICKET_FUNCTION,
                args=(job_id,),
                job_id=f"{job_id}-{suffix}",
                timeout=TICKET_TIMEOUT_S,
                result_ttl=0,
                failure_ttl=3600,
                # redis-py repeats a command whose reply was lost; unique makes the repetition harmless.
                unique=True,
            )
        except DuplicateJobError:
            return

    def waiting(self) -> set[str]:
        """Ids of the jobs that have a ticket in the queue."""
        return {ticket_id.rsplit("-", 1)[0] for ticket_id in self.queue.get_job_ids()}
