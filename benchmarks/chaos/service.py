"""The service that is attacked: as ``lodestar up`` starts it, with more workers."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx
from redis import Redis

from app.stack.child import Child, ChildSpec
from app.stack.embedded import socket_url, valkey_spec
from app.stack.preflight import free_port, locked
from app.stack.supervisor import Supervisor
from benchmarks.places import CATALOG
from jobs.db.connection import connect
from jobs.queue.workers import WorkerRegistry

Part = Literal["worker", "api", "valkey"]


@dataclass
class Service:
    """The running parts."""

    supervisor: Supervisor
    parts: dict[Part, list[Child]]
    url: str
    redis: Redis

    def worker_of(self, pid: int) -> str | None:
        """Name of the worker with this process id."""
        return next((info.name for info in WorkerRegistry(self.redis).alive() if info.pid == pid), None)


@contextmanager
def service(folder: Path, workers: int) -> Iterator[Service]:
    """Start all parts, and end them; as ``lodestar up`` does, with more workers."""
    socket, port = folder / "valkey.sock", free_port("127.0.0.1")
    (folder / "logs").mkdir()
    env = {
        "LODESTAR_REDIS_URL": socket_url(socket),
        "LODESTAR_ARTIFACTS_URL": str(folder / "artifacts"),
        "LODESTAR_MODELS_FILE": str(CATALOG),
        "LODESTAR_DEVICE": "cpu",
        "LODESTAR_THREADS": "1",
        "LODESTAR_HOST": "127.0.0.1",
        "LODESTAR_PORT": str(port),
    }
    with (
        locked(folder) as lock,
        Supervisor(folder / "logs", say=lambda line: print(line, file=sys.stderr)) as supervisor,
    ):
        valkey = supervisor.start(valkey_spec(folder / "valkey", socket, lock=lock))
        while not socket.exists():
            supervisor.sleep(0.1)
        api = supervisor.start(ChildSpec("api", (sys.executable, "-m", "app", "serve"), env))
        crew = [
            supervisor.start(ChildSpec(f"worker-{number}", (sys.executable, "-m", "worker"), env))
            for number in range(1, workers + 1)
        ]
        redis = connect(socket_url(socket), patient=False)
        running = Service(
            supervisor, {"worker": crew, "api": [api], "valkey": [valkey]}, f"http://127.0.0.1:{port}", redis
        )
        while len(WorkerRegistry(redis).alive()) < workers or not _is_ready(running.url):
            supervisor.sleep(0.2)
        supervisor.is_up = True
        yield running
        redis.close()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False
