"""Workers on a Ray cluster: one actor for each GPU, or for a number of cores, that keeps ``lodestar worker`` running.

Ray finds the machines and restarts what it loses with them. It moves no job: workers get these from Redis as anywhere.
"""

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.stack.child import Child, ChildFailedError, ChildSpec
from app.stack.child_log import ChildLog
from app.stack.stack import TO_LEAVE_S, WORKER
from jobs.errors import ConfigurationError

LOOK_EVERY_S = 0.25
DEFAULT_GRACE_S = 4.0
# What a worker reads. The rest of the environment is each machine's own.
PREFIXES = ("LODESTAR_", "OTEL_", "AWS_", "HF_")


@dataclass(frozen=True)
class FleetOptions:
    """What to run, and where.

    Attributes:
        workers: how many; None for one on each GPU of the cluster, or one without GPUs.
        gpus: of each worker, 0 or 1; None for 1 where the cluster has any.
        cpus: cores of each worker, which Ray sets apart for it.
        address: of the cluster; None starts one on this machine.
    """

    workers: int | None = None
    gpus: int | None = None
    cpus: float = 1
    address: str | None = None


class WorkerKeeper:
    """An actor: keeps one worker process running, and ends it with its grace."""

    def __init__(self, name: str, env: Mapping[str, str]) -> None:
        """Start nothing yet.

        Args:
            name: of the worker, in words.
            env: its settings. Ray has set CUDA_VISIBLE_DEVICES in ours, which the worker inherits.
        """
        grace_s = float(env.get("LODESTAR_GRACE_S") or DEFAULT_GRACE_S)
        self._to_end_s = grace_s + TO_LEAVE_S["worker"]
        log = Path(tempfile.mkdtemp(prefix="lodestar-ray-")) / f"{name}.log"
        self._child = Child(ChildSpec(name, WORKER, dict(env), grace_s=self._to_end_s), ChildLog(log))
        self._stopping = False

    def run(self) -> str:
        """Run the worker until ``stop``, again after each death; the reason of a worker that cannot start."""
        self._child.start()
        while not self._stopping:
            try:
                died = self._child.look()
            except ChildFailedError as error:
                return error.message
            if died:
                print(died, flush=True)  # Ray shows it to whoever watches
            time.sleep(LOOK_EVERY_S)
        return ""

    def pid(self) -> int | None:
        """The worker's process id; None between a death and the restart."""
        return self._child.pid

    def stop(self) -> None:
        """Let the worker finish or release its jobs, and end it."""
        self._stopping = True
        self._child.ask_to_end()
        end = time.monotonic() + self._to_end_s
        while not self._child.has_ended() and time.monotonic() < end:
            time.sleep(LOOK_EVERY_S)
        self._child.kill()


def run_fleet(options: FleetOptions, *, say: Callable[[str], None]) -> None:
    """Run workers on a Ray cluster until interrupted; then end them all.

    Raises:
        ConfigurationError: Ray is not installed or not there, or a worker cannot start.
    """
    ray = _ray()
    try:
        ray.init(address=options.address, log_to_driver=True, include_dashboard=False)
    except (ConnectionError, ValueError) as error:
        raise ConfigurationError(f"no Ray cluster at {options.address}: {error}") from error
    try:
        keepers = _start(ray, options, {k: v for k, v in os.environ.items() if k.startswith(PREFIXES)})
        say(f"{len(keepers)} workers on {len(ray.nodes())} machines of the Ray cluster. Ctrl-C stops them.")
        _watch(ray, keepers)
    finally:
        ray.shutdown()


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ConfigurationError("lodestar ray needs Ray: install the extra ray") from error
    return ray


def _start(ray: Any, options: FleetOptions, env: Mapping[str, str]) -> list[Any]:
    """Ask Ray for an actor for each worker. Those that find no room now start when there is some."""
    on_cluster = int(ray.cluster_resources().get("GPU", 0))
    gpus = min(1, on_cluster) if options.gpus is None else options.gpus
    count = options.workers or (on_cluster if gpus else 1)
    remote = ray.remote(WorkerKeeper).options(
        num_gpus=gpus, num_cpus=options.cpus, max_restarts=-1, max_task_retries=-1, max_concurrency=4
    )
    share = (
        {} if gpus else {"LODESTAR_THREADS": env.get("LODESTAR_THREADS") or str(max(1, int(options.cpus)))}
    )
    return [remote.remote(f"worker-{number}", {**env, **share}) for number in range(1, count + 1)]


def _watch(ray: Any, keepers: list[Any]) -> None:
    runs = [keeper.run.remote() for keeper in keepers]
    try:
        done, _ = ray.wait(runs, num_returns=1)
        raise ConfigurationError(str(ray.get(done[0])))  # a run ends by itself for this alone
    finally:
        ray.get([keeper.stop.remote() for keeper in keepers])
