"""The options and the connection of commands that call a running service."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from app.client.jobs import Client

Url = Annotated[str, typer.Option(envvar="LODESTAR_URL", help="Address of the service.")]
JobId = Annotated[str, typer.Argument(help="Id of the job.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, as the API has it.")]

DEFAULT_URL = "http://127.0.0.1:8000"


@contextmanager
def connected(url: str) -> Iterator["Client"]:
    """A client of the service, with the key in LODESTAR_KEY if that is set."""
    from app.client.jobs import Client

    # Not an option: every user of the machine sees the words of a command line.
    with Client(url, key=os.environ.get("LODESTAR_KEY")) as client:
        yield client
