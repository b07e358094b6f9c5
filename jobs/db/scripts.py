"""The atomic steps of a job's life: Lua scripts that Redis runs one at a time."""

from importlib.resources import files
from typing import Any

from redis import Redis
from redis.client import Pipeline

PREFIX = "lodestar:"
NAMES = (
    "expect",
    "submit",
    "quote",
    "claim",
    "renew",
    "commit",
    "release",
    "recover",
    "cancel",
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
)

SHARED = ("accounts.lua", "prelude.lua")
"""What stands before every script."""


class Scripts:
    """The scripts of ``jobs/lua``, each called by its name with its arguments after the prefix.

    A script that Redis forgot (after a restart) is sent again by redis-py.
    """

    def __init__(self, redis: Redis) -> None:
        folder = files("jobs.db") / "lua"
        prelude = "".join((folder / name).read_text() for name in SHARED)
        self._scripts = {
            name: redis.register_script(prelude + (folder / f"{name}.lua").read_text()) for name in NAMES
        }

    def __call__(self, name: str, *arguments: str | int | float) -> Any:
        """Run one script; see its file for arguments and answer."""
        return self._scripts[name](args=[PREFIX, *arguments])

    def queue(self, pipeline: Pipeline, name: str, *arguments: str | int | float) -> None:
        """Run one script as part of a pipeline, which returns its answer."""
        self._scripts[name](args=[PREFIX, *arguments], client=pipeline)
