"""Clients of Redis that tell how long each call takes, for the metrics of a process."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import NoScriptError

from jobs.db.scripts import name_of

NoteCall = Callable[[str, float, bool], None]
"""Notes a call: the name of its script or its command, its seconds with those of waiting, and whether it failed."""

PIPELINE = "pipeline"


def _ignore(name: str, seconds: float, failed: bool) -> None:
    del name, seconds, failed


@contextmanager
def _timing(note: NoteCall, name: str) -> Iterator[None]:
    began, failed = time.perf_counter(), True
    try:
        yield
        failed = False
    except NoScriptError:  # the script is sent, and called again
        failed = False
        raise
    finally:
        note(name, time.perf_counter() - began, failed)


class TimedRedis(Redis):
    """A client. A pipeline is one call, by the name of its first script."""

    note: NoteCall = staticmethod(_ignore)

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """As the client; timed."""
        with _timing(self.note, name_of(args)):
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]  # of redis-py

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Pipeline:
        """As of the client; timed."""
        pipeline = _TimedPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        pipeline.note = self.note
        return pipeline


class _TimedPipeline(Pipeline):
    note: NoteCall = staticmethod(_ignore)

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        scripts = (name_of(command) for command, _ in self.command_stack if command[0] == "EVALSHA")
        with _timing(self.note, next(scripts, PIPELINE)):
            return super().execute(raise_on_error)
