"""The commands that list, and the one that cancels."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from typing import get_args

import pytest

from jobs.errors import DeadlineExceededError
from jobs.queue.queue import JobQueue
from jobs.requests.tasks import JobKind
from jobs.status.job import JobStatus
from lodestar.cli.filters import Kind, Status
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
    assert [*Kind] == [*get_args(JobKind)]


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


def test_waiting_jobs_get_another_priority(
    run: Run, url: str, queue: JobQueue, worker: PlayedWorker, capsys: pytest.CaptureFixture[str]
) -> None:
    for prompt in ("one", "two", "three"):
        run("generate", prompt, "--wait", "0", "--label", "mine")
    third, second, first = (job.id for job in queue.list().data)
    capsys.readouterr()
    assert run("prioritize", "high", third) == 0
    assert capsys.readouterr().out == "0\n"
    assert run("prioritize", "low", "--label", "mine", "--q", "one") == 0
    assert capsys.readouterr().out.split() == [first]
    assert run("jobs", "--turn", "--caller", "anonymous") == 0
    assert [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()] == [third, second, first]
    worker.claim(second)
    assert run("prioritize", "high", second) == 1
    assert "only one that waits" in capsys.readouterr().err
    assert run("prioritize", "urgent", first) == 2
    assert run("prioritize", "high") == 2


@pytest.mark.parametrize("command", ["cancel", "retry", "delete"])
def test_a_job_that_cannot_be_keeps_no_other_from_it(
    command: str, run: Run, url: str, queue: JobQueue, capsys: pytest.CaptureFixture[str]
) -> None:
    for prompt in ("one", "two"):
        run("generate", prompt, "--wait", "0", "-q")
    first, second = (job.id for job in queue.list().data)
    capsys.readouterr()
    assert run(command, first, "nothing", second) == 1
    told = capsys.readouterr()
    assert told.err.count("\n") == 1
    assert told.err.startswith("lodestar: there is no job 'nothing'")
    left = {job.id: job.status for job in queue.list().data}
    if command == "cancel":
        assert left == {first: "canceled", second: "canceled"}
    elif command == "delete":
        assert left == {}
    else:
        assert set(left) == {first, second, *told.out.split()}
        assert len(left) == 4


def test_a_server_that_is_away_is_told_once_for_all_jobs(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("cancel", "one", "two", "three", "--url", "http://127.0.0.1:9") == 1
    assert capsys.readouterr().err.count("lodestar:") == 1


def test_jobs_are_listed_by_kind(run: Run, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    run("generate", "one", "--wait", "0", "-q")
    capsys.readouterr()
    assert run("jobs", "--kind", "import", "--kind", "score") == 0
    assert capsys.readouterr().out == ""
    assert run("jobs", "--kind", "generate") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_jobs_are_found_by_what_they_are_about(
    run: Run, url: str, queue: JobQueue, capsys: pytest.CaptureFixture[str]
) -> None:
    for prompt in ("a red apple", "a GREEN pear"):
        run("generate", prompt, "--wait", "0", "-q")

    def found(*words: str) -> list[str]:
        capsys.readouterr()
        assert run("jobs", *words) == 0
        return [line.split("\t")[3] for line in capsys.readouterr().out.splitlines()]

    assert found("--q", "green", "--model", "pocket", "--since", "2h", "--until", "2999-01-01") == [
        "a GREEN pear"
    ]
    assert found("--until", "1 h") == found("--error", "out_of_memory") == []
    assert run("jobs", "--model", "pockt") == 1
    assert "'pockt' is not in the catalog; it holds: pocket" in capsys.readouterr().err
    assert run("jobs", "--error", "bad luck") == 1
    assert "error: Input should be" in capsys.readouterr().err
    for wrong in ("soon", "999999w", "2026-13-01"):
        assert run("jobs", "--since", wrong) == 2
        assert "--since" in capsys.readouterr().err


def test_jobs_of_a_label_are_canceled_run_again_and_deleted(
    run: Run, url: str, queue: JobQueue, capsys: pytest.CaptureFixture[str]
) -> None:
    for label in ("old", "new"):
        run("generate", "a fox", "--label", label, "--wait", "0", "-q")
    new, old = (job.id for job in queue.list().data)
    capsys.readouterr()
    assert run("cancel", "--label", "old") == 0
    assert capsys.readouterr().out.split() == [old]
    assert run("retry", "--label", "old", "--json") == 0
    made = json.loads(capsys.readouterr().out)["made"]
    assert [job.status for job in queue.list().data] == ["queued", "queued", "canceled"]
    assert run("delete", "--label", "old", "--status", "canceled", "--yes") == 0
    assert capsys.readouterr().out.split() == [old]
    assert [job.id for job in queue.list().data] == [*made, new]
    for words in (("cancel",), ("delete", new, "--label", "new")):
        assert run(*words) == 2
        assert "--label" in capsys.readouterr().err


def test_models_and_methods_of_guidance_are_listed(
    run: Run, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("models") == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert rows[0][:4] == ["pocket", "64x64", "25", "pocket-m"]
    assert run("models", "--json") == 0
    assert [model["id"] for model in json.loads(capsys.readouterr().out)] == ["pocket", "big"]
    assert run("presets") == 0
    presets = {row[0]: row[1:] for row in (line.split("\t") for line in capsys.readouterr().out.splitlines())}
    assert presets["fast"][:3] == ["1.3", "+0.033", "denoised"]
    assert run("presets", "--json") == 0
    assert {preset["id"] for preset in json.loads(capsys.readouterr().out)} == presets.keys()


def test_jobs_are_deleted(run: Run, url: str, queue: JobQueue, capsys: pytest.CaptureFixture[str]) -> None:
    for prompt in ("one", "two"):
        run("generate", prompt, "--wait", "0", "-q")
    first, second = (job.id for job in queue.list().data)
    assert run("delete", first, second) == 0
    assert queue.list().data == ()
    assert run("delete", first) == 1
    assert "there is no job" in capsys.readouterr().err


def test_colours_are_for_terminals_only(run: Run, url: str, queue: JobQueue, worker: PlayedWorker) -> None:
    run("generate", "a red apple", "--wait", "0")
    worker.fail(queue.list().data[0].id, DeadlineExceededError("too slow"))
    shown = on_a_terminal("jobs", "--url", url)
    assert "\x1b[31mfailed" in shown
    assert "a red apple" in shown
    assert re.search(r"\d s ago, ran \d", shown)
    assert " ago" not in on_a_terminal("jobs", "--wide", "--url", url)
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
