"""Server-sent events: their decoding, and how a stream that broke is taken up again."""

import json
import math
import time
from dataclasses import dataclass
from typing import Any

from lodestar.errors import ClientError
from lodestar.http.calls import SLOWEST_LOOK_S, job_path

SILENCE_S = 60.0  # of a stream, whose server sends something every 15 s
MEDIA_TYPE = "text/event-stream"


@dataclass(frozen=True)
class StreamedEvent:
    """One event of a stream, as ``GET /v1/events`` documents them."""

    name: str
    data: dict[str, Any]


class Reader:
    """What has come of a stream, over all of its connections.

    Attributes:
        path: of the stream.
        is_over: whether the final event has come.
    """

    def __init__(self, job_id: str | None, patience_s: float) -> None:
        """Begin with nothing; None follows all jobs, without end."""
        self.path = "/v1/events" if job_id is None else f"{job_path(job_id)}/events"
        self.is_over = False
        self._ends = job_id is not None
        self._patience_s = patience_s
        self._last_id = ""
        self._last_seen = -math.inf
        self._rest = b""
        self._clear()

    @property
    def headers(self) -> dict[str, str]:
        """Of the next connection, which goes on where the last one broke."""
        return {"Accept": MEDIA_TYPE, **({"Last-Event-ID": self._last_id} if self._last_id else {})}

    def connected(self) -> None:
        """A connection begins: half an event of the last one is void."""
        self._rest = b""
        self._clear()

    def feed(self, data: bytes) -> list[StreamedEvent]:
        """The events that are whole with these bytes."""
        self._last_seen = time.monotonic()
        # Only LF and CRLF end lines here: the JSON of an event may hold others, such as U+2028.
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [event for line in lines if (event := self._line(line.removesuffix(b"\r").decode()))]

    def pause_s(self, error: ClientError | None) -> float:
        """Seconds until the next connection.

        Raises:
            ClientError: the one given, if the server has been away too long.
        """
        if error is not None and time.monotonic() - self._last_seen > self._patience_s:
            raise error
        return max(SLOWEST_LOOK_S, getattr(error, "retry_after_s", None) or 0.0)

    def _line(self, line: str) -> StreamedEvent | None:
        if not line:
            return self._event()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._name = value
        elif name == "id":
            self._id = value
        return None

    def _event(self) -> StreamedEvent | None:
        name, data, self._last_id = self._name, "\n".join(self._data), self._id or self._last_id
        self._clear()
        if not data:
            return None  # a comment, or how long to wait before another connection
        self.is_over = self._ends and name in {"done", "deleted"}
        return StreamedEvent(name, json.loads(data))

    def _clear(self) -> None:
        self._name, self._id = "message", ""
        self._data: list[str] = []
