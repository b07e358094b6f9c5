"""The ``lodestar`` script of the client's distribution, whose command line is optional."""

import sys


def main() -> None:
    """Run the command, or say which packages it needs."""
    try:
        from lodestar.cli.main import main as run

        run()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"rich", "typer"}:
            raise
        sys.exit("lodestar: the command line needs two more packages: pip install typer rich")
