"""What this process tells the command that started it: one JSON object a line, on stdout.

`say` has a sentence for people, `progress` the bytes of a file so far, `found` the result, and `failed` an error: the
last line is one of these two.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from jobs.errors import LodestarError

EVERY_S = 0.2  # between two lines of progress of a file

Progress = Callable[[str, int, int], None]  # name of a file, bytes that are there, bytes in all


def tell(event: str, **fields: Any) -> None:
    """Write a line."""
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """Tell a sentence."""
    tell("say", text=text)


class Progresses:
    """Tells the progress of files, of each at most every ``EVERY_S`` and at its end."""

    def __init__(self) -> None:
        self._told = 0.0

    def __call__(self, name: str, done: int, total: int) -> None:
        """Tell how much of a file is there."""
        now = time.monotonic()
        if done >= total or now - self._told >= EVERY_S:
            self._told = now
            tell("progress", file=name, done=done, total=total)


@contextmanager
def told_failures() -> Iterator[None]:
    """End the process with one line about an error that has a meaning."""
    try:
        yield
    except LodestarError as error:
        tell("failed", message=" ".join(error.message.split()), type=error.type)
        sys.exit(1)
