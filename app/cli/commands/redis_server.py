"""The commands that concern the server behind the service: what it promises, and what an earlier version left there."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.commands.processes import DataDir, RedisUrl
from app.cli.private_server import private_server
from jobs.errors import ConfigurationError
from lodestar.cli.exits import Exit

commands = typer.Typer()
checks = typer.Typer(no_args_is_help=True, help="Check what the service rests on.")
commands.add_typer(checks, name="check")


@checks.command("redis")
def check_redis(redis_url: RedisUrl = None, data_dir: DataDir = Path("data")) -> None:
    """Tell what Redis promises: durability, memory, replicas, who takes over; by default that of lodestar up.

    A line for each: `ok`, `note` where it holds in part or is not told, `wrong` where jobs can be lost or refused. Exit
    code 1 if something is wrong.
    """
    from redis.exceptions import RedisError

    from jobs.db.promises import promises

    is_wrong = False
    try:
        for promise in promises(redis_url or private_server(data_dir)):
            is_wrong |= promise.mark == "wrong"
            typer.echo(f"{promise.mark}\t{promise.name}\t{promise.detail}")
    except (RedisError, ValueError) as error:
        raise ConfigurationError(f"Redis cannot be asked: {error}") from error
    raise typer.Exit(Exit.ERROR if is_wrong else Exit.DONE)


@commands.command()
def migrate(
    redis_url: RedisUrl = None,
    data_dir: DataDir = Path("data"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
) -> None:
    """Move the keys of an earlier version to where this one looks for them. The API does so when it starts.

    Stop the processes of the earlier version first: they do not see the keys any more.
    """
    from redis.exceptions import RedisError

    from jobs.db.connection import connect
    from jobs.db.migration import migrate as move
    from jobs.db.servers import is_cluster

    url = redis_url or private_server(data_dir)
    try:
        if is_cluster(url):
            raise ConfigurationError("an earlier version never ran on a cluster: there is nothing to move")
        with connect(url, patient=False) as redis:
            done = move(redis, dry_run=dry_run)
    except (RedisError, ValueError) as error:
        raise ConfigurationError(f"the keys cannot be moved: {error}") from error
    typer.echo(f"{'to move' if dry_run else 'moved'}: {done.keys} keys; old tickets: {done.tickets}")
