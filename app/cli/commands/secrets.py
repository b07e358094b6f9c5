"""The command that prints the webhooks' secret for the operator."""

import os
from pathlib import Path

import typer

from app.cli.commands.processes import DataDir, RedisUrl
from jobs.errors import ConfigurationError

commands = typer.Typer()


@commands.command("webhook-secret")
def webhook_secret(redis_url: RedisUrl = None, data_dir: DataDir = Path("data")) -> None:
    """Print what verifies webhook messages: LODESTAR_WEBHOOK_SECRET, or what Redis keeps; by default of lodestar up."""
    given = os.environ.get("LODESTAR_WEBHOOK_SECRET", "").split()
    typer.echo(given[0] if given else _drawn(redis_url or _private_server(data_dir)))


def _private_server(data_dir: Path) -> str:
    """URL of the Valkey that ``lodestar up`` runs on a data folder."""
    from app.stack.embedded import socket_url
    from app.stack.folders import SOCKET

    socket = data_dir.absolute() / "valkey" / SOCKET
    if not socket.exists():
        raise ConfigurationError(
            f"no lodestar up runs on the data folder {data_dir.absolute()}; name another with --data-dir, or a server "
            "with --redis-url"
        )
    return socket_url(socket.resolve())  # it may be elsewhere, where a path was too long or odd for a socket


def _drawn(redis_url: str) -> str:
    from jobs.db.connection import connect
    from jobs.events.webhooks import WebhookQueue

    with connect(redis_url, patient=False) as redis:
        return WebhookQueue(redis).own_secret()
