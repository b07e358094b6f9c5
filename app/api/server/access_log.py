"""Every request gets an id, a log line and a latency."""

import re
import secrets
import time

import structlog
from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.operation.metrics import Metrics
from app.api.proxies import own_path
from jobs.callers.identity import Identity

log = structlog.get_logger(__name__)

# The form of a caller's own request id: it goes into headers and logs.
_CALLERS_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Probes, pages and waiting clients repeat these: a good answer is not worth a line.
_POLLED = frozenset(
    {
        "/healthz",
        "/readyz",
        "/metrics",
        "/v1/queue",
        "/v1/jobs",
        "/v1/jobs/{job_id}",
        "/v1/jobs/{job_id}/previews/{index}",
        "/v1/predictions/{job_id}",
        "/sdapi/v1/progress",
    }
)
_FILES = ("/dashboard/", "/reference/")
# Answers that last as long as the client listens: their time is no measure of the server's speed.
_STREAMS = frozenset({"/v1/events", "/v1/jobs/{job_id}/events"})


class AccessLayer:
    """ASGI middleware, outside every layer that may refuse a request."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        given = request.headers.get("x-request-id", "")
        request.state.request_id = given if _CALLERS_ID.fullmatch(given) else secrets.token_hex(8)
        exchange = _Exchange(request, send)
        with structlog.contextvars.bound_contextvars(request_id=request.state.request_id):
            try:
                await self._app(scope, receive, exchange.send)
            finally:
                self._record(exchange)

    def _record(self, exchange: "_Exchange") -> None:
        request, status = (
            exchange.request,
            exchange.status or 499,
        )  # the client left before there was an answer
        seconds = time.perf_counter() - exchange.started
        route = getattr(request.scope.get("route"), "path", "unmatched")
        if route not in _STREAMS:
            self._metrics.observe_request(request.method, route, status, seconds)
        if (reason := getattr(request.state, "rejection", None)) is not None:
            self._metrics.count_rejection(reason)
        fields = {"job": job} if (job := _job_id(request)) else {}
        polled = route in _POLLED or own_path(request.scope).startswith(_FILES)
        is_routine = polled and request.method in {"GET", "HEAD"} and status < 400
        fields |= _sender(request)
        write = log.debug if is_routine else log.info
        facts = {"status": status, "ms": round(seconds * 1000, 1), **fields}
        write("request", method=request.method, path=request.url.path, **facts)


class _Exchange:
    """One request and its answer so far."""

    def __init__(self, request: Request, send: Send) -> None:
        self.request = request
        self.status: int | None = None
        self.started = time.perf_counter()
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)["x-request-id"] = self.request.state.request_id
        await self._send(message)


def _sender(request: Request) -> dict[str, str]:
    """The sender's tenant and the id of its key, if it has one."""
    identity: Identity | None = getattr(request.state, "identity", None)
    if identity is None or identity.key_id is None:
        return {}
    return {"tenant": identity.tenant, "key": identity.key_id}


def _job_id(request: Request) -> str | None:
    in_path: str | None = request.path_params.get("job_id")
    return in_path or getattr(request.state, "job_id", None)
