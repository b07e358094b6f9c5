"""Refuse request bodies that are too long, before they are in memory."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.error_kinds import TOO_LARGE


class BodyLimit:
    """ASGI middleware; whoever reads a body of more bytes gets an HTTPException instead.

    A form with files goes to disk as it comes, so under some paths it may be longer than other bodies, which are held
    in memory.
    """

    def __init__(
        self, app: ASGIApp, *, max_bytes: int, max_upload_bytes: int, upload_paths: tuple[str, ...]
    ) -> None:
        self._app = app
        self._upload_paths = upload_paths
        self._max_bytes = max_bytes
        self._max_upload_bytes = max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        announced = headers.get("content-length", "")
        is_form = headers.get("content-type", "").lower().startswith("multipart/form-data")
        is_upload = is_form and scope["path"].startswith(self._upload_paths)
        counted = _counting(
            receive,
            int(announced) if announced.isdecimal() else 0,
            self._max_upload_bytes if is_upload else self._max_bytes,
        )
        await self._app(scope, counted, send)


def _counting(receive: Receive, announced: int, most: int) -> Receive:
    received = 0

    async def counted() -> Message:
        nonlocal received
        if announced > most:
            raise _too_large(most)
        message = await receive()
        received += len(message.get("body", b""))
        if received > most:
            raise _too_large(most)
        return message

    return counted


def _too_large(most: int) -> HTTPException:
    return HTTPException(TOO_LARGE, f"the body is longer than {most} bytes")
