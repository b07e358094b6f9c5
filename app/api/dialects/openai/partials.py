"""Previews of a job, as the partial images of a stream."""

import time
from collections import Counter
from contextlib import suppress
from typing import Any

from app.api.dialects.openai.answer import common_fields
from app.api.dialects.openai.request import ImageGeneration
from app.api.services import Services
from jobs.errors import QueueUnavailableError
from jobs.events.event_log import START, EventsMissedError
from jobs.events.events import PreviewEvent
from jobs.status.job import Job

PARTIAL_TYPES = frozenset({PreviewEvent.model_fields["type"].default})
"""Events that may bring a partial image."""


class PartialImages:
    """The partial images that a reader has not had, at most the requested number of each picture."""

    def __init__(self, services: Services, body: ImageGeneration) -> None:
        self._log = services.events
        self._body = body
        self._seen = START
        self._sent: Counter[int] = Counter()

    async def new(self, job: Job) -> list[dict[str, Any]]:
        """The events of new previews since the last call, the newest of each picture."""
        if not self._body.partial_images:
            return []
        # Partial images are optional: a missing one must not end the job in an error.
        with suppress(EventsMissedError, QueueUnavailableError):
            entries = await self._log.after(job.id, self._seen)
            self._seen = entries[-1].id if entries else self._seen
            shown = {entry.event.index for entry in entries if isinstance(entry.event, PreviewEvent)}
            found = [await self._event(job, index) for index in sorted(shown)]
            return [event for event in found if event]
        return []

    async def _event(self, job: Job, index: int) -> dict[str, Any] | None:
        if self._sent[index] >= (self._body.partial_images or 0):
            return None
        jpeg = await self._log.preview(job.id, index)
        if jpeg is None:
            return None
        self._sent[index] += 1
        return {
            "type": f"{self._body.events}.partial_image",
            "partial_image_index": self._sent[index] - 1,
            "b64_json": jpeg,
            "created_at": int(time.time()),
            **common_fields(job, self._body),
            "output_format": "jpeg",
        }
