"""The whole service on one machine: Redis, the API and the workers, as children of this process."""

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
from redis import Redis
from redis.exceptions import RedisError

from app.api.server.listener import url_of
from app.stack.child import Child, ChildSpec
from app.stack.embedded import announce_socket, socket_path, socket_url, valkey_spec
from app.stack.folders import make_private, spelled_in_utf8
from app.stack.hardware import worker_shares
from app.stack.preflight import check_models, check_port, check_redis, check_worker, locked
from app.stack.supervisor import Supervisor
from jobs.db.connection import connect
from jobs.errors import QueueUnavailableError
from jobs.queue.workers import WorkerRegistry

Say = Callable[[str], None]

# -P, because the folder that we are started in may hold something of the same name.
API = (sys.executable, "-P", "-m", "app", "serve")
WORKER = (sys.executable, "-P", "-m", "worker")
WORKER_GRACE_S = 3.0  # to finish its jobs after Ctrl-C
API_GRACE_S = 5.0  # likewise its requests; LODESTAR_STOP_TIMEOUT_S is the same
# After that. A worker hands its unfinished jobs over once the steps in hand are done, see worker/serving/executions.py.
TO_LEAVE_S = {"api": 2.0, "worker": 13.0}


@dataclass(frozen=True)
class StackOptions:
    """The options of ``lodestar up``; without ``redis_url`` it runs a server of its own."""

    host: str
    port: int
    data_dir: Path
    models_file: Path
    workers: int | None = None
    redis_url: str | None = None
    verbose: bool = False
    root_path: str | None = None

    @property
    def url(self) -> str:
        """The URL of the API on this machine."""
        return url_of(self.host, self.port)


@contextmanager
def running_stack(options: StackOptions, *, say: Say) -> Iterator[Supervisor]:
    """Within the block the service is up and ready as long as the block waits in the supervisor's ``sleep``.

    Raises:
        ConfigurationError: the port, the models, Redis or the data folder cannot be used.
        ChildFailedError: a process does not start.
    """
    check_worker()
    check_models(options.models_file)
    check_port(options.host, options.port)
    if options.redis_url is not None:
        check_redis(options.redis_url)
    with ExitStack() as stack:
        lock = stack.enter_context(locked(options.data_dir.absolute()))
        folder = stack.enter_context(spelled_in_utf8(options.data_dir.absolute()))
        models = stack.enter_context(spelled_in_utf8(options.models_file.absolute().parent))
        make_private(folder / "logs")
        valkey_socket = stack.enter_context(socket_path(folder / "valkey"))
        supervisor = stack.enter_context(Supervisor(folder / "logs", say=say, verbose=options.verbose))
        redis_url = options.redis_url or socket_url(valkey_socket)
        redis = stack.enter_context(connect(redis_url, patient=False))
        if options.redis_url is None:
            announce_socket(folder / "valkey", valkey_socket)
            supervisor.start(valkey_spec(folder / "valkey", valkey_socket, lock=lock))
            _wait(supervisor, lambda: _answers(redis))
        env = {
            "LODESTAR_REDIS_URL": redis_url,
            "LODESTAR_ARTIFACTS_URL": os.environ.get("LODESTAR_ARTIFACTS_URL") or _own_artifacts(folder),
            "LODESTAR_MODELS_FILE": str(models / options.models_file.name),
        }
        _start_service(supervisor, options, redis, env)
        yield supervisor


def _own_artifacts(folder: Path) -> str:
    artifacts = folder / "artifacts"
    make_private(artifacts)  # and so is what is put there: see ArtifactStore
    return str(artifacts)


def _start_service(supervisor: Supervisor, options: StackOptions, redis: Redis, env: dict[str, str]) -> None:
    address = {"LODESTAR_HOST": options.host, "LODESTAR_PORT": str(options.port)}
    if options.root_path is not None:
        address["LODESTAR_ROOT_PATH"] = options.root_path
    grace_s = _seconds("LODESTAR_STOP_TIMEOUT_S", API_GRACE_S) + TO_LEAVE_S["api"]
    # So that its pages advise what fits: see docs/operating.md.
    env = {"LODESTAR_STARTED_BY": "up", **env}
    supervisor.start(ChildSpec("api", API, {**env, **address}, grace_s=grace_s))
    supervisor.on_death = partial(_note_death, WorkerRegistry(redis))
    workers = [
        supervisor.start(worker_spec(number, options, {**env, **share}))
        for number, share in enumerate(worker_shares(options.workers, os.environ), start=1)
    ]
    with httpx.Client(base_url=options.url, timeout=2, trust_env=False) as api:
        _wait(supervisor, lambda: _is_ready(api))
    _wait(supervisor, lambda: _is_announced(workers, redis))
    supervisor.is_up = True


def _note_death(workers: WorkerRegistry, child: Child) -> None:
    """Let the list of workers say at once how a worker's process ended, with the end of its log."""
    death = child.last_death
    if death is None or not child.spec.name.startswith("worker-"):
        return
    with suppress(QueueUnavailableError):  # its heartbeat ends by itself
        workers.bury(socket.gethostname(), death.pid, death.ending, death.said)


def worker_spec(number: int, options: StackOptions, env: dict[str, str]) -> ChildSpec:
    """A worker as a child; it may take as long to end as the operator has set, and a moment more."""
    grace = os.environ.get("LODESTAR_GRACE_S") or str(WORKER_GRACE_S)
    if (port := os.environ.get("LODESTAR_METRICS_PORT", "")).isdigit() and port != "0":
        env = {**env, "LODESTAR_METRICS_PORT": str(int(port) + number - 1)}
    return ChildSpec(
        f"worker-{number}",
        WORKER,
        {"LODESTAR_GRACE_S": grace, **env},
        grace_s=_seconds("LODESTAR_GRACE_S", WORKER_GRACE_S) + TO_LEAVE_S["worker"],
        # Orphaned together with its private Valkey, it would wait minutes for that one to take its jobs back.
        orphaned=signal.SIGTERM if options.redis_url else signal.SIGKILL,
    )


def _seconds(variable: str, default: float) -> float:
    try:
        return float(os.environ.get(variable) or default)
    except ValueError:
        return default  # the process will say what is wrong with it


def _wait(supervisor: Supervisor, condition: Callable[[], bool]) -> None:
    # No time limit: a large model may load for minutes, and a child that cannot start ends the wait.
    while not condition():
        supervisor.sleep(0.1)


def _answers(redis: Redis) -> bool:
    try:
        return bool(redis.ping())
    except RedisError:
        return False


def _is_ready(api: httpx.Client) -> bool:
    try:
        return api.get("/readyz").is_success
    except httpx.TransportError:
        return False


def _is_announced(workers: list[Child], redis: Redis) -> bool:
    pids = {worker.pid for worker in workers}
    try:
        alive = WorkerRegistry(redis).alive()
    except QueueUnavailableError:
        return False
    return any(worker.host == socket.gethostname() and worker.pid in pids for worker in alive)
