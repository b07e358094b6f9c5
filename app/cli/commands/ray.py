"""Workers on a Ray cluster."""

import signal
from typing import Annotated

import typer

from lodestar.cli.exits import reassure, say

commands = typer.Typer(name="ray", help="Workers on a Ray cluster.")


@commands.callback()
def _group() -> None:
    """Keep the name of the only command."""


@commands.command()
def up(
    address: Annotated[
        str | None,
        typer.Option(
            help="Address of the cluster, auto or ray://host:10001; by default one on this machine."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Workers; by default one for each GPU of the cluster.")
    ] = None,
    gpus: Annotated[int | None, typer.Option(min=0, max=1, help="GPUs of each worker.")] = None,
    cpus: Annotated[float, typer.Option(min=0.1, help="Cores that Ray sets apart for each worker.")] = 1,
) -> None:
    """Run workers on a Ray cluster, with the settings of this environment, until Ctrl-C."""
    reassure("Starting workers ...")
    from app.stack.ray_fleet import FleetOptions, run_fleet

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as for Ctrl-C: the workers are to end well
    try:
        run_fleet(FleetOptions(workers, gpus, cpus, address), say=say)
    except KeyboardInterrupt:
        say("stopped")
