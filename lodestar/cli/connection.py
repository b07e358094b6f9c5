"""The options and the connection of commands that call a running service."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from lodestar.cli.completion import job_ids
from lodestar.http.connection import DEFAULT_URL as DEFAULT_URL

if TYPE_CHECKING:
    from lodestar.client import Client

Url = Annotated[str, typer.Option(envvar="LODESTAR_URL", help="Address of the service.")]
JobId = Annotated[str, typer.Argument(help="Id of the job.", autocompletion=job_ids())]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, as the API has it.")]


@contextmanager
def connected(url: str) -> Iterator["Client"]:
    """A client of the service, with the key in LODESTAR_KEY if that is set.

    The key is not an option: every user of the machine sees the words of a command line.
    """
    from lodestar.client import Client

    with Client(url) as client:
        yield client
