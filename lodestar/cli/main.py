"""The ``lodestar`` command where only the client is installed."""

from lodestar.cli import program
from lodestar.cli.commands import absent

cli = program.program(*program.CLIENT, absent.commands)


def main() -> None:
    """Run the command; an error is one line on stderr."""
    program.run(cli)
