"""Spans of requests and of webhook messages, for OpenTelemetry."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobs.events.webhooks import Delivery
from jobs.tracing import SCOPE, context_of

_CONTEXT = (b"traceparent", b"tracestate")
# Asked every few seconds by machines.
_UNTRACED = frozenset({"/healthz", "/readyz", "/metrics"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class TraceLayer:
    """ASGI middleware; goes on with the trace of the caller, if it sends one. Bodies and headers are in no span."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] in _UNTRACED:
            await self._app(scope, receive, send)
            return
        carrier = {
            name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _CONTEXT
        }
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        attributes = {"http.request.method": method, "url.path": scope["path"], "url.scheme": scope["scheme"]}
        with trace.get_tracer(SCOPE).start_as_current_span(
            method, propagate.extract(carrier), SpanKind.SERVER, attributes
        ) as span:
            try:
                await self._app(scope, receive, _noting(span, send))
            finally:
                route = getattr(scope.get("route"), "path", None)
                if route is not None:
                    span.update_name(f"{method} {route}")
                    span.set_attribute("http.route", route)


def _noting(span: Span, send: Send) -> Send:
    async def noted(message: Message) -> None:
        if message["type"] == "http.response.start":
            span.set_attribute("http.response.status_code", message["status"])
            if message["status"] >= 500:
                span.set_status(Status(StatusCode.ERROR))
        await send(message)

    return noted


@contextmanager
def tracing_delivery(delivery: Delivery) -> Iterator[Span]:
    """The span of an attempt to deliver a webhook message, below its job's submission; without the address."""
    attributes: dict[str, str | int] = {
        "lodestar.job.id": delivery.job_id,
        "lodestar.webhook.message": delivery.message_id,
        "lodestar.webhook.event": str(delivery.event),
        "lodestar.webhook.attempt": delivery.attempt,
    }
    with trace.get_tracer(SCOPE).start_as_current_span(
        "deliver webhook",
        context_of(delivery.trace),
        SpanKind.CLIENT,
        attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        yield span


def note_outcome(span: Span, outcome: str, reason: str = "") -> None:
    """Note what became of an attempt, and why it was not accepted."""
    span.set_attribute("lodestar.outcome", outcome)
    if reason:
        span.set_status(Status(StatusCode.ERROR, reason))
