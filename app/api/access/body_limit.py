"""Limits on the size and the time of request bodies, checked before a body is in memory."""

import asyncio
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems.kind import TIMED_OUT, TOO_LARGE
from app.api.proxies import own_path

BODY_PATIENCE_S = 30.0
LEAST_BYTES_PER_S = 500.0  # on average: no connection is slower, and a byte now and then is no progress


class BodyLimit:
    """ASGI middleware; reading a body of more bytes raises an HTTPException.

    Forms with files go to disk, and so do pictures that are sent as they are: under some paths they may be longer than
    other bodies, which are held in memory. A
    body that pauses for ``patience_s`` seconds, or is slower than a trickle after that time, raises an HTTPException
    too.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_bytes: int,
        max_upload_bytes: int,
        upload_paths: tuple[str, ...],
        raw_upload_paths: tuple[str, ...] = (),
        patience_s: float = BODY_PATIENCE_S,
    ) -> None:
        self._app = app
        self._paths = {"multipart/form-data": upload_paths, "image/": raw_upload_paths}
        self._max_bytes = max_bytes
        self._max_upload_bytes = max_upload_bytes
        self._patience_s = patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        announced = headers.get("content-length", "")
        kind, path = headers.get("content-type", "").lower(), own_path(scope)
        is_upload = any(kind.startswith(each) and path.startswith(self._paths[each]) for each in self._paths)
        most = self._max_upload_bytes if is_upload else self._max_bytes
        length = int(announced) if announced.isdecimal() else 0
        await self._app(scope, _Body(receive, length, most, self._patience_s).receive, send)


@dataclass
class _Body:
    """One body on its way."""

    source: Receive
    announced: int
    most: int
    patience_s: float
    received: int = 0
    waited_s: float = 0.0
    is_complete: bool = False

    async def receive(self) -> Message:
        """The next part; afterwards, when the client has left."""
        if self.is_complete:
            return await self.source()
        self._require_room(self.announced)
        message = await self._next()
        self.received += len(message.get("body", b""))
        self._require_room(self.received)
        self.is_complete = not message.get("more_body", False)
        return message

    async def _next(self) -> Message:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        # Only the client's share of the time counts, not what the route takes between two parts.
        left_s = self.patience_s + self.received / LEAST_BYTES_PER_S - self.waited_s
        try:
            async with asyncio.timeout(min(self.patience_s, left_s)):
                return await self.source()
        except TimeoutError as error:
            # The rest may come at any time, and would be taken for the next request.
            headers = {"Connection": "close"}
            raise HTTPException(TIMED_OUT, "the body has not come in time", headers) from error
        finally:
            self.waited_s += loop.time() - begun

    def _require_room(self, length: int) -> None:
        if length > self.most:
            raise HTTPException(TOO_LARGE, f"the body is longer than {self.most} bytes")
