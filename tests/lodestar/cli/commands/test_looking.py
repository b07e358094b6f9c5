"""What the command line shows of a service and of a job."""

import json

import pytest
from redis import Redis

from jobs.errors import DeadlineExceededError
from jobs.queue.queue import JobQueue
from jobs.queue.workers import WorkerRegistry
from tests.app.conftest import Run
from tests.app.played_worker import PlayedWorker
from tests.jobs.queue.test_workers import worker as worker_of

Captured = pytest.CaptureFixture[str]


def generate(run: Run, queue: JobQueue, capsys: Captured, *words: str) -> str:
    """Id of a job of these options."""
    assert run("generate", "a fox", *words, "--wait", "0", "--quiet") == 6
    capsys.readouterr()
    return queue.list().data[0].id


def test_the_status_of_a_service_is_a_few_lines(
    run: Run, url: str, queue: JobQueue, capsys: Captured
) -> None:
    generate(run, queue, capsys)
    assert run("status") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert (first.split()[0], first.split()[-1]) == ("lodestar", url)
    assert second == "1 of 5 waiting, 0 running"
    assert run("status", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (set(told), told["queue"]["jobs"]["queued"]) == ({"version", "queue", "workers"}, 1)


@pytest.mark.usefixtures("url")
def test_workers_and_the_end_of_their_logs_are_told(run: Run, redis: Redis, capsys: Captured) -> None:
    registry = WorkerRegistry(redis, log=lambda: ("loaded pocket",))
    registry.announce(worker_of("alive"))
    registry.announce(worker_of("dead").model_copy(update={"pid": 7}))
    registry.bury("host", 7, "was killed by SIGKILL", ["out of memory"])
    assert run("workers") == 0
    rows = [line.split("\t")[:2] for line in capsys.readouterr().out.splitlines()]
    assert rows == [["alive", "alive"], ["dead", "was killed by SIGKILL"]]
    assert run("logs", "dead") == 0
    assert capsys.readouterr().out == "out of memory\n"
    assert run("logs") == 0
    assert capsys.readouterr().out == "out of memory\nloaded pocket\n"
    assert run("logs", "nobody") == 1


@pytest.mark.usefixtures("url")
def test_a_worker_is_drained_and_resumed_by_the_beginning_of_its_name(
    run: Run, redis: Redis, capsys: Captured
) -> None:
    registry = WorkerRegistry(redis)
    for name in ("gpu-1.7", "gpu-2.7"):
        registry.announce(worker_of(name))
    assert run("workers", "drain", "gpu-1") == 0
    assert capsys.readouterr().out == "gpu-1.7\ttakes no more jobs\t0 jobs running\n"
    assert run("workers") == 0
    rows = [line.split("\t")[:2] for line in capsys.readouterr().out.splitlines()]
    assert rows == [["gpu-1.7", "draining"], ["gpu-2.7", "alive"]]
    assert run("status") == 0
    assert "worker gpu-1.7 on cpu: draining, 0 jobs left" in capsys.readouterr().out
    assert run("workers", "resume", "gpu-1.7", "--json") == 0
    assert json.loads(capsys.readouterr().out)["draining"] is False
    assert run("workers", "drain", "gpu") == 1
    assert "gpu-1.7, gpu-2.7" in capsys.readouterr().err
    assert run("workers", "drain", "tpu") == 1
    assert "no worker that is alive has the name 'tpu'" in capsys.readouterr().err


@pytest.mark.usefixtures("url")
def test_a_job_is_shown_with_every_field_by_the_name_that_set_takes(
    run: Run, queue: JobQueue, worker: PlayedWorker, capsys: Captured
) -> None:
    job_id = generate(run, queue, capsys, "--guide", "--seed", "7")
    worker.succeed(job_id)
    assert run("show", job_id) == 0
    told = dict(line.split("\t", 1) for line in capsys.readouterr().out.splitlines())
    assert (told["status"], told["seed"], told["guidance.preset"]) == ("succeeded", "7", "fast")
    assert told[f"{job_id}/0"].startswith("seed 7, 64 x 64, CLIP ")
    assert run("show", job_id, "--json") == 0
    assert json.loads(capsys.readouterr().out)["id"] == job_id


@pytest.mark.usefixtures("url")
def test_a_failed_job_is_run_again_with_its_seed(
    run: Run, queue: JobQueue, worker: PlayedWorker, capsys: Captured
) -> None:
    job_id = generate(run, queue, capsys, "--seed", "7")
    worker.fail(job_id, DeadlineExceededError("it took too long"))
    assert run("show", job_id) == 0
    assert "error\tit took too long (deadline_exceeded)" in capsys.readouterr().out
    assert run("retry", job_id) == 0
    (again,) = capsys.readouterr().out.split()
    assert (queue.get(again).generation.seed, again == job_id) == (7, False)


def test_the_dashboard_is_opened_where_the_service_is(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("typer.launch", opened.append)
    monkeypatch.setenv("LODESTAR_URL", "http://there:1/sd/")
    assert (run("open"), run("open", "01a2")) == (0, 0)
    assert (
        opened == capsys.readouterr().out.split() == ["http://there:1/sd/#/", "http://there:1/sd/#/jobs/01a2"]
    )
