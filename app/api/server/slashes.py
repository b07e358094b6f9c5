"""A path with a slash too many, or one too few."""

from urllib.parse import quote

from fastapi.responses import RedirectResponse
from fastapi.routing import APIRouter
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from app.api.proxies import own_path


class SlashRedirect:
    """The answer without a route: a redirect to the route whose path differs by a final slash, if there is one.

    Starlette's own redirect names a host and a scheme, which it knows only from the request. This one names a path.
    """

    def __init__(self, router: APIRouter) -> None:
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path"].rstrip("/") if scope["path"].endswith("/") else f"{scope['path']}/"
        if own_path(scope) != "/" and not path.startswith("//") and self._has({**scope, "path": path}):
            query = scope["query_string"].decode("latin-1")
            target = quote(path) + (f"?{query}" if query else "")
            await RedirectResponse(target)(scope, receive, send)
        else:
            await self._router.not_found(scope, receive, send)

    def _has(self, scope: Scope) -> bool:
        return any(route.matches(scope)[0] is not Match.NONE for route in self._router.routes)
