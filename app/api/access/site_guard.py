"""Which web pages may make this server work: its own, and those that the operator names.

A browser sends requests on behalf of any page that its reader has open, also to servers that only he can reach. It says
where they come from, in headers that a page cannot set.
"""

from collections.abc import Collection
from urllib.parse import urlsplit

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.problems import handlers as errors
from app.api.proxies import own_path
from jobs.errors import LodestarError

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
# Where GET, too, makes work: a worker reads the query.
WORKING_PATHS = frozenset({"/v1/search"})
_PORTS = {"http": ":80", "https": ":443"}


class CrossSiteError(LodestarError):
    """A page of another site asks for something that is not only reading."""

    type = "cross_site"


class SiteGuard:
    """ASGI middleware; refuses what pages of other sites ask for, unless it only reads.

    Requests that no browser made carry none of the headers, and are served.

    Args:
        app: the layer within.
        origins: of pages that may ask for everything; ``*`` for all.
    """

    def __init__(self, app: ASGIApp, *, origins: Collection[str]) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and _works(scope) and self._is_foreign(Headers(scope=scope)):
            await errors.refusal(Request(scope), _refused(Headers(scope=scope)))(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_foreign(self, headers: Headers) -> bool:
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        # What a browser says by itself is enough: a proxy may have changed Host.
        if site == "same-origin" or "*" in self._origins or origin in self._origins:
            return False
        if site not in {None, "none"}:
            return True
        return origin is not None and not _is_own(origin, headers.get("host", ""))


def _works(scope: Scope) -> bool:
    return scope["method"] not in _SAFE or own_path(scope).rstrip("/") in WORKING_PATHS


def _is_own(origin: str, host: str) -> bool:
    parts = urlsplit(origin.lower())
    port = _PORTS.get(parts.scheme, "")
    return bool(parts.netloc) and parts.netloc.removesuffix(port) == host.lower().removesuffix(port)


def _refused(headers: Headers) -> CrossSiteError:
    origin = headers.get("origin", "another site")[:100]
    return CrossSiteError(
        f"this comes from a page of {origin}, and this server is {headers.get('host', '')[:100]!r}; its operator can "
        "let pages of other sites in with LODESTAR_CORS_ORIGINS, and a proxy in front must pass Host on"
    )
