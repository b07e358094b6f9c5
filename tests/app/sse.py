"""A reader of server-sent events that follows the specification as far as our streams use it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass
class Message:
    """One event as it came over the wire."""

    event: str = "message"
    data: Any = None
    id: str | None = None


@dataclass
class Reader:
    """A client that reconnects where it left off, as a browser does."""

    http: httpx.Client
    path: str
    last_id: str | None = None
    seen: list[Message] = field(default_factory=list)

    def read(self, most: int = 10**9) -> int:
        """Connect, read up to ``most`` events, and hang up; the status code of the answer."""
        headers = {} if self.last_id is None else {"Last-Event-ID": self.last_id}
        with self.http.stream("GET", self.path, headers=headers) as answer:
            if answer.status_code == 200:
                for message in messages(answer.iter_lines()):
                    self.seen.append(message)
                    self.last_id = message.id or self.last_id
                    most -= 1
                    if most <= 0:
                        break
            return answer.status_code

    @property
    def names(self) -> list[str]:
        """Names of the events so far."""
        return [message.event for message in self.seen]


def messages(lines: Iterator[str]) -> Iterator[Message]:
    """The events that lines hold; comments are left out."""
    message = Message()
    for line in lines:
        name, _, value = line.partition(": ")
        if not line:
            if message.data is not None:
                yield message
            message = Message()
        elif name == "event":
            message.event = value
        elif name == "id":
            message.id = value
        elif name == "data":
            message.data = json.loads(value)
