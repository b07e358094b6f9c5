"""Shows people how far jobs are: in a notebook, in a terminal, or as lines of a log."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from html import escape
from typing import Any, TextIO

from jobs.status.job import Job, JobStatus

Show = Callable[[Job], object]
_WIDTH = 30


@contextmanager
def shown(progress: "bool | Show | None") -> Iterator[Show]:
    """A call for each look at a job.

    Args:
        progress: None shows it to people, in a notebook or in a terminal; True also elsewhere, as a line for each new
            status; False to nobody. A function is called with the job at each look.
    """
    if callable(progress):
        yield progress
        return
    show = _bar(progress)
    try:
        yield show or (lambda _: None)
    finally:
        if isinstance(show, _TerminalBar):
            show.close()


def _bar(progress: bool | None) -> Show | None:
    if progress is False:
        return None
    if (display := _notebook()) is not None:
        return _NotebookBar(display)
    if sys.stderr.isatty():
        return _TerminalBar(sys.stderr)
    return StatusLines() if progress else None


class _Jobs:
    """The jobs of one call, as one bar shows them."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}

    def see(self, job: Job) -> tuple[float, str]:
        """The share that is done, from 0 to 1, and its description."""
        self._jobs[job.id] = job
        done = [1.0 if each.status.is_terminal else each.progress.fraction for each in self._jobs.values()]
        return sum(done) / len(done), f"{headline(job)}  {steps(job)}".rstrip()


class StatusLines:
    """A line on stderr for each new status of a job."""

    def __init__(self) -> None:
        """Nothing is said yet."""
        self._said: dict[str, str] = {}

    def __call__(self, job: Job) -> None:
        """Say the status, if it is new."""
        if self._said.get(job.id) != job.status:
            self._said[job.id] = job.status
            print(headline(job), file=sys.stderr, flush=True)


class _TerminalBar:
    def __init__(self, stream: TextIO) -> None:
        self._jobs, self._stream, self._length = _Jobs(), stream, 0

    def __call__(self, job: Job) -> None:
        fraction, words = self._jobs.see(job)
        filled = round(_WIDTH * fraction)
        line = f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {words}"
        self._stream.write("\r" + line.ljust(self._length))
        self._stream.flush()
        self._length = len(line)

    def close(self) -> None:
        """Leave the line to what comes next."""
        if self._length:
            self._stream.write("\n")
            self._stream.flush()


class _NotebookBar:
    def __init__(self, display: Callable[..., Any]) -> None:
        self._jobs, self._display = _Jobs(), display
        self._handle: Any = None

    def __call__(self, job: Job) -> None:
        fraction, words = self._jobs.see(job)
        html = f"<progress max='1' value='{fraction:.3f}'></progress> {escape(words)}"
        content = {"text/html": html, "text/plain": f"{fraction:.0%} {words}"}
        if self._handle is None:
            self._handle = self._display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)


def _notebook() -> Callable[..., Any] | None:
    """IPython's display, in a notebook; None elsewhere."""
    if "IPython" not in sys.modules:
        return None
    with suppress(ImportError, AttributeError):
        from IPython import get_ipython
        from IPython.display import display

        if hasattr(get_ipython(), "kernel"):
            found: Callable[..., Any] = display
            return found
    return None


def headline(job: Job) -> str:
    """The status in a few words."""
    if job.status is JobStatus.QUEUED and job.queue_position:
        return f"queued, {job.queue_position} before it"
    if job.status is JobStatus.RUNNING and job.attempts > 1:
        return f"running, attempt {job.attempts}"
    return "stopping" if job.cancel_requested else str(job.status)


def steps(job: Job) -> str:
    """The steps done, and the time to come; empty before the first."""
    if not job.progress.steps:
        return ""
    eta = "" if job.progress.eta_s is None else f", {job.progress.eta_s:.0f} s left"
    return f"step {job.progress.step} of {job.progress.steps}{eta}"
