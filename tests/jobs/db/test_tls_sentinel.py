"""Sentinels and servers that speak TLS alone, through a failover.

The wheel's server has no TLS. Debian's has: these tests need ``redis-server`` of its packages redis-server and
redis-tools, and are skipped where there is none.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from redis import Redis
from redis.exceptions import RedisError

from app.stack.preflight import free_port
from jobs.db import keys
from jobs.db.connection import connect
from jobs.errors import QueueUnavailableError
from jobs.queue.queue import JobQueue
from tests.jobs.db.test_failover import until, work
from tests.jobs.samples import RESOLVED

HOST, PASSWORD = "127.0.0.1", "a-secret"


@dataclass
class Place:
    """A primary, its replica and a Sentinel; how a client of the test reaches them."""

    servers: list[int]
    sentinel: int
    folder: Path
    processes: dict[int, "subprocess.Popen[bytes]"]

    @property
    def url(self) -> str:
        """For the service."""
        return f"rediss+sentinel://:{PASSWORD}@{HOST}:{self.sentinel}/lodestar/0?ssl_ca_certs={self.folder}/ca.pem"

    def client(self, port: int, **options: Any) -> Redis:
        """A plain client with TLS."""
        return Redis(HOST, port, ssl=True, ssl_ca_certs=f"{self.folder}/ca.pem", **options)

    def primary(self) -> int:
        """Port of the primary, as the Sentinel sees it."""
        with self.client(self.sentinel) as sentinel:
            return int(sentinel.sentinel_get_master_addr_by_name("lodestar")[1])


def program() -> str:
    """The path of a server with TLS; skips without one, and fails in CI."""
    found = shutil.which("redis-server")
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs a redis-server with TLS")
    return str(found)


def options_of(folder: Path, port: int) -> dict[str, str]:
    """What speaks TLS alone."""
    return {
        "port": "0",
        "tls-port": str(port),
        "bind": HOST,
        "tls-cert-file": f"{folder}/own.pem",
        "tls-key-file": f"{folder}/own.key",
        "tls-ca-cert-file": f"{folder}/ca.pem",
        "tls-auth-clients": "no",
        "tls-replication": "yes",
    }


@contextmanager
def running(place: Path, options: dict[str, str], *more: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process with a file of settings, which Sentinels rewrite."""
    place.mkdir()
    file = place / "server.conf"
    file.write_text("".join(f"{name} {value}\n" for name, value in {**options, "dir": str(place)}.items()))
    with (place / "log").open("wb") as log:
        process = subprocess.Popen([program(), str(file), *more], stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """The processes, once the replica follows and the Sentinel knows of it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    own = authority.issue_cert(HOST)
    own.private_key_pem.write_to_path(str(tmp_path / "own.key"))
    for part in own.cert_chain_pems:
        part.write_to_path(str(tmp_path / "own.pem"), append=True)
    first, second, watching = (free_port(HOST) for _ in range(3))
    place = Place([first, second], watching, tmp_path, {})
    with ExitStack() as stack:
        for port in place.servers:
            options = options_of(tmp_path, port) | {
                "requirepass": PASSWORD,
                "masterauth": PASSWORD,
                "save": '""',
            }
            options |= {"repl-diskless-sync-delay": "0"}
            options |= {"replicaof": f"{HOST} {first}"} if port == second else {}
            place.processes[port] = stack.enter_context(running(tmp_path / f"server-{port}", options))
        with place.client(second, password=PASSWORD) as replica:
            until(lambda: replica.info("replication")["master_link_status"] == "up")
        watched = {
            "sentinel monitor": f"lodestar {HOST} {first} 1",
            "sentinel auth-pass": f"lodestar {PASSWORD}",
            "sentinel down-after-milliseconds": "lodestar 500",
            "sentinel failover-timeout": "lodestar 6000",
        }
        sentinel = options_of(tmp_path, watching) | watched
        stack.enter_context(running(tmp_path / "sentinel", sentinel, "--sentinel"))
        with place.client(watching) as asked:
            until(lambda: asked.sentinel_master("lodestar")["num-slaves"] == 1)
        yield place


def test_everything_goes_through_sentinels_with_tls_and_on_after_the_primary_was_killed(place: Place) -> None:
    before = work(place.url)
    primary = place.primary()
    with connect(place.url, patient=False) as redis:
        queue = JobQueue(redis, max_queued=10)
        accepted = queue.submit(RESOLVED).job.id
        with redis.pipeline(transaction=False) as pipeline:
            pipeline.set(keys.CHECK, "ok")
            pipeline.wait(1, 5000)
            assert pipeline.execute()[1] == 1
        place.processes[primary].send_signal(signal.SIGKILL)
        submitted = queue.submit(RESOLVED).job.id  # no error is seen: it waits until there is a primary again
        assert place.primary() != primary
        assert {job.id for job in queue.list().data} == {before, accepted, submitted}


def test_nobody_is_reached_whose_certificate_is_of_another_authority(place: Place, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    with (
        connect(place.url.replace("/ca.pem", "/other.pem"), patient=False) as redis,
        pytest.raises(QueueUnavailableError),
    ):
        JobQueue(redis, max_queued=10).check()
    with pytest.raises(RedisError), Redis(HOST, place.sentinel, socket_timeout=2) as in_the_clear:
        in_the_clear.ping()
