"""The headers of a proxy in front of this server: the scheme, the client, its user, and the prefix of a request."""

from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from jobs.status import links

_MAPPED = "::ffff:"
_BY_PROXY = "lodestar.by_proxy"
# Whom a proxy has logged in; from anyone else they would be a claim.
_OF_USERS = frozenset({b"x-forwarded-user", b"x-forwarded-groups"})


def own_path(scope: Scope) -> str:
    """The path of a request without the service's prefix, as routes know it."""
    # Starlette lets root_path grow with each mount, and keeps the first one apart.
    prefix: str = scope.get("app_root_path", scope.get("root_path", ""))
    return str(scope["path"]).removeprefix(prefix)


def address_of(scope: Scope) -> str | None:
    """The address of a request's client; None if it is only known that it came by a trusted proxy."""
    client = scope.get("client")
    return None if client is None or scope.get(_BY_PROXY) else str(client[0])


class ProxyLayer:
    """ASGI middleware; puts every request, and all paths that are written for it, under the service's prefix.

    The prefix is ``X-Forwarded-Prefix`` of a trusted proxy, else ``root_path``. The proxy may have stripped it from the
    path or not. ``X-Forwarded-Proto`` and ``X-Forwarded-For`` of a trusted proxy count likewise. What another peer
    says of its user, in ``X-Forwarded-User`` and ``X-Forwarded-Groups``, is dropped.

    Args:
        app: the layer within.
        root_path: the prefix that the operator has set; empty for none.
        trusted: addresses and networks of proxies, with commas between; ``*`` trusts everyone.
    """

    def __init__(self, app: ASGIApp, *, root_path: str, trusted: str) -> None:
        self._root_path = root_path
        self._believing = ProxyHeadersMiddleware(app, trusted_hosts=trusted)  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            scope["client"] = _unmapped(scope.get("client"))
            if not self._is_trusted(scope):
                scope["headers"] = [pair for pair in scope["headers"] if pair[0] not in _OF_USERS]
            elif not self._believing.trusted_hosts.always_trust:
                scope[_BY_PROXY] = "x-forwarded-for" not in Headers(scope=scope)
            prefix = self._prefix(scope)
            _place(scope, prefix)
            with links.placed_under(prefix):
                await self._believing(scope, receive, send)  # type: ignore[arg-type]
        else:
            await self._believing(scope, receive, send)  # type: ignore[arg-type]

    def _prefix(self, scope: Scope) -> str:
        if self._is_trusted(scope):
            # Each of several proxies may add the prefix that it stripped, the outermost first.
            said = ",".join(Headers(scope=scope).getlist("x-forwarded-prefix")).split(",")
            prefix = "".join(part.strip().rstrip("/") for part in said)
            if links.is_prefix(prefix):
                return prefix
        return self._root_path

    def _is_trusted(self, scope: Scope) -> bool:
        peer = scope["client"][0] if scope["client"] else None
        return peer in self._believing.trusted_hosts


def _place(scope: Scope, prefix: str) -> None:
    """Let the path begin with the prefix, and say so, as ASGI wants it."""
    path: str = scope["path"]
    if prefix and path != prefix and not path.startswith(f"{prefix}/"):
        scope["path"] = prefix + path
        if raw := scope.get("raw_path"):
            scope["raw_path"] = prefix.encode() + raw
    scope["root_path"] = prefix


def _unmapped(client: Any) -> Any:
    """A client that came by IPv4 to a socket of both families is known by its own address."""
    if client and client[0].startswith(_MAPPED) and "." in client[0]:
        return (client[0].removeprefix(_MAPPED), client[1])
    return client
