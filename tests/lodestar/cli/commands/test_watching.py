"""The command that follows jobs."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from app.api.main import create_app
from app.api.settings import ApiSettings
from app.stack.preflight import free_port
from jobs.errors import DeadlineExceededError
from jobs.queue.queue import JobQueue
from tests.app.conftest import Run, serving
from tests.app.played_worker import PlayedWorker


@contextmanager
def watching(*words: str) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own."""
    command = [sys.executable, "-u", "-m", "app", "watch", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def job_id(run: Run, url: str, queue: JobQueue, capsys: pytest.CaptureFixture[str]) -> str:
    """A job that waits."""
    run("generate", "a red apple", "--wait", "0")
    capsys.readouterr()
    return queue.list().data[0].id


def test_a_job_is_followed_to_its_end(url: str, job_id: str, worker: PlayedWorker) -> None:
    with watching(job_id, "--url", url) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stderr.readline() == "queued\n"
        lease = worker.claim(job_id)
        assert process.stderr.readline() == "running\n"
        worker.leases.succeed(lease, worker.store(lease))
        assert process.stderr.readline() == "succeeded\n"
        assert process.stdout.read() == "succeeded\n"
        assert process.wait(60) == 0


def test_every_event_is_a_line_of_json(
    run: Run, url: str, job_id: str, worker: PlayedWorker, capsys: pytest.CaptureFixture[str]
) -> None:
    worker.succeed(job_id)
    assert run("watch", job_id, "--json") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["type"] for event in events] == ["snapshot", "done"]
    assert events[-1]["job"]["id"] == job_id


def test_the_exit_code_says_how_the_job_ended(
    run: Run, url: str, job_id: str, worker: PlayedWorker, capsys: pytest.CaptureFixture[str]
) -> None:
    worker.fail(job_id, DeadlineExceededError("it took too long"))
    assert run("watch", job_id) == 3
    assert "it took too long" in capsys.readouterr().err
    assert run("watch", "nothing") == 1
    assert "there is no job 'nothing'" in capsys.readouterr().err


def test_a_canceled_job_is_exit_code_5(run: Run, url: str, job_id: str) -> None:
    run("cancel", job_id)
    assert run("watch", job_id) == 5


def test_all_jobs_are_followed_until_ctrl_c(url: str, job_id: str, worker: PlayedWorker) -> None:
    with watching("--url", url) as process:
        assert process.stdout is not None
        lines: list[str] = []
        first = threading.Event()

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line)
                first.set()

        reader = threading.Thread(target=read)
        reader.start()
        lease, step = worker.claim(job_id), 0
        while not first.wait(0.2):  # what happens before the stream is open is not told
            assert process.poll() is None
            step += 1
            worker.report(lease, step=step, steps=1000)
        worker.leases.succeed(lease, worker.store(lease))
        while not any(line.endswith("succeeded\n") for line in lines):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        reader.join()
    assert all(job_id in line for line in lines)


def test_a_restart_of_the_server_is_waited_out(settings: ApiSettings, worker: PlayedWorker) -> None:
    port = free_port("127.0.0.1")
    with ExitStack() as stack:
        with serving(create_app(settings), port=port, timeout_graceful_shutdown=0) as url:
            job_id = httpx.post(f"{url}/v1/jobs", json={"prompt": "a red apple"}).json()["id"]
            process = stack.enter_context(watching(job_id, "--json", "--url", url))
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["type"] == "snapshot"
            lease = worker.claim(job_id)
            assert json.loads(process.stdout.readline())["type"] == "started"
        worker.leases.succeed(lease, worker.store(lease))
        with serving(create_app(settings), port=port):
            names = [json.loads(line)["type"] for line in process.stdout]
        assert process.wait(60) == 0
    assert names == ["done"]
