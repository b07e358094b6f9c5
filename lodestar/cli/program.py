"""What the ``lodestar`` command is, whichever commands it has."""

import os
import sys
from typing import Annotated

import typer

from jobs.errors import LodestarError
from lodestar.cli.commands import (
    embeddings,
    listings,
    looking,
    measuring,
    pictures,
    searching,
    verifying,
    watching,
)
from lodestar.cli.exits import Exit, say

DISTRIBUTIONS = ("lodestar", "lodestar-diffusion")  # with the service, and of the client alone
CLIENT = tuple(
    each.commands
    for each in (pictures, searching, embeddings, listings, looking, watching, verifying, measuring)
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
    from importlib.metadata import PackageNotFoundError, version

    for distribution in DISTRIBUTIONS:
        try:
            typer.echo(f"lodestar {version(distribution)}")
        except PackageNotFoundError:
            continue
        raise typer.Exit
    raise typer.Exit(Exit.ERROR)


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
