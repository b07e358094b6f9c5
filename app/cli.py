"""The ``lodestar`` command: starts the service's processes, and talks to a running service."""

import sys

import typer

from app.commands import assets, pictures, processes
from app.commands.exits import Exit, say
from jobs.errors import LodestarError

cli = typer.Typer(
    name="lodestar",
    help="CLIP-guided image generation as a service.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
cli.add_typer(processes.commands)
cli.add_typer(pictures.commands)
cli.add_typer(assets.commands)


def main() -> None:
    """Run the command; an error is one line on stderr."""
    try:
        cli()
    except LodestarError as error:
        say(f"lodestar: {error.message}")
        sys.exit(Exit.ERROR)
