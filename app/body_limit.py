"""Refuse request bodies that are too long, before they are in memory."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import TOO_LARGE


class BodyLimit:
    """ASGI middleware; whoever reads a body of more bytes gets an HTTPException instead."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        await self._app(scope, self._counting(receive, int(announced) if announced.isdecimal() else 0), send)

    def _counting(self, receive: Receive, announced: int) -> Receive:
        received = 0

        async def counted() -> Message:
            nonlocal received
            if announced > self._max_bytes:
                raise self._too_large()
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise self._too_large()
            return message

        return counted

    def _too_large(self) -> HTTPException:
        return HTTPException(TOO_LARGE, f"the body is longer than {self._max_bytes} bytes")
