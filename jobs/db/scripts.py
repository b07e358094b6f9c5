"""The atomic steps of a job's life: Lua scripts that Redis runs one at a time."""

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import NoScriptError

from jobs.errors import QueueUnavailableError

PREFIX = "{lodestar}:"
"""Of every key, RQ's too. In a cluster the word in braces alone decides where a key lies: all of them in one slot,
since nearly every script touches most indexes."""
RQ_PREFIX = "{lodestar}:rq"
EARLIER_PREFIX = "lodestar:"
EARLIER_TICKETS = "rq:queue:lodestar"
"""Of versions before all keys lay in one slot: see ``migration``."""
NAMES = (
    "expect",
    "submit",
    "quote",
    "claim",
    "renew_many",
    "commit",
    "release",
    "recover",
    "cancel",
    "prioritize",
    "delete",
    "weigh",
    "announce",
    "note",
    "remark",
    "show",
    "reject",
    "keep",
    "deliver",
    "delivered",
    "keep_upload",
    "drop_upload",
    "expire_uploads",
    "migrate",
    "archive",
    "night_begin",
    "night_reserve",
    "night_submitted",
    "night_settle",
    "night_move",
    "night_forget",
)

REPLICAS_MS = 1000

Argument = str | int | float | bytes

SHARED = ("accounts.lua", "prelude.lua")
"""What stands before every script."""


@cache
def _texts() -> dict[str, str]:
    """The text of each script by its name. Read once: a process has many ends of the queue."""
    folder = files("jobs.db") / "lua"
    prelude = "".join((folder / name).read_text() for name in SHARED)
    return {name: prelude + (folder / f"{name}.lua").read_text() for name in NAMES}


@cache
def _names() -> dict[str, str]:
    """The name of each script by its digest, by which Redis is asked to run it."""
    return {
        hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(): name
        for name, text in _texts().items()
    }


def name_of(command: Sequence[Any]) -> str:
    """The name of the script that a command runs, or the command's own, in lower case."""
    name = str(command[0]).lower()
    return _names().get(str(command[1]), name) if name == "evalsha" else name.partition(" ")[0]


class Scripts:
    """The scripts of ``jobs/lua``, each called by its name with its arguments after the prefix.

    A script that Redis forgot (after a restart) is sent again by redis-py.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._scripts = {name: redis.register_script(text) for name, text in _texts().items()}

    def __call__(self, name: str, *arguments: Argument) -> Any:
        """Run one script; see its file for arguments and answer. Its one key is for a cluster, to find the node."""
        return self._scripts[name](keys=[PREFIX], args=[PREFIX, *arguments])

    def durably(self, replicas: int, name: str, *arguments: Argument) -> Any:
        """Run one script, and wait until so many replicas have what it wrote; errors as for ``and_read``."""
        return (
            self.and_read(lambda _: None, replicas, name, *arguments)[0]
            if replicas
            else self(name, *arguments)
        )

    def and_read(
        self, ask: Callable[[Pipeline], object], replicas: int, name: str, *arguments: Argument
    ) -> tuple[Any, list[Any]]:
        """Run one script, wait until so many replicas have what it wrote, and read: all in one round trip.

        Args:
            ask: adds the commands that read to a pipeline.
            replicas: how many.
            name: of the script.
            arguments: of the script, after the prefix.

        Returns:
            The answer of the script, and those of the commands.

        Raises:
            QueueUnavailableError: the replicas did not have it in a second. It may be there all the same.
        """
        script = self._scripts[name]
        answers = self._in_one(script.sha, arguments, replicas, ask)
        if isinstance(answers[0], NoScriptError):
            self._redis.script_load(script.script)
            answers = self._in_one(script.sha, arguments, replicas, ask)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        reached = answers.pop(1) if replicas else 0
        if reached < replicas:
            raise QueueUnavailableError(
                f"{reached} replicas of Redis have the job, and {replicas} should; send it again with the same "
                "idempotency key"
            )
        return answers[0], answers[1:]

    def _in_one(
        self, sha: str, arguments: Sequence[Argument], replicas: int, ask: Callable[[Pipeline], object]
    ) -> list[Any]:
        # WAIT is about the writes of its own connection.
        with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.evalsha(sha, 1, PREFIX, PREFIX, *arguments)
            if replicas:
                pipeline.wait(replicas, REPLICAS_MS)
            ask(pipeline)
            return pipeline.execute(raise_on_error=False)

    def queue(self, pipeline: Pipeline, name: str, *arguments: Argument) -> None:
        """Run one script as part of a pipeline, which returns its answer."""
        self._scripts[name](keys=[PREFIX], args=[PREFIX, *arguments], client=pipeline)
