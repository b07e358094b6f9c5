"""Runs the samplers of several jobs in one loop: collects the calls they wait for, runs a group, sends each its answer.

Jobs join and leave between any two calls. A group holds one call for now; the loop, the samplers and the runner's
interface are already those of larger ones.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import structlog

from jobs.catalog import Catalog
from jobs.errors import DeadlineExceededError, JobFailedError, LodestarError
from jobs.request import ResolvedRequest
from jobs.state import Progress
from worker.calls import Call, Preview, Stepped
from worker.runner import Runner
from worker.sampler import Picture, sample

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Finished:
    """All pictures of a job, in order."""

    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Failed:
    """Why a job cannot succeed."""

    error: LodestarError


@dataclass(frozen=True)
class Stopped:
    """The job was told to stop, or the engine is closing."""


Outcome = Finished | Failed | Stopped


@dataclass
class Work:
    """One job in the engine.

    ``stop`` may be set by any thread; the engine looks at it before every call. ``progress`` is replaced, never
    changed, so that any thread may read it.
    """

    id: str
    request: ResolvedRequest
    stop: threading.Event = field(default_factory=threading.Event)
    progress: Progress = field(default_factory=lambda: Progress())
    started: float = field(default_factory=time.monotonic)
    pictures: list[Picture] = field(default_factory=list)

    def note_step(self) -> None:
        """Count one sampling step, and foresee the end from the speed so far."""
        step = self.progress.step + 1
        elapsed = time.monotonic() - self.started
        left = self.progress.steps - step
        self.progress = Progress(
            step=step, steps=self.progress.steps, eta_s=elapsed / step * left if step > 1 else None
        )

    @property
    def overdue(self) -> bool:
        """Whether the job has run longer than it may."""
        return time.monotonic() - self.started > self.request.timeout_s


@dataclass
class Track:
    """One picture in the making: its sampler, and the call that it waits for."""

    work: Work
    sampler: Generator[Call, Any, Picture]
    call: Call


class Engine:
    """The loop. ``serve`` runs on one thread; ``admit`` and ``close`` may be called from any other."""

    def __init__(
        self,
        runner: Runner,
        catalog: Catalog,
        on_outcome: Callable[[Work, Outcome], None],
        on_preview: Callable[[Work, Preview], None] = lambda *_: None,
    ) -> None:
        """Make an idle engine.

        Args:
            runner: answers calls.
            catalog: tells which CLIP scores an unguided picture.
            on_outcome: called on the engine's thread when a job leaves; must not block.
            on_preview: likewise, when there is a preview of one of a job's pictures.
        """
        self._runner = runner
        self._catalog = catalog
        self._on_outcome = on_outcome
        self._on_preview = on_preview
        self._admitted: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._tracks: deque[Track] = deque()
        self._closing = False

    def admit(self, work: Work) -> None:
        """Take a job in; it starts at the next turn of the loop."""
        self._admitted.put(work)

    def close(self) -> None:
        """Let the loop end: every job still in it comes out as ``Stopped``."""
        self._closing = True
        self._admitted.put(None)

    def serve(self) -> None:
        """Run until closed."""
        while not self._closing:
            self._take_in(block=not self._tracks)
            if self._tracks:
                self._turn(self._tracks.popleft())
        for work in {id(track.work): track.work for track in self._tracks}.values():
            self._leave(work, Stopped())

    def _take_in(self, *, block: bool) -> None:
        """Start the samplers of newly admitted jobs; with ``block``, wait until there is one."""
        while block or not self._admitted.empty():
            work = self._admitted.get()
            block = False
            if work is not None:
                self._start(work)

    def _start(self, work: Work) -> None:
        request = work.request
        work.progress = Progress(step=0, steps=request.steps * request.images)
        work.started = time.monotonic()
        judge = request.guidance.clip if request.guidance else self._catalog.model(request.model).clip
        for index in range(request.images):
            sampler = sample(request, index, judge)
            self._tracks.append(Track(work, sampler, next(sampler)))

    def _turn(self, track: Track) -> None:
        """Answer one call of one track; the track then waits behind all others, so that none starves."""
        work = track.work
        if work.stop.is_set():
            return self._leave(work, Stopped())
        if work.overdue:
            error = DeadlineExceededError(
                f"the job ran longer than its timeout_s of {work.request.timeout_s:g} s"
            )
            return self._leave(work, Failed(error))
        try:
            (answer,) = self._runner.run([track.call])
            if isinstance(track.call, Stepped):
                work.note_step()
            elif isinstance(track.call, Preview):
                self._on_preview(work, track.call)
            track.call = track.sampler.send(answer)
            self._tracks.append(track)
        except StopIteration as end:
            self._finish(work, end.value)
        except LodestarError as error:
            log.warning("job failed", job=work.id, error=error.type, exc_info=error.__cause__ is not None)
            self._leave(work, Failed(error))
        except Exception as error:
            # The boundary of a job: whatever its sampler does wrong ends this job and no other.
            log.exception("sampler raised", job=work.id)
            self._leave(work, Failed(JobFailedError(f"internal error: {type(error).__name__}")))
        return None

    def _finish(self, work: Work, picture: Picture) -> None:
        work.pictures.append(picture)
        if len(work.pictures) == work.request.images:
            ordered = sorted(work.pictures, key=lambda made: made.index)
            self._leave(work, Finished(tuple(ordered)))

    def _leave(self, work: Work, outcome: Outcome) -> None:
        for track in self._tracks:
            if track.work is work:
                track.sampler.close()
        self._tracks = deque(track for track in self._tracks if track.work is not work)
        self._on_outcome(work, outcome)
