"""HEAD for every route of GET."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadLayer:
    """ASGI middleware; answers HEAD as GET, without the body.

    A streamed answer, which may have no end, stops after its first part.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        answer = _Headers(send)
        scope["method"] = "GET"
        try:
            await self._app(scope, receive, answer.send)
        except Exception:
            if not answer.is_complete:
                raise
        finally:
            scope["method"] = "HEAD"  # the layers around this one record it


class _Headers:
    """Passes the head of an answer on and ends it there."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.is_complete = False

    async def send(self, message: Message) -> None:
        if self.is_complete:
            raise OSError("the client wants no body")  # which ASGI says when nobody listens
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        self.is_complete = True
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        if message.get("more_body"):
            raise OSError("the client wants no body")
