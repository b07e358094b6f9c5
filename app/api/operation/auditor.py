"""Notes what is to be audited: as a log line at once, and in Redis soon after."""

import threading
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor, wait

import structlog

from jobs.callers.audit import AuditEntry, AuditLog
from jobs.errors import QueueUnavailableError

MOST_WAITING = 1000
MOST_REMEMBERED = 10_000
FLUSH_S = 1.0

log = structlog.get_logger("lodestar.audit")


class Auditor:
    """Keeps entries on a thread of its own, so that no request waits for it or fails by it. Threads may share one."""

    def __init__(self, kept: AuditLog) -> None:
        """Start no thread yet."""
        self._kept = kept
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="auditor")
        self._lock = threading.Lock()
        self._waiting = 0
        self._noted: OrderedDict[AuditEntry, float] = OrderedDict()

    def note(self, entry: AuditEntry, *, not_within_s: float = 0) -> None:
        """Note an entry; nothing if this process has noted one like it within so many seconds."""
        with self._lock:
            if not_within_s and not self._is_new(entry, not_within_s):
                return
            keeps = self._waiting < MOST_WAITING
            self._waiting += keeps
        log.info(entry.action, **entry.model_dump(exclude_none=True, exclude={"action"}))
        if keeps:
            self._pool.submit(self._keep, entry)

    def flush(self) -> None:
        """Return when what was noted so far is kept, or after a second."""
        wait([self._pool.submit(lambda: None)], timeout=FLUSH_S)

    def close(self) -> None:
        """Keep no more; what waits still has a second."""
        self.flush()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _is_new(self, entry: AuditEntry, within_s: float) -> bool:
        now = time.monotonic()
        if now - self._noted.get(entry, -within_s) < within_s:
            return False
        self._noted[entry] = now
        self._noted.move_to_end(entry)
        if len(self._noted) > MOST_REMEMBERED:
            self._noted.popitem(last=False)
        return True

    def _keep(self, entry: AuditEntry) -> None:
        try:
            self._kept.add(entry)
        except QueueUnavailableError:
            log.warning("audit entry is in the log alone, since Redis is away", action=entry.action)
        finally:
            with self._lock:
                self._waiting -= 1
