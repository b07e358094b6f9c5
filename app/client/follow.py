"""Show a job's progress to a person, wait for its end, and fetch its pictures."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from app.client.jobs import Client, StreamedEvent
from jobs.errors import LodestarError
from jobs.status.job import Job, JobStatus
from jobs.status.job import Progress as JobProgress


class NotWritableError(LodestarError):
    """A file cannot be written where it should go."""

    type = "not_writable"


@contextmanager
def job_bar(*, quiet: bool = False) -> Iterator[Callable[[Job], None]]:
    """A bar on stderr that a call with the job moves; off a terminal, a line for each new status."""
    console = Console(stderr=True)
    if quiet:
        yield lambda _: None
    elif not console.is_terminal:
        yield _StatusLines()
    else:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[steps]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("sending", total=None, steps="")

            def show(job: Job) -> None:
                fraction = 1.0 if job.status is JobStatus.SUCCEEDED else job.progress.fraction
                total = 1.0 if job.progress.steps or job.status.is_terminal else None
                progress.update(
                    task, description=_headline(job), completed=fraction, total=total, steps=_steps(job)
                )

            yield show


class _StatusLines:
    def __init__(self) -> None:
        self._said = ""

    def __call__(self, job: Job) -> None:
        if job.status != self._said:
            self._said = job.status
            print(_headline(job), file=sys.stderr, flush=True)


def wait_with_bar(
    client: Client,
    job_id: str,
    *,
    timeout_s: float = float("inf"),
    quiet: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> Job:
    """Wait for the end of a job and show its progress; see ``Client.wait``."""
    with job_bar(quiet=quiet) as show:
        return client.wait(job_id, on_look=show, timeout_s=timeout_s, sleep=sleep)


def follow_with_bar(events: Iterable[StreamedEvent], *, quiet: bool = False) -> Job | None:
    """Follow the events of a job to its end and show its progress; the job, or None if it was deleted."""
    job: Job | None = None
    with job_bar(quiet=quiet) as show:
        for event in events:
            if event.name == "deleted" or (event.name == "done" and event.data["job"] is None):
                return None
            job = _after(job, event)
            if job is not None:
                show(job)
            if event.name == "log" and not quiet:
                print(event.data["message"], file=sys.stderr, flush=True)
    return job


def _after(job: Job | None, event: StreamedEvent) -> Job | None:
    """The job as an event leaves it."""
    if event.name in {"snapshot", "done"}:
        # A newer server may send fields that this version does not know.
        return Job.model_validate(event.data["job"], extra="ignore")
    if job is None:
        return None
    match event.name:
        case "queued":
            return job.model_copy(update={"status": JobStatus.QUEUED})
        case "started":
            return job.model_copy(update={"status": JobStatus.RUNNING, "attempts": event.data["attempt"]})
        case "progress":
            progress = JobProgress.model_validate(event.data, extra="ignore")
            return job.model_copy(update={"status": JobStatus.RUNNING, "progress": progress})
        case "canceling":
            return job.model_copy(update={"cancel_requested": True})
    return job


def save_pictures(client: Client, job: Job, output: Path | None) -> list[Path]:
    """Write a job's pictures; their paths.

    Args:
        client: to fetch them with.
        job: one that has succeeded.
        output: file to write; several pictures get their numbers before the suffix. The job's id by default.
    """
    target = output or Path(f"{job.id}.png")
    paths = []
    for image in job.images:
        path = target if len(job.images) == 1 else target.with_stem(f"{target.stem}-{image.index}")
        write_file(path, client.image(job.id, image.index))
        paths.append(path)
    return paths


def write_file(path: Path, data: bytes) -> None:
    """Write a file for the user.

    Raises:
        NotWritableError: it cannot be written there.
    """
    try:
        path.write_bytes(data)
    except OSError as error:
        raise NotWritableError(f"cannot write {path}: {error.strerror}") from error


def _headline(job: Job) -> str:
    if job.status is JobStatus.QUEUED and job.queue_position:
        return f"queued, {job.queue_position} before it"
    if job.status is JobStatus.RUNNING and job.attempts > 1:
        return f"running, attempt {job.attempts}"
    return "stopping" if job.cancel_requested else str(job.status)


def _steps(job: Job) -> str:
    if not job.progress.steps:
        return ""
    eta = "" if job.progress.eta_s is None else f", {job.progress.eta_s:.0f} s left"
    return f"step {job.progress.step} of {job.progress.steps}{eta}"
