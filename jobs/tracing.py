"""Where a job's submission stands in a trace, kept with the job so that its executions can go on from there.

Without a configured SDK of OpenTelemetry (see ``jobs.telemetry``) there is no trace, and nothing is kept.
"""

import json
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from opentelemetry import context, propagate, trace
from opentelemetry.trace import SpanKind

SCOPE = "lodestar"
MOST_CHARS = 1024
_P = ParamSpec("_P")
_T = TypeVar("_T")


def current_trace() -> str:
    """The place of the present span, as JSON of W3C's ``traceparent`` and ``tracestate``; empty without one."""
    if not trace.get_current_span().get_span_context().is_valid:
        return ""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    kept = {name: carrier[name] for name in ("traceparent", "tracestate") if name in carrier}
    whole = json.dumps(kept)
    return whole if len(whole) <= MOST_CHARS else json.dumps({"traceparent": kept["traceparent"]})


def context_of(place: str) -> context.Context:
    """The context of what ``current_trace`` has returned."""
    return propagate.extract(json.loads(place) if place else {}, context=context.Context())


SENDING = {
    "messaging.system": "redis",
    "messaging.operation.type": "send",
    "messaging.operation.name": "send",
    "messaging.destination.name": "lodestar",
}


def traced_sending(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Decorate what sends a job to the queue: each call is a span."""

    @wraps(function)
    def spanned(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        tracer = trace.get_tracer(SCOPE)
        with tracer.start_as_current_span("send lodestar", kind=SpanKind.PRODUCER, attributes=SENDING):
            return function(*args, **kwargs)

    return spanned
