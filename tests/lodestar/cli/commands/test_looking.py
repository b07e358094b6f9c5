"""What the command line shows of a service and of a job."""

import json

import pytest

from jobs.errors import DeadlineExceededError
from jobs.queue.queue import JobQueue
from tests.app.conftest import Run
from tests.app.played_worker import PlayedWorker

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
