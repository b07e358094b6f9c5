"""Handles the events that samplers yield between their model calls."""

from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from worker.engine.fairness import Trajectory
from worker.engine.fetching import NICENESS, Fetches
from worker.engine.jobs import Job
from worker.engine.work import Work
from worker.events import Compute, Event, Fetch, Meet, Note, Preview, Stepped


class EventHandlers:
    """One handler for each kind of event. Files are read, and long computations done, beside the engine."""

    def __init__(self, on_answer: Callable[[], None], on_preview: Callable[[Work, Preview], None]) -> None:
        """Handle events of all jobs.

        Args:
            on_answer: called on any thread when ``answered`` has another one.
            on_preview: called with each preview.
        """
        self._files: Fetches[Trajectory[Job]] = Fetches(on_answer)
        # One at a time, each with as many threads as the device has.
        self._computations: Fetches[Trajectory[Job]] = Fetches(on_answer, threads=1, niceness=NICENESS)
        self._on_preview = on_preview
        self._handlers: dict[type[Event], Callable[[Trajectory[Job], Any], None]] = {
            Stepped: self._count,
            Preview: self._show,
            Note: self._note,
            Fetch: self._files.begin,
            Compute: self._computations.begin,
            Meet: self._meet,
        }
        self._met: deque[tuple[Trajectory[Job], object]] = deque()
        self._on_answer = on_answer

    def handle(self, trajectory: Trajectory[Job], event: Event) -> None:
        """Handle an event of a trajectory."""
        self._handlers[type(event)](trajectory, event)

    def answered(self) -> Iterator[tuple[Trajectory[Job], object]]:
        """The trajectories whose events have been answered later, each with the answer, or a LodestarError."""
        met = iter([self._met.popleft() for _ in range(len(self._met))])
        return chain(met, self._files.done(), self._computations.done())

    def close(self) -> None:
        """Begin nothing more beside the engine."""
        self._files.close()
        self._computations.close()

    def _count(self, trajectory: Trajectory[Job], event: Stepped) -> None:
        trajectory.owner.work.note_step()
        trajectory.state = event.state

    def _show(self, trajectory: Trajectory[Job], preview: Preview) -> None:
        self._on_preview(trajectory.owner.work, preview)

    def _meet(self, trajectory: Trajectory[Job], meet: Meet) -> None:
        self._met.extend(trajectory.owner.meetings.come(trajectory, meet))
        self._on_answer()

    def _note(self, trajectory: Trajectory[Job], note: Note) -> None:
        work = trajectory.owner.work
        work.notes = (*work.notes, note.sentence)
