"""The names by which clients may call this server.

A page of another site can point its own name at this machine (DNS rebinding). The browser then takes this server for
the page's own. ``Host`` shows that name.
"""

import re
import socket
from collections.abc import Iterable
from ipaddress import ip_address

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.problems import handlers as errors
from jobs.errors import LodestarError

_HOST = re.compile(r"(?:\[(?P<literal>[^\[\]]*)\]|(?P<name>[^:\[\]]*))(?::[0-9]*)?")


class HostNotAllowedError(LodestarError):
    """The request calls this server by a name that is not its own."""

    type = "host_not_allowed"


class HostGuard:
    """ASGI middleware; refuses requests whose Host is none of this server's names.

    Those are ``localhost`` and names under it, every IP address, this machine's own names, and ``allowed``: names,
    ``*.example.com`` for all names under one, or ``*`` for any.
    """

    def __init__(self, app: ASGIApp, *, allowed: Iterable[str]) -> None:
        self._app = app
        names = {name.lower().rstrip(".") for name in (*allowed, "localhost", "*.localhost", *_own_names())}
        self._any = "*" in names
        self._names = frozenset(name for name in names if not name.startswith("*"))
        self._ends = tuple(name[1:] for name in names if name.startswith("*."))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        # HTTP/1.0 has no Host, and no browser speaks it.
        hosts = Headers(scope=scope).getlist("host") if scope["type"] == "http" else []
        foreign = next((host for host in hosts if not self.allows(host)), None)
        if foreign is None:
            await self._app(scope, receive, send)
            return
        error = HostNotAllowedError(
            f"this server is not known as {foreign[:100]!r}; its operator can allow the name in LODESTAR_ALLOWED_HOSTS"
        )
        await errors.refusal(Request(scope), error)(scope, receive, send)

    def allows(self, host: str) -> bool:
        """Whether a value of Host is allowed."""
        if self._any or not host:
            return True
        if (found := _HOST.fullmatch(host)) is None:
            return False
        if found["literal"] is not None:
            return _is_address(found["literal"])
        name = found["name"].lower().removesuffix(".")
        return name in self._names or name.endswith(self._ends) or _is_address(name)


def _own_names() -> tuple[str, ...]:
    """This machine's names: its own, its mDNS name, and the names that its containers use."""
    name = socket.gethostname()
    return name, f"{name.partition('.')[0]}.local", "host.docker.internal"


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
