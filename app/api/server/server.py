"""The server of HTTP, as the process and the tests run it."""

import asyncio
import socket
from typing import Any

import structlog
import uvicorn
from starlette.types import ASGIApp

from app.api.server.connections import Connection, Connections, Patience
from app.api.server.descriptors import MOST_CONNECTIONS
from app.api.server.listener import BACKLOG
from app.api.server.seldom import Seldom

log = structlog.get_logger(__name__)

# Without a free descriptor, asyncio fails as often in a row as it would accept, and logs each time.
_ACCEPTED_AT_ONCE = 16
_TICKS = 10  # a second of uvicorn's


def configured(
    app: ASGIApp, *, keep_alive_s: int = 75, stop_timeout_s: int = 5, **options: Any
) -> uvicorn.Config:
    """The configuration of uvicorn.

    Args:
        app: to serve.
        keep_alive_s: how long an idle connection is kept.
        stop_timeout_s: how long open requests may take to end when the server stops.
        options: further ones of uvicorn's.
    """
    ours: dict[str, Any] = {
        "http": Connection,
        "ws": "none",
        "proxy_headers": False,  # the app's own layer reads them, and more of them
        "backlog": _ACCEPTED_AT_ONCE,
        "log_config": None,
        "log_level": "warning",  # start, stop and every request have a line of ours
        "access_log": False,
        "server_header": False,
        "timeout_keep_alive": keep_alive_s,
        "timeout_graceful_shutdown": stop_timeout_s,
    }
    return uvicorn.Config(app, **ours | options)


class Server(uvicorn.Server):
    """uvicorn's server, with time limits for clients. At a stop, it first ends the waits of clients.

    Args:
        config: of uvicorn.
        stopping: set when it is about to stop.
        most_connections: open at a time.
        patience: time limits of clients.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        stopping: asyncio.Event | None = None,
        *,
        most_connections: int = MOST_CONNECTIONS,
        patience: Patience | None = None,
    ) -> None:
        super().__init__(config)
        self._stopping = stopping
        self._connections = Connections(most=most_connections, patience=patience or Patience())
        self.server_state = self._connections
        self._told = Seldom()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept."""
        asyncio.get_running_loop().set_exception_handler(self._on_loop_error)
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(
                BACKLOG
            )  # asyncio takes one number for what is accepted at once and for what may wait

    async def on_tick(self, counter: int) -> bool:
        """Do the periodic work; whether to stop."""
        if counter % _TICKS == 0:
            self._connections.close_overdue(asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop."""
        if self._stopping is not None:
            self._stopping.set()
        await super().shutdown(sockets)

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "accept()" not in context.get("message", ""):
            loop.default_exception_handler(context)
        elif self._told.is_due():
            log.error("no connection can be accepted", reason=str(context.get("exception")))
