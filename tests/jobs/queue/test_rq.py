"""The contract with RQ, whose worker we override: a new version of RQ must pass these tests."""

import json
import re
import zlib
from importlib.metadata import requires, version

import pytest
from redis import Redis
from rq import Queue
from rq.exceptions import DequeueTimeout, DuplicateJobError
from rq.serializers import JSONSerializer

from jobs.db.connection import bytes_twin
from jobs.queue.tickets import QUEUE_NAME, TICKET_FUNCTION, TICKET_TIMEOUT_S, Tickets
from tests.jobs.samples import waiting_tickets

IN_LINE = "{lodestar}:rq:queue:lodestar"
TAKEN = "{lodestar}:rq:queue:lodestar:intermediate"


def test_its_version_is_pinned_exactly() -> None:
    assert version("rq") == "3.0.0"
    pins = [line for line in requires("lodestar-server") or () if re.match(r"rq\b", line)]
    assert pins == ["rq==3.0.0"]


def test_keys_have_the_names_that_autoscalers_watch(redis: Redis, tickets: Tickets) -> None:
    tickets.write("job")
    queue = tickets.queue
    assert (queue.key, queue.intermediate_queue_key) == (IN_LINE, TAKEN)
    assert queue.started_job_registry.key == "{lodestar}:rq:wip:lodestar"
    assert queue.failed_job_registry.key == "{lodestar}:rq:failed:lodestar"
    assert redis.lrange(IN_LINE, 0, -1) == ["job-first"]
    assert redis.exists("{lodestar}:rq:job:job-first") == 1


def test_a_ticket_is_json_that_names_one_function_and_one_job(redis: Redis, tickets: Tickets) -> None:
    tickets.write("job")
    data = tickets.queue.connection.hget("{lodestar}:rq:job:job-first", "data")
    assert isinstance(data, bytes)
    assert json.loads(zlib.decompress(data)) == [TICKET_FUNCTION, None, ["job"], {}]


def test_a_ticket_has_finite_times_and_leaves_no_result(tickets: Tickets) -> None:
    tickets.write("job")
    ticket = tickets.queue.fetch_job("job-first")
    assert ticket is not None
    assert (ticket.timeout, ticket.result_ttl, ticket.failure_ttl) == (TICKET_TIMEOUT_S, 0, 3600)


def test_the_same_id_is_refused_atomically(tickets: Tickets) -> None:
    tickets.write("job")
    with pytest.raises(DuplicateJobError):
        tickets.queue.enqueue_call(TICKET_FUNCTION, args=("job",), job_id="job-first", unique=True)
    assert tickets.queue.count == 1


def test_writing_the_first_ticket_twice_is_harmless_and_again_means_one_more(
    tickets: Tickets,
) -> None:
    tickets.write("job")
    tickets.write("job")
    assert tickets.queue.get_job_ids() == ["job-first"]
    tickets.write("job", again=True)
    first, further = tickets.queue.get_job_ids()
    assert first == "job-first"
    assert re.fullmatch(r"job-[0-9a-f]{8}", further)
    tickets.write_many(["a", "b"])
    assert set(waiting_tickets(tickets)) == {"job", "a", "b"}
    assert [ticket_id[:2] for ticket_id in tickets.newest(2)] == ["a-", "b-"]
    assert tickets.newest(0) == []


def test_a_worker_of_one_queue_moves_a_ticket_aside_instead_of_removing_it(
    redis: Redis, tickets: Tickets
) -> None:
    tickets.write("job")
    connection = bytes_twin(redis)
    queue = Queue(QUEUE_NAME, connection=connection, serializer=JSONSerializer)
    found = Queue.dequeue_any([queue], 1, connection=connection, serializer=JSONSerializer)
    assert found is not None
    ticket, _ = found
    assert (ticket.id, ticket.func_name, ticket.args) == ("job-first", TICKET_FUNCTION, ["job"])
    assert (redis.llen(IN_LINE), redis.lrange(TAKEN, 0, -1)) == (0, ["job-first"])
    assert tickets.taken() == {"job-first"}


def test_a_worker_of_one_queue_skips_a_ticket_whose_record_is_gone(redis: Redis, tickets: Tickets) -> None:
    tickets.write("job")
    redis.delete("{lodestar}:rq:job:job-first")
    connection = bytes_twin(redis)
    queue = Queue(QUEUE_NAME, connection=connection, serializer=JSONSerializer)
    with pytest.raises(DequeueTimeout):
        Queue.dequeue_any([queue], 1, connection=connection, serializer=JSONSerializer)
    # It stays aside for ever, which is why the reaper clears this list.
    assert redis.lrange(TAKEN, 0, -1) == ["job-first"]


def test_a_discarded_ticket_leaves_nothing(redis: Redis, tickets: Tickets) -> None:
    tickets.write("job")
    tickets.write("other")
    tickets.discard(["job-first"])
    assert set(waiting_tickets(tickets)) == {"other"}
    assert redis.exists("{lodestar}:rq:job:job-first") == 0
