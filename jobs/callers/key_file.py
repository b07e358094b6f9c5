"""Keys, groups and tenants from a file that an operator keeps under version control or mounts: hashes only."""

import threading
import time
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import structlog
from pydantic import Field, ValidationError, model_validator

from jobs.callers.quota import Quota
from jobs.callers.record import DEFAULT_TENANT, KeyRecord, TenantName, TenantRecord
from jobs.callers.scopes import SCOPES_OF, Role
from jobs.errors import ConfigurationError
from jobs.wire import AtMost, Wire
from jobs.wording import wording

MAX_KEYS = 10_000
LOOK_EVERY_S = 1.0

log = structlog.get_logger(__name__)


class Group(Wire):
    """A group of users, as a proxy names it, and what its members may do."""

    name: str = Field(min_length=1, max_length=200)
    tenant: TenantName = DEFAULT_TENANT
    role: Role
    quota: Quota | None = Field(None, description="Limits of each of its members.")


class FiledKey(KeyRecord):
    """A key in the file; ``role`` stands for its scopes."""

    @model_validator(mode="before")
    @classmethod
    def _from_role(cls, fields: Any) -> Any:
        if not isinstance(fields, dict) or "role" not in fields:
            return fields
        if "scopes" in fields:
            raise ValueError("give a role or scopes, not both")
        role = Role(fields["role"])
        return {
            **{name: fields[name] for name in fields if name != "role"},
            "scopes": sorted(SCOPES_OF[role]),
        }


class _Content(Wire):
    keys: Annotated[tuple[FiledKey, ...], AtMost(MAX_KEYS)] = ()
    groups: Annotated[tuple[Group, ...], AtMost(MAX_KEYS)] = ()
    tenants: Annotated[tuple[TenantRecord, ...], AtMost(MAX_KEYS)] = ()


class KeyFile:
    """The file, read again when it has changed. A change that cannot be read leaves the former keys in force.

    Threads may share one.

    Raises:
        ConfigurationError: the file cannot be read at the start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._mark = self._stat()
        self._keys, self._groups, self._tenants = self._read()
        self._look_at = time.monotonic() + LOOK_EVERY_S

    def get(self, key_id: str) -> KeyRecord | None:
        """The record of a key; None if the file has none."""
        self._refresh()
        return self._keys.get(key_id)

    def list(self) -> tuple[KeyRecord, ...]:
        """All of them, as the file has them."""
        self._refresh()
        return tuple(self._keys.values())

    def group(self, names: Collection[str]) -> Group | None:
        """The first group of the file among these names."""
        self._refresh()
        return next((group for group in self._groups if group.name in names), None)

    def tenant(self, name: str) -> TenantRecord | None:
        """What the file has set for a tenant; None if nothing."""
        self._refresh()
        return self._tenants.get(name)

    def tenants(self) -> tuple[TenantRecord, ...]:
        """What it has set for tenants, in the file's order."""
        self._refresh()
        return tuple(self._tenants.values())

    def _refresh(self) -> None:
        with self._lock:
            if time.monotonic() < self._look_at:
                return
            self._look_at = time.monotonic() + LOOK_EVERY_S
            try:
                mark = self._stat()
                if mark == self._mark:
                    return
                self._keys, self._groups, self._tenants = self._read()
                self._mark = mark
                log.info("keys read again", keys=len(self._keys))
            except ConfigurationError as error:
                log.warning("keys not read again; the former ones count", reason=error.message)

    def _stat(self) -> tuple[int, int, int]:
        try:
            found = self._path.stat()  # of the target: Kubernetes changes a link
        except OSError as error:
            raise ConfigurationError(
                f"the keys file {self._path} cannot be read: {error.strerror}"
            ) from error
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _read(self) -> tuple[dict[str, KeyRecord], tuple[Group, ...], dict[str, TenantRecord]]:
        try:
            content = _Content.model_validate(tomllib.loads(self._path.read_text(encoding="utf-8")))
        except OSError as error:
            raise ConfigurationError(
                f"the keys file {self._path} cannot be read: {error.strerror}"
            ) from error
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise ConfigurationError(f"the keys file {self._path}: {place}: {wording(first)}") from error
        except ValueError as error:
            raise ConfigurationError(f"the keys file {self._path} is no TOML: {error}") from error
        by_id = {key.id: key for key in content.keys}
        if len(by_id) < len(content.keys):
            raise ConfigurationError(f"the keys file {self._path} has two keys of the same id")
        tenants = {tenant.name: tenant for tenant in content.tenants}
        if len(tenants) < len(content.tenants):
            raise ConfigurationError(f"the keys file {self._path} has a tenant twice")
        return dict(by_id), content.groups, tenants
