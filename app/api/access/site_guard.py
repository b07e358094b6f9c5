"""The web pages whose requests may do work: this server's own, and those of allowed origins.

A browser sends requests on behalf of every open page, also to servers that only its user can reach. It states their
origin in headers that a page cannot set.
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
    """A page of another site makes a request that does more than read."""

    type = "cross_site"


class SiteGuard:
    """ASGI middleware; refuses requests of other sites' pages, unless they only read.

    Requests without these headers come from no browser, and pass.

    Args:
        app: the layer within.
        origins: of pages whose requests all pass; ``*`` for all.
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
        if "*" in self._origins or headers.get("origin") in self._origins:
            return False
        return not _is_of_own_page(headers)


def is_of_own_site(method: str, headers: Headers) -> bool:
    """Whether a request is this server's own page's, or, if it only reads, its user's: by a link or the address bar.

    Allowed origins do not count here: they may call, but not with the rights of whoever is logged in.
    """
    if method not in _SAFE and "sec-fetch-site" not in headers and "origin" not in headers:
        return False  # every browser that keeps a cookie says where such a request comes from
    return _is_of_own_page(headers) and (method in _SAFE or headers.get("sec-fetch-site") != "none")


def _is_of_own_page(headers: Headers) -> bool:
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    # The browser's own header is enough: a proxy may have changed Host.
    if site == "same-origin":
        return True
    if site not in {None, "none"}:
        return False
    return origin is None or _is_own(origin, headers.get("host", ""))


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
