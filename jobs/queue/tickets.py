"""RQ only wakes workers: it holds tickets, and the jobs are queued beside it.

A ticket is an RQ job that says "a job waits". The jobs and their order are kept by the scripts of ``jobs/db/lua``; a
worker that takes a ticket claims the first job of that queue, whichever one the ticket was written for. So any ticket
replaces one that is lost, and one that is delivered twice does nothing the second time.
"""

import secrets
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from redis import Redis

import jobs.db.rq_prefix  # noqa: F401

# isort: split
from rq import Queue
from rq.exceptions import DuplicateJobError
from rq.job import Job, JobStatus
from rq.scripts import _build_hset_args
from rq.serializers import JSONSerializer

from jobs.db.connection import bytes_twin

QUEUE_NAME = "lodestar"
# A name on the wire, not a path to import. Workers refuse tickets of another name.
TICKET_FUNCTION = "worker.consumer.run"
TICKET_TIMEOUT_S = 60  # a worker needs milliseconds to claim; never -1, which RQ treats as seven minutes
FIRST = "first"  # ends the id of a job's first ticket
_OPTIONS: dict[str, Any] = {
    "timeout": TICKET_TIMEOUT_S,
    "result_ttl": 0,
    "failure_ttl": 3600,
    "description": "",
}


class Tickets:
    """Writes tickets to the RQ queue, counts those that wait, and removes dead ones."""

    def __init__(self, redis: Redis) -> None:
        self.queue = Queue(QUEUE_NAME, connection=bytes_twin(redis), serializer=JSONSerializer)
        self._is_noted = False

    def first_of(self, job_id: str) -> list[str | bytes | int | float]:
        """The first ticket of a job, for ``submit.lua`` to write in the same step: RQ's fields and values, behind their
        number.
        """
        if not self._is_noted:
            self.queue.connection.sadd(Queue.redis_queues_keys, self.queue.key)
            self._is_noted = True
        ticket = self.queue.create_job(
            TICKET_FUNCTION, args=(job_id,), job_id=f"{job_id}-{FIRST}", status=JobStatus.QUEUED, **_OPTIONS
        )
        self.queue._prepare_for_queue(ticket)
        fields = _build_hset_args(ticket)
        return [len(fields), *fields]

    def write(self, job_id: str, *, again: bool = False) -> None:
        """Write a ticket for a waiting job.

        Args:
            job_id: of the job.
            again: write a further ticket although one was written before, because that one was used or may be lost.
        """
        suffix = secrets.token_hex(4) if again else FIRST
        # redis-py repeats a command whose reply was lost; unique makes the repetition harmless.
        with suppress(DuplicateJobError):
            self.queue.enqueue_call(
                TICKET_FUNCTION, args=(job_id,), job_id=f"{job_id}-{suffix}", unique=True, **_OPTIONS
            )

    def write_many(self, job_ids: Iterable[str]) -> None:
        """A further ticket for each of these jobs, in one round trip."""
        self.queue.enqueue_many(
            [
                Queue.prepare_data(
                    TICKET_FUNCTION, args=(job_id,), job_id=f"{job_id}-{secrets.token_hex(4)}", **_OPTIONS
                )
                for job_id in job_ids
            ]
        )

    def count(self) -> int:
        """Number of tickets in the queue."""
        return self.queue.count

    def newest(self, number: int) -> list[str]:
        """Ids of the tickets that were written last."""
        return self.queue.get_job_ids(-number, number) if number else []

    def taken(self) -> set[str]:
        """Ids of tickets that a worker took and has not started: this lasts milliseconds, unless the worker died."""
        return set(self.queue.intermediate_queue.get_job_ids())

    def settle(self, ticket_id: str) -> None:
        """Remove the ticket that a worker took and has used."""
        with self.queue.connection.pipeline(transaction=False) as pipeline:
            pipeline.lrem(self.queue.intermediate_queue_key, 1, ticket_id)
            pipeline.delete(Job.key_for(ticket_id))
            pipeline.execute()

    def discard(self, ticket_ids: Iterable[str]) -> None:
        """Remove tickets, wherever they are."""
        with self.queue.connection.pipeline(transaction=False) as pipeline:
            for ticket_id in ticket_ids:
                # From the end, where surplus tickets are sought; each id is there once.
                pipeline.lrem(self.queue.key, -1, ticket_id)
                pipeline.lrem(self.queue.intermediate_queue_key, -1, ticket_id)
                pipeline.delete(Job.key_for(ticket_id))
            pipeline.execute()

    def clean_registries(self) -> None:
        """Let RQ forget the tickets whose worker died on them, which it counts as work in progress otherwise."""
        self.queue.started_job_registry.cleanup()
        self.queue.failed_job_registry.cleanup()
