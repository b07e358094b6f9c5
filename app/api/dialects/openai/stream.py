"""A call as a stream of server-sent events."""

import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import Request
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.concurrency import run_in_threadpool

from app.api.dialects.envelopes import openai_error
from app.api.dialects.openai.answer import completed_events
from app.api.dialects.openai.partials import PARTIAL_TYPES, PartialImages
from app.api.dialects.openai.request import ImageGeneration
from app.api.dialects.streaming import looks
from app.api.following.waiting import require_success
from app.api.following.watch import OnHangUp
from app.api.problems import handlers as errors
from app.api.services import services_of
from jobs.errors import LodestarError
from jobs.events.events import FINAL_TYPES
from jobs.status.job import Job


async def events(
    request: Request, job: Job, body: ImageGeneration, *, on_hang_up: OnHangUp
) -> AsyncIterator[bytes]:
    """The events of one job: partial images, if any, and at last its pictures, or one error."""
    partials = PartialImages(services_of(request), body)
    types = FINAL_TYPES | PARTIAL_TYPES if body.partial_images else FINAL_TYPES
    yield KEEPALIVE_COMMENT
    try:
        async for seen in looks(request, job, types, on_hang_up=on_hang_up):
            if seen is None:
                yield KEEPALIVE_COMMENT
                continue
            job = seen
            for event in await partials.new(job):
                yield _event(event)
        for event in await run_in_threadpool(completed_events, request, require_success(job), body):
            yield _event(event)
    except LodestarError as error:
        # The status line is out already, so the error comes as an event, which the clients raise.
        yield _event({"type": "error", "error": openai_error(*errors.problem_of(request, error))})


def _event(event: dict[str, Any]) -> bytes:
    return format_sse_event(event=event["type"], data_str=json.dumps(event))
