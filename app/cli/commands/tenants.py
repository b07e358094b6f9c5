"""Commands about the quotas of tenants, for the operator: they need Redis, not a running service."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.auditing import note_command
from app.cli.commands.keys import Quota, naming_the_option
from app.cli.commands.processes import DataDir, RedisUrl
from app.cli.private_server import private_server
from lodestar.cli.connection import AsJson

if TYPE_CHECKING:
    from redis import Redis

commands = typer.Typer(name="tenants", help="Quotas of tenants.")

Tenant = Annotated[str, typer.Argument(help="Name of the tenant.")]


@commands.command("set")
def set_(
    tenant: Tenant,
    quota: Quota = None,
    weight: Annotated[
        float, typer.Option(help="Its share of the work against that of another tenant.")
    ] = 1.0,
    redis_url: RedisUrl = None,
    data_dir: DataDir = Path("data"),
) -> None:
    """Set quota and weight of a tenant, in place of what was set before. They count within ten seconds."""
    from jobs.callers.audit import AuditAction
    from jobs.callers.quota import Quota
    from jobs.callers.record import TenantRecord
    from jobs.callers.tenants import TenantStore

    with naming_the_option():
        limits = None if quota is None else Quota.model_validate(quota)
        record = TenantRecord(name=tenant, quota=limits, weight=weight)
    with _connected(redis_url, data_dir) as redis:
        TenantStore(redis).put(record)
        detail = f"quota {'as all' if limits is None else limits}, weight {weight:g}"
        note_command(redis, AuditAction.TENANT_SET, tenant, tenant, detail)


@commands.command("list")
def list_(redis_url: RedisUrl = None, data_dir: DataDir = Path("data"), as_json: AsJson = False) -> None:
    """List what is set for tenants in Redis. Off a terminal: lines with tabs between the columns."""
    from jobs.callers.tenants import TenantStore
    from lodestar.cli.table import print_table

    with _connected(redis_url, data_dir) as redis:
        found = TenantStore(redis).list()
    if as_json:
        typer.echo(json.dumps([record.model_dump(mode="json") for record in found], indent=2))
    else:
        rows = [
            (
                record.name,
                f"{record.weight:g}",
                "as all" if record.quota is None else str(record.quota) or "none",
            )
            for record in found
        ]
        print_table(("tenant", "weight", "quota"), rows)


@commands.command()
def forget(tenant: Tenant, redis_url: RedisUrl = None, data_dir: DataDir = Path("data")) -> None:
    """Forget what is set for a tenant: what holds for every tenant holds for it again."""
    from jobs.callers.audit import AuditAction
    from jobs.callers.tenants import TenantStore

    with _connected(redis_url, data_dir) as redis:
        TenantStore(redis).remove(tenant)
        note_command(redis, AuditAction.TENANT_FORGOTTEN, tenant, tenant)


@contextmanager
def _connected(redis_url: str | None, data_dir: Path) -> "Iterator[Redis]":
    from jobs.db.connection import connect

    with connect(redis_url or private_server(data_dir), patient=False) as redis:
        yield redis
