"""The keys of both sources, as a server asks for them at each request."""

import threading
import time
from collections.abc import Collection
from datetime import UTC, date, datetime

from jobs.callers.key_file import Group, KeyFile
from jobs.callers.keys import KeyStore
from jobs.callers.record import KeyInfo, KeyRecord
from jobs.callers.secret import KeyText
from jobs.errors import QueueUnavailableError

CACHE_S = 10.0
_MOST_CACHED = 10_000


class KeyRing:
    """Verifies keys. What Redis has said of a key is believed for ten seconds; a revocation is published sooner.

    Threads may share one.
    """

    def __init__(self, store: KeyStore, file: KeyFile | None = None, *, cache_s: float = CACHE_S) -> None:
        """Make one.

        Args:
            store: the keys in Redis.
            file: the keys in a file, which win over those of the same id in Redis.
            cache_s: how long a record of Redis is believed.
        """
        self._store = store
        self._file = file
        self._cache_s = cache_s
        self._lock = threading.Lock()
        self._cache: dict[str, tuple[KeyRecord, float]] = {}
        self._noted: dict[str, date] = {}

    def verify(self, key: KeyText) -> KeyInfo | None:
        """What a key may do; None if it is unknown, or does not count now.

        Raises:
            QueueUnavailableError: Redis cannot be reached.
        """
        record = self._record(key.id)
        return self._in_force(record) if record is not None and record.matches(key) else None

    def get(self, key_id: str) -> KeyInfo | None:
        """The same by the id alone, for a session that was begun with the key.

        Raises:
            QueueUnavailableError: as above.
        """
        record = self._record(key_id)
        return self._in_force(record) if record is not None else None

    def has_counted(self, key_id: str) -> bool:
        """Whether a key of this id has counted today in this process, or is in the file. Asks nobody."""
        return self.is_filed(key_id) or key_id in self._noted

    def list(self) -> tuple[KeyInfo, ...]:
        """All keys, those of the file first.

        Raises:
            QueueUnavailableError: as above.
        """
        filed = self._file.list() if self._file else ()
        uses = self._store.uses([record.id for record in filed])
        known = {record.id for record in filed}
        shown = [record.model_copy(update={"last_used_on": uses.get(record.id)}) for record in filed]
        kept = (record for record in self._store.list() if record.id not in known)
        return tuple(record.info for record in (*shown, *kept))

    def is_filed(self, key_id: str) -> bool:
        """Whether the file has the key."""
        return self._file is not None and self._file.get(key_id) is not None

    def group(self, names: Collection[str]) -> Group | None:
        """The first group of the file among these names; None without one."""
        return self._file.group(names) if self._file else None

    def forget(self, key_id: str) -> None:
        """Ask Redis anew at the next use of a key."""
        with self._lock:
            self._cache.pop(key_id, None)

    def forget_all(self) -> None:
        """Ask Redis anew at the next use of any key."""
        with self._lock:
            self._cache.clear()

    def _record(self, key_id: str) -> KeyRecord | None:
        if self._file is not None and (filed := self._file.get(key_id)) is not None:
            return filed
        with self._lock:
            record, until = self._cache.get(key_id, (None, 0.0))
        if record is not None and time.monotonic() < until:
            return record
        # The time before the question: a revocation that comes between its answer and now must not be outlived.
        until = time.monotonic() + self._cache_s
        found = self._store.get(key_id)
        with self._lock:
            if found is None:
                self._cache.pop(key_id, None)
            else:
                if len(self._cache) >= _MOST_CACHED:
                    self._cache.clear()
                self._cache[key_id] = (found, until)
        return found

    def _in_force(self, record: KeyRecord) -> KeyInfo | None:
        now = datetime.now(UTC)
        if not record.counts(now):
            return None
        if self._noted.get(record.id) != now.date():
            self._note(record.id, now.date())
        return record.info

    def _note(self, key_id: str, day: date) -> None:
        if len(self._noted) >= _MOST_CACHED:
            self._noted.clear()
        self._noted[key_id] = day
        try:
            self._store.note_use(key_id, day)
        except QueueUnavailableError:
            self._noted.pop(key_id, None)  # a key of the file works without Redis
