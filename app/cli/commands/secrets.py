"""The command that prints the webhooks' secret for the operator."""

import os
from pathlib import Path

import typer

from app.cli.commands.processes import DataDir, RedisUrl
from app.cli.private_server import private_server

commands = typer.Typer()


@commands.command("webhook-secret")
def webhook_secret(redis_url: RedisUrl = None, data_dir: DataDir = Path("data")) -> None:
    """Print what verifies webhook messages: LODESTAR_WEBHOOK_SECRET, or what Redis keeps; by default of lodestar up."""
    given = os.environ.get("LODESTAR_WEBHOOK_SECRET", "").split()
    typer.echo(given[0] if given else _drawn(redis_url or private_server(data_dir)))


def _drawn(redis_url: str) -> str:
    from jobs.db.connection import connect
    from jobs.events.webhooks import WebhookQueue

    with connect(redis_url, patient=False) as redis:
        return WebhookQueue(redis).own_secret()
