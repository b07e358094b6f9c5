"""The command that measures a running service."""

import json
import threading
from collections.abc import Iterator

import pytest

from jobs.errors import DeadlineExceededError
from jobs.queue.queue import JobQueue
from jobs.status.job import JobStatus
from tests.app.conftest import Run
from tests.app.played_worker import PlayedWorker


@pytest.fixture
def busy(queue: JobQueue, worker: PlayedWorker) -> Iterator[None]:
    """Meanwhile, every job is settled as soon as it comes: those with the prompt "doomed" fail."""
    ended = threading.Event()

    def settle() -> None:
        while not ended.wait(0.02):
            for job in queue.list(status=JobStatus.QUEUED).data:
                if job.generation.prompt == "doomed":
                    worker.fail(job.id, DeadlineExceededError("it took too long"))
                else:
                    worker.succeed(job.id)

    thread = threading.Thread(target=settle)
    thread.start()
    yield
    ended.set()
    thread.join()


def test_throughput_and_latency_are_told(
    run: Run, url: str, queue: JobQueue, busy: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("bench", "-n", "6", "-c", "3", "--steps", "4", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["jobs"], report["succeeded"], report["concurrency"]) == (6, 6, 3)
    assert report["pictures_per_s"] == pytest.approx(6 / report["seconds"])
    latency = report["latency_s"]
    assert 0 < latency["median"] <= latency["p95"] <= latency["longest"] <= report["seconds"]
    requests = [job.generation for job in queue.list().data]
    assert {request.seed for request in requests} == set(range(6))
    assert {request.steps for request in requests} == {4}
    assert run("bench", "-n", "1") == 0
    assert "1 of 1 succeeded" in capsys.readouterr().out


def test_a_job_that_fails_is_exit_code_3(
    run: Run, url: str, busy: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("bench", "doomed", "-n", "2", "--json") == 3
    report = json.loads(capsys.readouterr().out)
    assert (report["succeeded"], report["latency_s"]) == (0, None)


def test_what_the_server_refuses_is_one_line(run: Run, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("bench", "--model", "none", "-n", "2") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("lodestar: ")
