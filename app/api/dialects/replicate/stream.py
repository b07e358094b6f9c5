"""A prediction as a stream of server-sent events: its pictures, and then its end."""

import json
from collections.abc import AsyncIterator
from itertools import count

from fastapi import Request
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.concurrency import run_in_threadpool

from app.api.dialects.addresses import base_of
from app.api.dialects.replicate.clients import output_for
from app.api.dialects.replicate.prediction import addresses
from app.api.dialects.streaming import looks
from app.api.problems import handlers as errors
from app.api.services import services_of
from jobs.errors import LodestarError
from jobs.events.events import FINAL_TYPES
from jobs.status.job import Job, JobStatus

_REASONS = {JobStatus.CANCELED: {"reason": "canceled"}, JobStatus.FAILED: {"reason": "error"}}


async def events(request: Request, job: Job) -> AsyncIterator[bytes]:
    """The events of a prediction: ``output`` for each picture, ``error`` if it has failed, and ``done``."""
    numbers = count()

    def event(name: str, data: str) -> bytes:
        # The clients pass on no event without an id.
        return format_sse_event(event=name, data_str=data, id=f"{job.id}:{next(numbers)}")

    yield KEEPALIVE_COMMENT
    try:
        async for seen in looks(request, job, FINAL_TYPES, on_hang_up="leave"):
            if seen is None:
                yield KEEPALIVE_COMMENT
            else:
                job = seen
        services = services_of(request)
        output = await run_in_threadpool(output_for, request, services, job)
        for address in output or addresses(base_of(request), job):
            yield event("output", address)
        if job.error is not None:
            yield event("error", json.dumps({"detail": f"{job.error.type}: {job.error.message}"}))
        yield event("done", json.dumps(_REASONS.get(job.status, {})))
    except LodestarError as error:
        # The status line is out already.
        problem, _ = errors.problem_of(request, error)
        yield event("error", json.dumps({"detail": problem.detail}))
