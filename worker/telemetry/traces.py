"""Spans of executions: one for each, below the span of the submission, whose parts are below it.

An execution that dies with its worker leaves no span of its own; the next one of its job shows when it was begun.
Names and attributes follow OpenTelemetry's conventions for messaging.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode

from jobs.queue.leases import Lease
from jobs.requests.request import ResolvedRequest
from jobs.status.job import JobStatus
from jobs.tracing import SCOPE, context_of
from worker.engine.work import Work


class ExecutionTraces:
    """The spans of the executions under way; any thread may add to them. Without an SDK, they cost next to nothing."""

    def __init__(self, worker: str = "") -> None:
        """Start without any; ``worker`` is the name of this one."""
        self._worker = worker
        self._spans: dict[str, Span] = {}
        self._lock = threading.Lock()

    def begin(self, lease: Lease) -> None:
        """Begin the span of an execution."""
        place = context_of(lease.trace)
        sent = trace.get_current_span(place).get_span_context()
        request = lease.request
        attributes: dict[str, str | int | bool] = {
            "messaging.system": "redis",
            "messaging.operation.type": "process",
            "messaging.operation.name": "process",
            "messaging.destination.name": "lodestar",
            "messaging.message.id": lease.job_id,
            "messaging.client.id": self._worker,
            "lodestar.job.id": lease.job_id,
            "lodestar.job.fence": lease.fence,
            "lodestar.job.alone": lease.alone,
            "lodestar.model": request.model,
            "lodestar.priority": str(request.priority),
        }
        if isinstance(request, ResolvedRequest):
            attributes |= {"lodestar.images": request.num_images, "lodestar.steps": request.steps}
        span = trace.get_tracer(SCOPE).start_span(
            "process lodestar",
            place,
            SpanKind.CONSUMER,
            attributes,
            links=[Link(sent)] if sent.is_valid else [],
        )
        with self._lock:
            self._spans[lease.artifact_prefix] = span

    @contextmanager
    def part(self, lease: Lease, name: str) -> Iterator[None]:
        """A span of a part of the execution, if that is under way."""
        with self.part_of(lease.artifact_prefix, name):
            yield

    @contextmanager
    def part_of(self, key: str, name: str) -> Iterator[None]:
        """Likewise for the execution that a file of the artifact store belongs to, by the file's key."""
        with self._lock:
            span = self._spans.get("/".join(key.split("/", 2)[:2]))
        if span is None:
            yield
            return
        with trace.get_tracer(SCOPE).start_as_current_span(name, trace.set_span_in_context(span)):
            yield

    def end(self, lease: Lease, work: Work | None, status: JobStatus | str) -> None:
        """End the span of an execution, with spans of the kinds of model calls that it has made."""
        with self._lock:
            span = self._spans.pop(lease.artifact_prefix, None)
        if span is None:
            return
        if work is not None and span.is_recording():
            span.set_attribute("lodestar.units", work.cost)
            _add_phases(span, work)
        span.set_attribute("lodestar.outcome", str(status))
        if status == JobStatus.FAILED:
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    def close(self) -> None:
        """End the spans of all executions that were released."""
        with self._lock:
            spans, self._spans = list(self._spans.values()), {}
        for span in spans:
            span.set_attribute("lodestar.outcome", "released")
            span.end()


def _add_phases(span: Span, work: Work) -> None:
    place = trace.set_span_in_context(span)
    for name, phase in list(work.phases.items()):
        part = trace.get_tracer(SCOPE).start_span(
            name,
            place,
            attributes={"lodestar.calls": phase.calls, "lodestar.rows": phase.rows},
            start_time=phase.first_ns,
        )
        part.end(min(phase.last_ns, time.time_ns()))
