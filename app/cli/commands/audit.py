"""The command that prints the audit stream, for the operator: it needs Redis, not a running service."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.commands.processes import DataDir, RedisUrl
from app.cli.private_server import private_server
from lodestar.cli.connection import AsJson

if TYPE_CHECKING:
    from jobs.callers.audit import KeptEntry

commands = typer.Typer()


@commands.command()
def audit(
    failures: Annotated[
        bool, typer.Option("--failures", help="Refused keys and scopes, instead of administration.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Entries to print.")] = 50,
    redis_url: RedisUrl = None,
    data_dir: DataDir = Path("data"),
    as_json: AsJson = False,
) -> None:
    """Print who changed keys, deleted or read what is others', or was refused; newest first."""
    from jobs.callers.audit import AuditLog
    from jobs.db.connection import connect
    from lodestar.cli.table import print_table

    with connect(redis_url or private_server(data_dir), patient=False) as redis:
        page = AuditLog(redis).page(failures=failures, limit=limit)
    if as_json:
        typer.echo(page.model_dump_json(indent=2))
    else:
        headings = ("at", "action", "target", "of tenant", "by", "by tenant", "address", "detail")
        print_table(headings, [_row(entry) for entry in page.data])


def _row(entry: "KeptEntry") -> tuple[str, ...]:
    by = entry.key or entry.name
    texts = (entry.action, entry.target, entry.target_tenant, by, entry.tenant, entry.address, entry.detail)
    return (entry.at.isoformat(timespec="seconds"), *(text or "" for text in texts))
