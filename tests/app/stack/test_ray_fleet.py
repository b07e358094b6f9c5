"""Workers that an actor of Ray keeps running: the actor by itself, and on a Ray of this machine if it is installed."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from redis import Redis

from app.stack.ray_fleet import WorkerKeeper
from benchmarks.places import CATALOG, ROOT
from jobs.catalog.catalog import load_catalog
from jobs.db.connection import connect
from jobs.queue.queue import JobQueue
from jobs.queue.workers import WorkerRegistry
from jobs.requests.request import GenerateRequest
from jobs.resolve.request import resolve
from jobs.status.job import JobStatus
from tests.integration.stack import PATIENCE_S
from tests.waiting import until


@pytest.fixture
def env(redis_url: str, tmp_path: Path) -> dict[str, str]:
    """The settings of a worker."""
    return {
        "LODESTAR_REDIS_URL": redis_url,
        "LODESTAR_ARTIFACTS_URL": str(tmp_path / "artifacts"),
        "LODESTAR_MODELS_FILE": str(CATALOG),
        "LODESTAR_DEVICE": "cpu",
        "LODESTAR_THREADS": "1",
        "LODESTAR_GRACE_S": "1",
    }


def pids(redis: Redis) -> list[int]:
    return [info.pid for info in WorkerRegistry(redis).alive()]


def draws_a_picture(redis_url: str) -> None:
    """Whether whoever is there draws what is asked for."""
    with connect(redis_url, patient=False) as redis:
        queue = JobQueue(redis, max_queued=10)
        request = GenerateRequest(prompt="a red apple", steps=2, seed=1)
        job_id = queue.submit(resolve(request, load_catalog(CATALOG))).job.id
        until(lambda: queue.get(job_id).status.is_terminal, within_s=PATIENCE_S)
        assert queue.get(job_id).status is JobStatus.SUCCEEDED
        assert len(queue.get(job_id).images) == 1


def is_restarted_after_a_kill(redis: Redis) -> None:
    (first,) = pids(redis)
    os.kill(first, signal.SIGKILL)
    until(lambda: any(pid != first for pid in pids(redis)), within_s=PATIENCE_S)


@contextmanager
def kept(keeper: WorkerKeeper) -> Iterator[Callable[[], str]]:
    """The keeper's run on a thread, as an actor has it; gives a call that waits for its end."""
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(keeper.run()))
    thread.start()

    def ended() -> str:
        thread.join(PATIENCE_S)
        return said[0]

    try:
        yield ended
    finally:
        keeper.stop()
        thread.join(PATIENCE_S)


@pytest.mark.slow("two workers load their models")
def test_a_worker_that_dies_is_started_again_and_ended_with_its_grace(
    env: dict[str, str], redis: Redis, redis_url: str
) -> None:
    keeper = WorkerKeeper("worker-1", env)
    with kept(keeper) as ended:
        until(lambda: len(pids(redis)) == 1, within_s=PATIENCE_S)
        assert pids(redis) == [keeper.pid()]
        draws_a_picture(redis_url)
        is_restarted_after_a_kill(redis)
        draws_a_picture(redis_url)
        last = keeper.pid()
        keeper.stop()
        assert ended() == ""
    assert last not in pids(redis)  # it said goodbye; the one that was killed could not
    assert keeper.pid() is None


def test_a_worker_that_cannot_start_is_given_up_with_its_reason(env: dict[str, str]) -> None:
    with kept(WorkerKeeper("worker-1", env | {"LODESTAR_MODELS_FILE": "/nowhere/models.toml"})) as ended:
        assert "/nowhere/models.toml" in ended()


@pytest.mark.slow("Ray starts, and two workers load their models")
@pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray, the extra ray, which is 285 MB large")
def test_ray_runs_workers_that_draw_and_restarts_and_ends_them(
    env: dict[str, str], redis: Redis, redis_url: str
) -> None:
    command = [sys.executable, "-m", "app", "ray", "up", "--workers", "1", "--gpus", "0"]
    all_of_it = {**os.environ, **env, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
    with subprocess.Popen(command, env=all_of_it, cwd=ROOT) as fleet:
        try:
            until(lambda: len(pids(redis)) == 1, within_s=PATIENCE_S)
            draws_a_picture(redis_url)
            is_restarted_after_a_kill(redis)
        finally:
            fleet.send_signal(signal.SIGINT)
        assert fleet.wait(PATIENCE_S) == 0
    assert pids(redis) == []
