"""The service that the clients call: it asks for keys, and its model has the names that applications have built in."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.cli.private_server import private_server
from benchmarks.fuzz.watch.service import service
from benchmarks.places import CATALOG
from jobs.callers.keys import KeyStore
from jobs.callers.record import new_record
from jobs.callers.scopes import SCOPES_OF, Role
from jobs.callers.secret import draw_key
from jobs.db.connection import connect

FIRST_MODEL = "[models.pocket]\n"
ALIASES = (
    "dall-e-2",
    "dall-e-3",
    "gpt-image-1",
    "gpt-image-2",
    "stability-ai/sdxl",
    "black-forest-labs/flux-schnell",
    "black-forest-labs/FLUX.1-schnell",
)


@dataclass(frozen=True)
class Keyed:
    """A running service, and the keys of its callers.

    Attributes:
        url: its address.
        key_of: makes a key for a client of this name.
    """

    url: str
    key_of: Callable[[str], str]


@contextmanager
def keyed_service(folder: Path) -> Iterator[Keyed]:
    """Start it on an empty folder, and end it."""
    catalog = folder / "models.toml"
    (folder / "models").symlink_to(CATALOG.parent / "models")
    catalog.write_text(with_aliases(CATALOG.read_text("utf-8"), CATALOG.parent), encoding="utf-8")
    data = folder / "data"
    data.mkdir()
    with (
        service(data, catalog, LODESTAR_AUTH="keys", LODESTAR_SIGNED_URLS="true") as running,
        connect(private_server(data), patient=False) as redis,
    ):
        store = KeyStore(redis)

        def key_of(client: str) -> str:
            key = draw_key()
            store.add(new_record(key, tenant="default", name=client, scopes=tuple(SCOPES_OF[Role.CLIENT])))
            return str(key)

        yield Keyed(running.url, key_of)


def with_aliases(catalog: str, folder: Path) -> str:
    """The text of a catalog whose first model has the aliases, and whose paths hold from anywhere.

    Args:
        catalog: its text.
        folder: where it lies.
    """
    aliased = catalog.replace(FIRST_MODEL, f"{FIRST_MODEL}aliases = {json.dumps(ALIASES)}\n", 1)
    return re.sub(r'^(path|head) = "', rf'\1 = "{folder}/', aliased, flags=re.MULTILINE)
