"""What people see while they wait."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable

import pytest

from jobs.status.job import Job, JobStatus, Progress
from lodestar import Client
from lodestar.progress import shown
from tests.app.played_worker import PlayedWorker

PREPARED = """
import sys
from lodestar.models import Job
from lodestar.progress import shown

with shown(None) as show:
    for line in sys.stdin:
        show(Job.model_validate_json(line, extra="ignore"))
"""


@pytest.fixture
def looks(api: Client) -> list[Job]:
    """Three looks at one job."""
    job = api.submit("a fox")
    running = job.model_copy(
        update={"status": JobStatus.RUNNING, "progress": Progress(step=12, steps=24, eta_s=3.2)}
    )
    return [job, running, running.model_copy(update={"status": JobStatus.SUCCEEDED})]


def test_a_terminal_shows_one_line_that_moves(looks: list[Job]) -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", PREPARED],
        input="".join(f"{job.model_dump_json()}\n" for job in looks),
        stderr=theirs,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(theirs)
    said = os.read(ours, 10_000).decode()
    os.close(ours)
    assert done.returncode == 0
    first, half, full = said.strip("\r\n").split("\r")
    assert "queued" in first
    assert half.startswith(f"[{'#' * 15}{'.' * 15}] running  step 12 of 24, 3 s left")
    assert full.startswith(f"[{'#' * 30}] succeeded")
    assert len(full) >= len(half)  # nothing of the longer line stays
    assert said.endswith("\n")


@pytest.mark.parametrize(
    ("progress", "lines"), [(True, "queued\nrunning\nsucceeded\n"), (None, ""), (False, "")]
)
def test_a_log_has_a_line_for_each_status_if_asked(
    looks: list[Job], progress: bool | None, lines: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with shown(progress) as show:
        for job in (*looks, looks[-1]):
            show(job)
    assert capsys.readouterr() == ("", lines)


def test_jobs_of_one_call_share_the_bar(
    api: Client, worker: PlayedWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, dict[str, str]]] = []

    class Handle:
        """What IPython's display returns."""

        def update(self, content: dict[str, str], *, raw: bool) -> None:
            told.append(("update", content))

    def display(content: dict[str, str], *, raw: bool, display_id: bool) -> Handle:
        told.append(("display", content))
        return Handle()

    found: Callable[[], object] = lambda: display  # noqa: E731
    monkeypatch.setattr("lodestar.progress._notebook", found)
    generation = api.generate(["a fox", "a cat"])
    for job in generation.jobs:
        worker.succeed(job.id)
    generation.pictures()
    assert [kind for kind, _ in told] == ["display", *["update"] * (len(told) - 1)]
    shares = [content["text/plain"].partition(" ")[0] for _, content in told]
    assert shares == ["0%", "0%", "50%", "100%"]
    assert "<progress max='1' value='1.000'>" in told[-1][1]["text/html"]
