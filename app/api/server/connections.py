"""Connections of clients: unused ones are closed, and their number is bounded.

uvicorn closes a connection that was idle after an answer, and nothing else. Here one is also closed when the head of a
request does not come, when what is left of a body that nobody reads does not end, and when an answer is not taken.
"""

import asyncio
from dataclasses import dataclass

import h11
import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from app.api.access.security_headers import DEFAULTS
from app.api.server.seldom import Seldom

log = structlog.get_logger(__name__)

_REASONS = {400: b"Bad Request", 503: b"Service Unavailable"}


@dataclass(frozen=True)
class Patience:
    """Time limits of clients, in seconds."""

    head_s: float = 20.0
    """From the connection, or the first byte, to the end of a request's head."""
    reader_s: float = 60.0
    """Without taking anything of an answer."""


class Connections(ServerState):
    """All connections of the server, and those that may be closed."""

    def __init__(self, *, most: int, patience: Patience) -> None:
        super().__init__()
        self.most = most
        self.patience = patience
        self.idle: dict[Connection, None] = {}
        """Those without a request, the one that has been so for the longest first."""
        self._told = Seldom()

    def admit(self, newcomer: "Connection") -> None:
        """Count a new connection; beyond the limit, close an idle one, or else the new one."""
        if len(self.connections) <= self.most:
            return
        if self._told.is_due():
            log.warning("too many connections", most=self.most)
        # One that still sends the end of its answer is not idle, though no request is left.
        spare = next((each for each in self.idle if not each.transport.get_write_buffer_size()), newcomer)
        if spare is newcomer:
            newcomer.refuse(503, "too many connections; try again later")
        else:
            spare.cut()

    def close_overdue(self, now: float) -> None:
        """Cut every connection beyond its time limit; ``now`` is the loop's time."""
        for connection in list(self.connections):
            if isinstance(connection, Connection) and connection.is_overdue(now):
                connection.cut()


class Connection(H11Protocol):
    """One connection. The methods of asyncio's and uvicorn's are overridden to watch what the client does."""

    server_state: Connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._owes_since: float | None = self.loop.time()
        self._unread = 0
        self._unread_since = self._owes_since
        self.server_state.idle[self] = None
        self.server_state.admit(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.server_state.idle.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self.server_state.idle.pop(self, None)
        if not self._owes_something():
            self._owes_since = None
        elif self._owes_since is None:
            self._owes_since = self.loop.time()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete and not self.transport.is_closing():  # no request waited behind it
            self.server_state.idle[self] = None

    def resume_writing(self) -> None:
        self._unread = 0  # most of it was taken
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        self.refuse(400, msg)

    def is_overdue(self, now: float) -> bool:
        """Whether the client has exceeded a time limit."""
        patience = self.server_state.patience
        if self._owes_since is not None and now - self._owes_since > patience.head_s:
            return True
        unread = self.transport.get_write_buffer_size()
        if not unread or unread < self._unread or not self._unread:
            self._unread_since = now
        self._unread = unread
        return now - self._unread_since > patience.reader_s

    def refuse(self, status: int, reason: str) -> None:
        """Answer in one line before the app has a request, and close."""
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            body = f"{reason}\n".encode()
            of_the_body = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body))}
            headers = {**DEFAULTS, **of_the_body, "Connection": "close"}
            encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
            head = h11.Response(
                status_code=status,
                headers=[*self.server_state.default_headers, *encoded],
                reason=_REASONS[status],
            )
            for event in (head, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.server_state.idle.pop(self, None)
        self.transport.close()

    def cut(self) -> None:
        """Close it at once, without sending the rest."""
        self.server_state.idle.pop(self, None)
        self.transport.abort()

    def _owes_something(self) -> bool:
        """Whether the client owes something that no other time limit covers."""
        is_left_over = self.conn.their_state is h11.SEND_BODY and self.conn.our_state is h11.DONE
        return self.conn.their_state is h11.IDLE or is_left_over
