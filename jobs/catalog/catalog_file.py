"""The catalog of a running process: its file, read again when it has changed."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from jobs.catalog.catalog import Catalog, load_catalog
from jobs.errors import ConfigurationError

Mark = tuple[int, int, int]

log = structlog.get_logger(__name__)


def _accept(_: Catalog) -> None:
    pass


class CatalogFile:
    """The file, looked at each time that somebody asks. A change that is wrong leaves the former catalog in force.

    Threads may share one.

    Attributes:
        read_at: when the catalog in force was read.
        problem: why a changed file is not in force; None if it is. Folders are left out of it, since it may be public.
    """

    def __init__(self, path: Path, require: Callable[[Catalog], None] = _accept) -> None:
        """Read it.

        Args:
            path: of ``models.toml``.
            require: refuses a catalog that this process cannot use, by a ConfigurationError.

        Raises:
            ConfigurationError: the file is missing or wrong, or refused.
        """
        self._path, self._require = path, require
        self._lock = threading.Lock()
        self._mark = _mark_of(path)  # before reading: what is written meanwhile is read the next time
        self._catalog = load_catalog(path)
        require(self._catalog)
        self.read_at = datetime.now(UTC)
        self.problem: str | None = None

    def now(self) -> Catalog:
        """The catalog in force."""
        with self._lock:
            mark = _mark_of(self._path)
            if mark != self._mark:
                self._mark = mark
                self._read_again()
            return self._catalog

    def _read_again(self) -> None:
        try:
            catalog = load_catalog(self._path)
            self._require_scorer(catalog)
            self._require(catalog)
        except ConfigurationError as error:
            self.problem = error.message.replace(str(self._path), self._path.name)
            log.error("catalog not read again; the former one counts", reason=error.message)
            return
        changes = _changes(self._catalog, catalog)
        self._catalog, self.read_at, self.problem = catalog, datetime.now(UTC), None
        log.info("catalog read again", **changes)

    def _require_scorer(self, catalog: Catalog) -> None:
        """Refuse another aesthetic scorer: the index of all pictures so far was opened for the one at the start."""
        former, named = self._catalog.aesthetic_scorer.id, catalog.aesthetic_scorer.id
        if named != former:
            raise ConfigurationError(
                f"the model catalog {self._path} changes the CLIP that scores every picture from {former!r} to "
                f"{named!r}, which takes a restart"
            )


def _mark_of(path: Path) -> Mark | None:
    """What changes with the file, of a link's target; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _changes(former: Catalog, catalog: Catalog) -> dict[str, list[str]]:
    """Ids of the models that came, went and changed."""
    old, new = ({card.id: card for card in each.models} for each in (former, catalog))
    return {
        "added": [name for name in new if name not in old],
        "removed": [name for name in old if name not in new],
        "changed": [name for name in new if name in old and new[name] != old[name]],
    }
