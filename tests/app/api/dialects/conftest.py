"""The API behind real HTTP, and a worker that goes on working until the test is over."""

import threading
from collections.abc import Callable, Iterator

import pytest
from fastapi import FastAPI
from redis import Redis

from app.api.main import create_app
from app.api.settings import ApiSettings
from jobs.queue.queue import JobQueue
from jobs.status.job import Job, JobStatus
from tests.app.conftest import serving
from tests.app.played_worker import PlayedWorker
from tests.waiting import until


@pytest.fixture
def app(settings: ApiSettings) -> FastAPI:
    """The API."""
    return create_app(settings)


@pytest.fixture
def url(app: FastAPI) -> Iterator[str]:
    """Address of the API."""
    with serving(app) as url:
        yield url


@pytest.fixture
def queue(redis: Redis) -> JobQueue:
    """The jobs, as the API's own side of the queue has them."""
    return JobQueue(redis, max_queued=5)


class BusyWorker:
    """Does what it is told with every job that waits, until its block ends."""

    def __init__(self, queue: JobQueue, settle: Callable[[str], object]) -> None:
        self._queue = queue
        self._settle = settle
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._over.wait(0.02):
            for job in self._queue.list(status=JobStatus.QUEUED).data:
                self._settle(job.id)


@pytest.fixture
def working(queue: JobQueue, worker: PlayedWorker) -> Iterator[None]:
    """A worker that makes every picture that is asked for."""
    with BusyWorker(queue, worker.succeed):
        yield


FirstJob = Callable[[], Job]


@pytest.fixture
def first_job(queue: JobQueue) -> FirstJob:
    """Wait until somebody has submitted a job; the newest one."""

    def wait() -> Job:
        until(lambda: bool(queue.list(limit=1).data))
        return queue.list(limit=1).data[0]

    return wait


@pytest.fixture
def ending(queue: JobQueue) -> Callable[[str], Job]:
    """Wait for the end of a job."""

    def wait(job_id: str) -> Job:
        until(lambda: queue.get(job_id).status.is_terminal)
        return queue.get(job_id)

    return wait
