"""Answers and logs every unhandled exception."""

import structlog
from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import handlers as errors

log = structlog.get_logger(__name__)


class FaultLayer:
    """ASGI middleware; turns an unhandled exception into an answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        has_begun = False

        async def sending(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception:
            if scope["type"] != "http":
                raise
            request = Request(scope)
            log.exception("request failed", method=request.method, path=request.url.path)
            if has_begun:
                # Half an answer is out already: only cutting the connection tells the client.
                raise
            await errors.internal(request)(scope, receive, send)
