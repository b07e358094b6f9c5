"""Command lines run in this process, against an API behind real HTTP."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from structlog.testing import capture_logs

from app.api.main import create_app
from app.api.settings import ApiSettings
from jobs.queue.queue import JobQueue
from jobs.status.job import JobStatus
from tests.app.conftest import serving


@pytest.fixture
def url(settings: ApiSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of an API, which the commands know from their environment; its log stays out of their output."""
    with capture_logs(), serving(create_app(settings)) as url:
        monkeypatch.setenv("LODESTAR_URL", url)
        yield url


@pytest.fixture
def queue(redis: Redis) -> JobQueue:
    return JobQueue(redis, max_queued=10)


@pytest.fixture
def in_forks(forked_python: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the commands run the worker's modules in forks; ``test_adapters`` runs one from nothing."""
    monkeypatch.setattr(sys, "executable", str(forked_python))


@contextmanager
def settling(queue: JobQueue, settle: Callable[[str], object]) -> Iterator[None]:
    """Meanwhile, in a thread, wait for the next job and settle it."""

    def wait_and_settle() -> None:
        while not ended.wait(0.02):
            waiting = queue.list(status=JobStatus.QUEUED).data
            if waiting:
                settle(waiting[0].id)
                return

    ended = threading.Event()
    thread = threading.Thread(target=wait_and_settle)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
