"""The ``lodestar`` command: starts the service's processes, and talks to a running service."""

from app.cli.commands import (
    adapters,
    assets,
    audit,
    convert,
    doctor,
    image_prompts,
    keys,
    models,
    processes,
    ray,
    redis_server,
    secrets,
    tenants,
)
from lodestar.cli import program

SERVICE = (
    keys.commands,
    tenants.commands,
    ray.commands,
    audit.commands,
    models.commands,
    adapters.commands,
    image_prompts.commands,
    assets.commands,
    secrets.commands,
    convert.commands,
    redis_server.commands,
    doctor.commands,
)
cli = program.program(processes.commands, *program.CLIENT, *SERVICE)


def main() -> None:
    """Run the command; an error is one line on stderr."""
    program.run(cli)
