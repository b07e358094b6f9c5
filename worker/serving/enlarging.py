"""Upscales the pictures of jobs that have left the engine, on a thread beside it."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
import torch

from jobs.errors import JobFailedError
from jobs.queue.leases import Lease
from jobs.requests.tasks import EnlargeTask
from jobs.status.job import StoredImage
from worker.engine.accounts import Account
from worker.engine.fetching import NICENESS, stand_back
from worker.engine.work import Failed, Finished, HandedOver, Stopped, as_failure
from worker.models.footprint import taking_memory
from worker.pictures.picture import Picture
from worker.serving.enlarger import Enlarger, Steps
from worker.serving.held_jobs import Execution

_CPU = torch.device("cpu")

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Enlarged:
    """All pictures of a job, and the larger ones that were stored for it."""

    pictures: tuple[Picture, ...]
    images: tuple[StoredImage, ...]


@dataclass(eq=False)
class _Piece:
    execution: Execution
    outcome: Finished
    account: Account
    steps: Steps


class Enlarging:
    """One thread that upscales tile by tile. The next tile is of the job with the least time for its weight.

    A stopped or overdue job leaves before its next tile.

    Attributes, which any thread may read:
        working_since: start of the tile in hand; None between tiles.
    """

    def __init__(
        self,
        enlarge: Callable[[Lease, tuple[Picture, ...]], Steps],
        enlarger: Enlarger,
        on_outcome: Callable[[Execution, Enlarged | Failed | Stopped | HandedOver], None],
    ) -> None:
        """Start no thread yet.

        Args:
            enlarge: upscales and stores a job's pictures, a tile each time.
            enlarger: likewise those that a task brings.
            on_outcome: called on this thread when a job leaves.
        """
        self._enlarge, self._enlarger = enlarge, enlarger
        self._on_outcome = on_outcome
        self._pieces: list[_Piece] = []
        self._now_s = 0.0
        self._closing = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self.working_since: float | None = None

    def add(self, execution: Execution, outcome: Finished) -> None:
        """Upscale the pictures of a job; returns at once."""
        self._add(execution, outcome, self._enlarge(execution.lease, outcome.pictures))

    def add_task(self, execution: Execution, task: EnlargeTask) -> None:
        """Upscale the pictures of a task, which has made none; likewise."""
        work = execution.work
        work.steps, work.started = len(task.pictures), time.monotonic()
        self._add(execution, Finished(()), self._enlarger.steps(execution.lease, task, work.note_step))

    def _add(self, execution: Execution, outcome: Finished, steps: Steps) -> None:
        account = Account(execution.work.weight, self._now_s)
        with self._changed:
            self._pieces.append(_Piece(execution, outcome, account, steps))
            self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="upscaler", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Let every job leave once the tile in hand is done: as ``HandedOver``, or ``Stopped`` if it is a task."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def _work(self) -> None:
        stand_back(NICENESS)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pieces or self._closing)
                if not self._pieces:
                    return
                piece = min(self._pieces, key=lambda piece: piece.account.virtual_s)
                self._now_s = piece.account.virtual_s
            self.working_since = began = time.monotonic()
            outcome = self._advance(piece)
            self.working_since = None
            piece.account.charge(time.monotonic() - began)
            if outcome is not None:
                with self._changed:
                    self._pieces.remove(piece)
                piece.steps.close()
                self._on_outcome(piece.execution, outcome)
            del piece, outcome  # or its pictures would be kept until another job comes

    def _advance(self, piece: _Piece) -> Enlarged | Failed | Stopped | HandedOver | None:
        """Do another tile; the outcome, or None if there is more to do."""
        work = piece.execution.work
        if work.stop.is_set() or (self._closing and not piece.outcome.pictures):
            return Stopped()
        if self._closing:
            return HandedOver(piece.outcome.pictures)
        if work.overdue:
            return Failed(work.too_late())
        try:
            with taking_memory(_CPU):
                next(piece.steps)
        except StopIteration as end:
            return Enlarged(piece.outcome.pictures, end.value)
        except OSError as error:
            log.exception("artifact store failed", job=work.id)
            reason = f"a larger picture could not be stored: {error.strerror or type(error).__name__}"
            return Failed(JobFailedError(reason))
        except Exception as error:
            return Failed(as_failure(error, work.id))
        return None
