"""The commands that list, and the one that cancels."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable

import pytest

from jobs.errors import DeadlineExceededError
from jobs.queue.queue import JobQueue
from jobs.status.job import JobStatus
from lodestar.cli.commands.listings import Status
from tests.app.conftest import Run
from tests.app.played_worker import PlayedWorker


def on_a_terminal(*words: str, **env: str) -> str:
    """The command's output on a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "app", *words]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=theirs, env={**os.environ, "TERM": "xterm-256color", **env}
    ) as process:
        os.close(theirs)
        printed = b""
        while True:
            try:
                chunk = os.read(ours, 4096)
            except OSError:  # how Linux says that the other end is closed
                chunk = b""
            if not chunk:
                break
            printed += chunk
    os.close(ours)
    assert process.returncode == 0
    return printed.decode()


def test_the_statuses_of_the_command_are_those_of_jobs() -> None:
    assert [*Status] == [*JobStatus]


def test_jobs_are_listed_newest_first_as_lines_that_a_pipe_can_cut(
    run: Run, url: str, queue: JobQueue, worker: PlayedWorker, capsys: pytest.CaptureFixture[str]
) -> None:
    for prompt in ("first", "second\tof\n two"):
        run("generate", prompt, "--wait", "0")
    newest, oldest = (job.id for job in queue.list().data)
    lease = worker.claim(oldest)
    worker.report(lease, step=5, steps=20)
    capsys.readouterr()
    assert run("jobs") == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [(row[0], row[1], row[3]) for row in rows] == [
        (newest, "queued", "second of two"),
        (oldest, "running 25%", "first"),
    ]
    assert run("jobs", "--status", "running", "--json") == 0
    assert [job["id"] for job in json.loads(capsys.readouterr().out)] == [oldest]
    assert run("jobs", "--limit", "1") == 0
    assert capsys.readouterr().out.startswith(newest)


def test_more_jobs_than_a_page_holds_are_listed(
    run: Run, url: str, queue: JobQueue, worker: PlayedWorker, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("lodestar.cli.commands.listings.MAX_PAGE", 2)
    for number in range(5):
        run("generate", f"job {number}", "--wait", "0")
    capsys.readouterr()
    assert run("jobs", "--limit", "4") == 0
    assert [line.split("\t")[3] for line in capsys.readouterr().out.splitlines()] == [
        "job 4",
        "job 3",
        "job 2",
        "job 1",
    ]


def test_jobs_are_canceled_and_their_statuses_told(
    run: Run, url: str, queue: JobQueue, worker: PlayedWorker, capsys: pytest.CaptureFixture[str]
) -> None:
    for prompt in ("it runs", "it waits"):
        run("generate", prompt, "--wait", "0")
    waits, runs = (job.id for job in queue.list().data)
    worker.claim(runs)
    capsys.readouterr()
    assert run("cancel", waits, runs) == 0
    assert capsys.readouterr().out == "canceled\nrunning\n"
    assert run("cancel", runs, "--json") == 0
    assert json.loads(capsys.readouterr().out)["cancel_requested"] is True
    assert run("cancel", "nothing") == 1
    assert "there is no job 'nothing'" in capsys.readouterr().err


def test_models_and_methods_of_guidance_are_listed(
    run: Run, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("models") == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert rows[0][:4] == ["pocket", "64x64", "25", "pocket-m"]
    assert ["diffusers", "noisy"] in [row[:2] for row in rows]
    assert run("models", "--json") == 0
    assert [model["id"] for model in json.loads(capsys.readouterr().out)] == ["pocket", "big"]


def test_colours_are_for_terminals_only(run: Run, url: str, queue: JobQueue, worker: PlayedWorker) -> None:
    run("generate", "a red apple", "--wait", "0")
    worker.fail(queue.list().data[0].id, DeadlineExceededError("too slow"))
    shown = on_a_terminal("jobs", "--url", url)
    assert "\x1b[31mfailed" in shown
    assert "a red apple" in shown
    assert "\x1b[3" not in on_a_terminal("--no-color", "jobs", "--url", url)
    assert "\x1b[3" not in on_a_terminal("jobs", "--url", url, NO_COLOR="1")
    piped = subprocess.run(
        [sys.executable, "-m", "app", "jobs", "--url", url], capture_output=True, check=True, timeout=60
    )
    assert b"\x1b" not in piped.stdout + piped.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete_the_command(shell: str, completion: Callable[[str], str]) -> None:
    assert "lodestar" in completion(shell)


@pytest.fixture
def completion() -> Callable[[str], str]:
    """The completion script for a shell, as the installed command prints it."""

    def script(shell: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", "from app.cli.main import cli; cli(prog_name='lodestar')"],
            env={**os.environ, "_LODESTAR_COMPLETE": f"source_{shell}"},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout

    return script


def test_a_shell_is_offered_the_commands() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from app.cli.main import cli; cli(prog_name='lodestar')"],
        env={
            **os.environ,
            "_LODESTAR_COMPLETE": "complete_bash",
            "COMP_WORDS": "lodestar wa",
            "COMP_CWORD": "1",
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == ["wait", "watch"]
