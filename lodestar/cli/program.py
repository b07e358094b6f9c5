"""What the ``lodestar`` command is, whichever commands it has."""

import os
import sys
from typing import Annotated

import typer

from jobs.errors import LodestarError
from lodestar.cli.commands import (
    changing,
    embeddings,
    fleet,
    listings,
    looking,
    measuring,
    nights,
    pictures,
    searching,
    verifying,
    watching,
)
from lodestar.cli.exits import Exit, say

CLIENT = (
    pictures.commands,
    nights.commands,
    nights.group,
    *(
        each.commands
        for each in (
            searching,
            embeddings,
            listings,
            changing,
            looking,
            fleet,
            watching,
            verifying,
            measuring,
        )
    ),
)


def program(*groups: typer.Typer) -> typer.Typer:
    """The command with these groups of commands."""
    cli = typer.Typer(
        name="lodestar",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for group in groups:
        cli.add_typer(group)
    cli.callback()(_options)
    return cli


def _tell_version(wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import PackageNotFoundError

    from jobs.distribution import own_version

    try:
        typer.echo(f"lodestar {own_version()}")
    except PackageNotFoundError as error:
        raise typer.Exit(Exit.ERROR) from error
    raise typer.Exit


def _options(
    no_color: Annotated[
        bool, typer.Option("--no-color", help="No colours, as with NO_COLOR=1 in the environment.")
    ] = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version, and nothing else.", callback=_tell_version, is_eager=True
        ),
    ] = False,
) -> None:
    """CLIP-guided image generation as a service."""
    if no_color:
        os.environ["NO_COLOR"] = "1"


def run(cli: typer.Typer) -> None:
    """Run the command; an error is one line on stderr."""
    try:
        cli()
    except LodestarError as error:
        say(f"lodestar: {error.message}")
        sys.exit(Exit.ERROR)
