"""The commands that start the service, where it is not installed."""

from collections.abc import Callable

import typer

from lodestar.cli.exits import Exit, say

commands = typer.Typer()
NAMES = ("up", "demo", "serve", "worker")


def _absent(name: str) -> Callable[[], None]:
    def explain() -> None:
        """Needs the service, which is not installed here; says how to install it."""
        say(
            f"lodestar: {name} needs the service, and only its client is installed here. In a checkout of the project, "
            "run: make up"
        )
        raise typer.Exit(Exit.ERROR)

    return explain


for _name in NAMES:
    commands.command(_name, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(
        _absent(_name)
    )
