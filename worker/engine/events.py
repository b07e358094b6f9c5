"""Handles the events that samplers yield between their model calls."""

from collections.abc import Callable
from typing import Any

from worker.engine.fairness import Trajectory
from worker.engine.fetching import Fetches
from worker.engine.jobs import Job
from worker.engine.work import Work
from worker.events import Event, Fetch, Note, Preview, Stepped


class EventHandlers:
    """One handler for each kind of event."""

    def __init__(
        self, fetches: Fetches[Trajectory[Job]], on_preview: Callable[[Work, Preview], None]
    ) -> None:
        """Handle events of all jobs.

        Args:
            fetches: reads files beside the engine.
            on_preview: called with each preview.
        """
        self._fetches = fetches
        self._on_preview = on_preview
        self._handlers: dict[type[Event], Callable[[Trajectory[Job], Any], None]] = {
            Stepped: self._count,
            Preview: self._show,
            Note: self._note,
            Fetch: self._fetch,
        }

    def handle(self, trajectory: Trajectory[Job], event: Event) -> None:
        """Handle an event of a trajectory."""
        self._handlers[type(event)](trajectory, event)

    def _count(self, trajectory: Trajectory[Job], _: Stepped) -> None:
        trajectory.owner.work.note_step()

    def _show(self, trajectory: Trajectory[Job], preview: Preview) -> None:
        self._on_preview(trajectory.owner.work, preview)

    def _note(self, trajectory: Trajectory[Job], note: Note) -> None:
        work = trajectory.owner.work
        work.notes = (*work.notes, note.sentence)

    def _fetch(self, trajectory: Trajectory[Job], fetch: Fetch) -> None:
        self._fetches.begin(trajectory, fetch)
