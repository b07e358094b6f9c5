"""Commands about the keys of callers, for the operator: they need Redis, not a running service."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.auditing import note_command
from app.cli.commands.processes import DataDir, RedisUrl
from app.cli.private_server import private_server
from jobs.callers.scopes import SCOPES_OF, Role, Scope
from jobs.wording import wording
from lodestar.cli.connection import AsJson
from lodestar.cli.exits import say

if TYPE_CHECKING:
    from jobs.callers.keys import KeyStore
    from jobs.callers.record import KeyRecord
    from jobs.callers.secret import KeyText

MAX_LIFETIME_DAYS = 3650
MAX_OVERLAP_HOURS = 90 * 24

commands = typer.Typer(name="keys", help="Keys of callers.")

Quota = Annotated[
    str | None,
    typer.Option(help="Limits, with commas between: units_per_second=400,max_waiting=100 and so on."),
]
KeyId = Annotated[str, typer.Argument(help="Id of the key, the part after lsk_.")]


@commands.command()
def create(
    name: Annotated[str, typer.Argument(help="Name for people.")],
    tenant: Annotated[str, typer.Option(help="Tenant that the key belongs to.")] = "default",
    role: Annotated[Role, typer.Option(help="Bundle of scopes.")] = Role.CLIENT,
    scope: Annotated[
        list[Scope] | None, typer.Option(help="A scope instead of the role; may be repeated.")
    ] = None,
    expires_in_days: Annotated[
        float | None, typer.Option(min=0, max=MAX_LIFETIME_DAYS, help="Days until it ends; by default never.")
    ] = None,
    quota: Quota = None,
    for_file: Annotated[
        bool, typer.Option("--for-file", help="Keep it nowhere: print its entry for the keys file on stderr.")
    ] = False,
    redis_url: RedisUrl = None,
    data_dir: DataDir = Path("data"),
) -> None:
    """Make a key and print it, this once; by default for the lodestar up of a data folder."""
    from jobs.callers.secret import draw_key

    key = draw_key()
    record = _record(key, tenant, name, tuple(scope or SCOPES_OF[role]), expires_in_days, quota)
    if for_file:
        say(_entry(record))
    else:
        with _connected(redis_url, data_dir) as (store, audit):
            store.add(record)
            audit("created", record.id, record.tenant)
    typer.echo(str(key))


@commands.command("list")
def list_(redis_url: RedisUrl = None, data_dir: DataDir = Path("data"), as_json: AsJson = False) -> None:
    """List the keys in Redis, without their secrets. Off a terminal: lines with tabs between the columns."""
    from lodestar.cli.table import print_table

    with _connected(redis_url, data_dir) as (store, _):
        found = store.list()
    if as_json:
        typer.echo(json.dumps([record.info.model_dump(mode="json") for record in found], indent=2))
    else:
        print_table(
            ("key", "tenant", "name", "scopes", "expires", "last used"), [_row(record) for record in found]
        )


@commands.command()
def rotate(
    key_id: KeyId,
    overlap_hours: Annotated[
        float, typer.Option(min=0, max=MAX_OVERLAP_HOURS, help="Hours that the old key still counts.")
    ] = 24,
    redis_url: RedisUrl = None,
    data_dir: DataDir = Path("data"),
) -> None:
    """Make a key like another one and print it; both count for a while."""
    with _connected(redis_url, data_dir) as (store, audit):
        key, record = store.rotate(key_id, overlap=timedelta(hours=overlap_hours))
        audit("rotated", key_id, record.tenant)
    typer.echo(str(key))


@commands.command()
def revoke(key_id: KeyId, redis_url: RedisUrl = None, data_dir: DataDir = Path("data")) -> None:
    """End a key now, and the logins that were made with it."""
    with _connected(redis_url, data_dir) as (store, audit):
        record = store.get(key_id)
        store.revoke(key_id)
        audit("revoked", key_id, record.tenant if record else None)


@contextmanager
def _connected(
    redis_url: str | None, data_dir: Path
) -> "Iterator[tuple[KeyStore, Callable[[str, str, str | None], None]]]":
    """The keys, and what notes that one was changed."""
    from jobs.callers.audit import AuditAction
    from jobs.callers.keys import KeyStore
    from jobs.db.connection import connect

    def audit(done: str, key_id: str, tenant: str | None) -> None:
        note_command(redis, AuditAction(f"key.{done}"), key_id, tenant)

    with connect(redis_url or private_server(data_dir), patient=False) as redis:
        yield KeyStore(redis), audit


def _record(
    key: "KeyText",
    tenant: str,
    name: str,
    scopes: tuple[Scope, ...],
    expires_in_days: float | None,
    quota: str | None,
) -> "KeyRecord":
    from jobs.callers.quota import Quota
    from jobs.callers.record import new_record

    expires_in = None if expires_in_days is None else timedelta(days=expires_in_days)
    with naming_the_option():
        limits = None if quota is None else Quota.model_validate(quota)
        return new_record(key, tenant=tenant, name=name, scopes=scopes, expires_in=expires_in, quota=limits)


@contextmanager
def naming_the_option() -> Iterator[None]:
    """Turn the error of a model into one of the command line."""
    from pydantic import ValidationError

    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise typer.BadParameter(f"{place}: {wording(first)}" if place else wording(first)) from error


def _entry(record: "KeyRecord") -> str:
    """The key in the form of the keys file: JSON's strings and lists are TOML's too."""
    fields = record.model_dump(mode="json", exclude_none=True)
    if record.quota is not None:
        fields["quota"] = str(record.quota)
    lines = (f"{name} = {json.dumps(value)}" for name, value in fields.items())
    return "\n".join(("[[keys]]", *lines))


def _row(record: "KeyRecord") -> tuple[str, ...]:
    days = (record.expires_at.date() if record.expires_at else None, record.last_used_on)
    return (
        record.id,
        record.tenant,
        record.name,
        " ".join(record.scopes),
        *("never" if day is None else day.isoformat() for day in days),
    )
