"""The ``lodestar`` command: starts the service's processes, and talks to a running service."""

import os
import sys
from typing import Annotated

import typer

from app.cli.commands import (
    assets,
    embeddings,
    keys,
    listings,
    measuring,
    pictures,
    processes,
    searching,
    secrets,
    watching,
)
from app.cli.exits import Exit, say
from jobs.errors import LodestarError

cli = typer.Typer(
    name="lodestar",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
cli.add_typer(processes.commands)
for group in (pictures, searching, embeddings, keys, listings, watching, measuring, assets, secrets):
    cli.add_typer(group.commands)


@cli.callback()
def options(
    no_color: Annotated[
        bool, typer.Option("--no-color", help="No colours, as with NO_COLOR=1 in the environment.")
    ] = False,
) -> None:
    """CLIP-guided image generation as a service."""
    if no_color:
        os.environ["NO_COLOR"] = "1"


def main() -> None:
    """Run the command; an error is one line on stderr."""
    try:
        cli()
    except LodestarError as error:
        say(f"lodestar: {error.message}")
        sys.exit(Exit.ERROR)
