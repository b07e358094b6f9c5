"""The commands, in this process unless a test is about the process itself."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image
from redis import Redis

from app.cli.demo import curl_line
from app.stack.preflight import free_port
from jobs.distribution import own_version
from jobs.errors import DeadlineExceededError
from jobs.queue.queue import JobQueue
from jobs.queue.workers import WorkerRegistry
from jobs.status.job import JobStatus
from jobs.status.workers import WorkerInfo
from tests.app.cli.conftest import settling
from tests.app.conftest import Run
from tests.app.played_worker import PlayedWorker


def test_a_picture_is_written_and_only_its_path_is_printed(
    run: Run, url: str, queue: JobQueue, worker: PlayedWorker, capsys: pytest.CaptureFixture[str]
) -> None:
    with settling(queue, worker.succeed):
        assert run("generate", "a red apple", "-o", "apple.png", "--seed", "7", "--steps", "9") == 0
    out, err = capsys.readouterr()
    assert out == "apple.png\n"
    assert "succeeded" in err
    with Image.open("apple.png") as picture:
        assert picture.size == (64, 64)
    (job,) = queue.list().data
    assert (job.generation.prompt, job.generation.seed, job.generation.steps) == ("a red apple", 7, 9)
    assert job.generation.guidance is None


def test_the_pictures_are_shown_with_the_viewer_of_the_machine(
    url: str, queue: JobQueue, worker: PlayedWorker, tmp_path: Path
) -> None:
    viewer = tmp_path / "bin" / "xdg-open"
    viewer.parent.mkdir()
    viewer.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/shown\n')
    viewer.chmod(0o755)
    options = ["-n", "2", "-o", "apple.png", "--open", "--quiet", "--url", url]
    with settling(queue, worker.succeed):
        subprocess.run(
            [sys.executable, "-P", "-m", "app", "generate", "a red apple", *options],
            env={**os.environ, "PATH": f"{viewer.parent}:{os.environ['PATH']}"},
            cwd=tmp_path,
            check=True,
            timeout=60,
        )
    shown, end = tmp_path / "shown", time.monotonic() + 60
    while not shown.exists() or len(shown.read_text().splitlines()) < 2:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert set(shown.read_text().splitlines()) == {"apple-0.png", "apple-1.png"}


def test_several_pictures_are_numbered_and_named_after_their_job(
    run: Run, url: str, queue: JobQueue, worker: PlayedWorker, capsys: pytest.CaptureFixture[str]
) -> None:
    with settling(queue, worker.succeed):
        assert run("generate", "a red apple", "-n", "2", "--quiet") == 0
    job_id = queue.list().data[0].id
    assert capsys.readouterr() == (f"{job_id}-0.png\n{job_id}-1.png\n", "")


def test_an_option_of_the_guidance_turns_it_on(
    run: Run, url: str, queue: JobQueue, worker: PlayedWorker
) -> None:
    with settling(queue, worker.succeed):
        assert run("generate", "a red apple", "--guidance-scale", "0.5", "--cutouts", "8") == 0
    guidance = queue.list().data[0].generation.guidance
    assert guidance is not None
    assert (guidance.scale, guidance.cutouts, guidance.clip) == (0.5, 8, "pocket-m")


def test_the_guidance_can_be_turned_on_with_its_defaults(
    run: Run, url: str, queue: JobQueue, worker: PlayedWorker, capsys: pytest.CaptureFixture[str]
) -> None:
    with settling(queue, worker.succeed):
        assert run("generate", "a red apple", "--guide", "--json") == 0
    assert json.loads(capsys.readouterr().out)["request"]["guidance"]["cutouts"] == 4


def test_a_failed_job_is_exit_code_3(
    run: Run, url: str, queue: JobQueue, worker: PlayedWorker, capsys: pytest.CaptureFixture[str]
) -> None:
    with settling(queue, lambda job_id: worker.fail(job_id, DeadlineExceededError("it took too long"))):
        assert run("generate", "a red apple") == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "it took too long" in err


def test_a_canceled_job_is_exit_code_5(run: Run, url: str, queue: JobQueue) -> None:
    with settling(queue, queue.cancel):
        assert run("generate", "a red apple") == 5


def test_a_wait_that_is_over_is_exit_code_6_and_can_be_resumed(
    run: Run, url: str, queue: JobQueue, worker: PlayedWorker, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("generate", "a red apple", "--wait", "0.1") == 6
    job_id = queue.list().data[0].id
    resume = f"lodestar wait {job_id} --url {url}"
    assert resume in capsys.readouterr().err
    assert run("wait", job_id, "--wait", "0", "--json") == 6
    assert json.loads(capsys.readouterr().out)["status"] == "queued"
    worker.succeed(job_id)
    assert run(*resume.split()[1:]) == 0
    assert Path(f"{job_id}.png").exists()


def test_a_job_can_be_canceled(
    run: Run, url: str, queue: JobQueue, capsys: pytest.CaptureFixture[str]
) -> None:
    run("generate", "a red apple", "--wait", "0")
    capsys.readouterr()
    assert run("cancel", queue.list().data[0].id) == 0
    assert capsys.readouterr().out == "canceled\n"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--steps", "9999"], "steps: Input should be less than or equal to 250"),
        (["--no-guide", "--cutouts", "8"], "--no-guide contradicts"),
        (["--cutouts", "0"], "guidance.cutouts: Input should be greater than or equal to 1"),
    ],
)
def test_a_wrong_option_is_exit_code_2(
    run: Run, capsys: pytest.CaptureFixture[str], words: list[str], complaint: str
) -> None:
    assert run("generate", "a red apple", *words) == 2
    assert complaint in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_what_only_the_server_can_refuse_is_one_line(
    run: Run, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("generate", "a red apple", "--width", "50", "--quiet") == 2
    assert capsys.readouterr().err.splitlines() == [
        "lodestar: width 50 is not a multiple of 16, which model 'pocket' needs"
    ]


def test_a_server_that_is_not_there_is_one_line(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{free_port('127.0.0.1')}"
    assert run("generate", "a red apple", "--url", url) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"lodestar: there is no server at {url}")


def test_a_picture_that_cannot_be_written_is_one_line(
    run: Run, url: str, queue: JobQueue, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("generate", "a red apple", "-o", "nowhere/apple.png", "--quiet") == 1
    assert capsys.readouterr().err == "lodestar: cannot write nowhere/apple.png: there is no folder nowhere\n"
    assert queue.list().data == ()  # nothing is drawn for nothing


def test_a_picture_that_cannot_be_written_after_all_can_be_had_again(
    run: Run, url: str, worker: PlayedWorker, queue: JobQueue, capsys: pytest.CaptureFixture[str]
) -> None:
    with settling(queue, worker.succeed):
        assert run("generate", "a red apple", "-o", "a" * 300, "--quiet") == 1
    (job,) = queue.list().data
    told = capsys.readouterr().err
    assert f"lodestar wait {job.id} --url {url} -o FILE" in told
    assert "File name too long" in told


def test_the_version_is_one_line(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"lodestar {own_version()}\n"


def test_ctrl_c_detaches_and_says_how_to_come_back(url: str, queue: JobQueue, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "app", "generate", "a red apple", "--url", url]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "queued\n"
        process.send_signal(signal.SIGINT)
        err = process.stderr.read()
    (job,) = queue.list().data
    assert process.returncode == 130
    assert f"lodestar wait {job.id} --url {url}" in err
    assert "Traceback" not in err
    assert job.status is JobStatus.QUEUED


def test_a_worker_of_this_host_makes_it_healthy(run: Run, redis: Redis, redis_url: str) -> None:
    def announce(pid: int, host: str) -> None:
        WorkerRegistry(redis).announce(
            WorkerInfo(
                name=f"{host}.{pid}",
                host=host,
                pid=pid,
                device="cpu",
                dtype="fp32",
                attention="sdpa",
                threads=1,
                models=(),
                jobs=(),
                started_at=datetime.now(UTC),
                heartbeat_at=datetime.now(UTC),
            )
        )

    assert run("worker-health", "--redis-url", redis_url) == 1
    announce(os.getpid(), "elsewhere")
    announce(2**22 + 1, socket.gethostname())  # larger than any pid
    assert run("worker-health", "--redis-url", redis_url) == 1
    announce(os.getpid(), socket.gethostname())
    assert run("worker-health", "--redis-url", redis_url) == 0


def test_the_api_refuses_wrong_settings_in_a_way_that_its_supervisor_knows(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LODESTAR_MAX_QUEUED", "many")
    assert run("serve") == 78
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("lodestar: LODESTAR_MAX_QUEUED: Input should be a valid integer")


def test_the_curl_line_of_the_demo_can_be_pasted(url: str, queue: JobQueue, worker: PlayedWorker) -> None:
    with settling(queue, worker.succeed):
        done = subprocess.run(
            ["sh", "-c", curl_line(url)], capture_output=True, text=True, timeout=60, check=True
        )
    job = json.loads(done.stdout)
    assert (job["status"], job["request"]["guidance"]["preset"]) == ("succeeded", "fast")
