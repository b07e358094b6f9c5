"""The service that is attacked: as ``lodestar up`` starts it, with more workers, on one server or a replicated one."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx
from redis import Redis

from app.stack.child import Child, ChildSpec
from app.stack.embedded import socket_url, valkey_spec
from app.stack.preflight import free_port, locked
from app.stack.supervisor import Supervisor
from benchmarks.chaos.machines import Machines, running
from benchmarks.chaos.replicated import layout
from benchmarks.places import CATALOG
from jobs.db.connection import connect
from jobs.queue.workers import WorkerRegistry

STEPS_FILE = "CHAOS_STEPS"  # see counting_worker.py, which imports torch
Part = Literal["worker", "api", "valkey", "primary", "replica"]


@dataclass
class Service:
    """The running parts."""

    supervisor: Supervisor
    parts: dict[Part, list[Child]]
    url: str
    redis: Redis
    redis_url: str
    machines: Machines | None = None

    def tend(self, seconds: float) -> None:
        """Let the time pass, and start again what was killed."""
        if self.machines is not None:
            self.machines.tend()
        self.supervisor.sleep(seconds)

    def worker_of(self, pid: int) -> str | None:
        """Name of the worker with this process id."""
        return next((info.name for info in WorkerRegistry(self.redis).alive() if info.pid == pid), None)


@contextmanager
def service(
    folder: Path, workers: int, *, replicated: bool = False, steps: Path | None = None
) -> Iterator[Service]:
    """Start all parts, and end them; as ``lodestar up`` does, with more workers.

    Args:
        folder: for all of its files.
        workers: how many.
        replicated: whether a primary, two replicas and three Sentinels take the place of the private server. A job then
            counts as accepted when a replica has it.
        steps: file where the workers write down their steps; they hand their jobs over at once when they are to end.
    """
    socket, port = folder / "valkey.sock", free_port("127.0.0.1")
    (folder / "logs").mkdir()
    place = layout(folder / "machines", replicas=2, sentinels=3, min_replicas=1) if replicated else None
    redis_url = socket_url(socket) if place is None else place.url
    env = {
        "LODESTAR_REDIS_URL": redis_url,
        "LODESTAR_REDIS_REPLICAS": "0" if place is None else "1",
        "LODESTAR_ARTIFACTS_URL": str(folder / "artifacts"),
        "LODESTAR_MODELS_FILE": str(CATALOG),
        "LODESTAR_DEVICE": "cpu",
        "LODESTAR_THREADS": "1",
        "LODESTAR_HOST": "127.0.0.1",
        "LODESTAR_PORT": str(port),
    }
    with (
        locked(folder) as lock,
        running(place) if place else nullcontext() as machines,
        Supervisor(folder / "logs", say=lambda line: print(line, file=sys.stderr)) as supervisor,
    ):
        servers = []
        if machines is None:
            servers.append(supervisor.start(valkey_spec(folder / "valkey", socket, lock=lock)))
            while not socket.exists():
                supervisor.sleep(0.1)
        api = supervisor.start(ChildSpec("api", (sys.executable, "-m", "app", "serve"), env))
        crew = [supervisor.start(spec) for spec in _workers(workers, env, steps)]
        redis = connect(redis_url, patient=False)
        parts: dict[Part, list[Child]] = {"worker": crew, "api": [api], "valkey": servers}
        attacked = Service(supervisor, parts, f"http://127.0.0.1:{port}", redis, redis_url, machines)
        while len(WorkerRegistry(redis).alive()) < workers or not _is_ready(attacked.url):
            supervisor.sleep(0.2)
        supervisor.is_up = True
        yield attacked
        redis.close()


def _workers(number: int, env: dict[str, str], steps: Path | None) -> Iterator[ChildSpec]:
    """The workers, with their settings; see ``service``."""
    module = "worker"
    if steps is not None:
        module = "benchmarks.chaos.counting_worker"
        env = {**env, STEPS_FILE: str(steps), "LODESTAR_GRACE_S": "0"}
    for each in range(1, number + 1):
        yield ChildSpec(f"worker-{each}", (sys.executable, "-m", module), env)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False
