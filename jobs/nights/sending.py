"""Submits the jobs of nights in the name of those who began them."""

from jobs.callers.identity import Identity
from jobs.callers.payer import Payer, payer_of
from jobs.callers.ring import KeyRing
from jobs.callers.tenants import TenantBook
from jobs.errors import (
    LodestarError,
    QueueFullError,
    QueueUnavailableError,
    QuotaExceededError,
    RateLimitedError,
)
from jobs.nights.pieces import Flight
from jobs.nights.record import NightRecord
from jobs.nights.removal import delete_job
from jobs.nights.store import NightStore
from jobs.queue.queue import JobQueue
from jobs.queue.submission import Presentation, new_job_id
from jobs.status.job import JobStatus
from jobs.status.view import View
from jobs.storage.job_files import JobFiles

AHEAD = 8  # jobs of a night that wait at a time, so that a worker finds a batch
_PATIENCE_S = (1.0, 60.0)


class Sending:
    """Keeps a few jobs of each night in the queue, and no more than half of the queue in all."""

    def __init__(
        self,
        store: NightStore,
        queue: JobQueue,
        files: JobFiles,
        ring: KeyRing,
        tenants: TenantBook,
        *,
        max_queued: int,
    ) -> None:
        self._store, self._queue, self._files = store, queue, files
        self._ring, self._tenants = ring, tenants
        self._most = max(1, max_queued // 2)

    def is_allowed(self, record: NightRecord) -> bool:
        """Whether the key that began a night still counts; a night without a key needs none."""
        key_id = record.identity().key_id
        return key_id is None or self._ring.get(key_id) is not None

    def queue_of(self, record: NightRecord) -> JobQueue:
        """The queue as the sender of a night sees it."""
        view = View(record.tenant, is_whole=False)
        return self._queue.seen_by(view, lambda: self._payer(record.identity()))

    def top_up(self, record: NightRecord, flights: tuple[Flight, ...]) -> None:
        """Queue further candidates."""
        for _ in range(self._room(record, flights)):
            reserved = self._store.reserve(record.id, new_job_id())
            if reserved is None or not self.send(record, Flight(*reserved, True, None)):
                return

    def enlarge(self, record: NightRecord, flights: tuple[Flight, ...], numbers: list[int]) -> None:
        """Queue the enlarging of pictures, or of the first of them."""
        for number in numbers[: self._room(record, flights)]:
            reserved = self._store.reserve(record.id, new_job_id(), number)
            if reserved is None or not self.send(record, Flight(*reserved, True, None)):
                return

    def send(self, record: NightRecord, flight: Flight) -> bool:
        """Submit a reserved job, again if it was submitted before; False if there is no room for it at present.

        Raises:
            QueueUnavailableError: Redis is away. The job stays reserved.
        """
        queue = self.queue_of(record)
        request = record.request_of(flight.number, is_large=flight.is_large)
        try:
            queue.submit(
                request,
                job_id=flight.job_id,
                caller=record.caller,
                presentation=Presentation(notes=record.notes),
            )
        except QueueUnavailableError:
            raise
        except (QueueFullError, RateLimitedError, QuotaExceededError) as error:
            self._wait(record, error.message, error.retry_after_s or _PATIENCE_S[1])
            return False
        except LodestarError as error:
            outcome = "left small" if flight.is_large else "failed"
            self._store.settle(record.id, flight, outcome, error.type, error.message)
            return True
        if not self._store.submitted(record.id, flight.name, flight.job_id):
            delete_job(queue, self._files, flight.job_id, has_ended=False)
        return True

    def _room(self, record: NightRecord, flights: tuple[Flight, ...]) -> int:
        if self._store.now_us() < record.waits_until_us():
            return 0
        own = sum(flight.status in {JobStatus.QUEUED, None} for flight in flights)
        left = self._most - self._queue.counts()[JobStatus.QUEUED]
        if left <= 0 and not own:
            self._wait(record, "half of the queue is full: the rest is for other jobs", _PATIENCE_S[0])
        return max(0, min(AHEAD - own, left))

    def _wait(self, record: NightRecord, reason: str, seconds: float) -> None:
        least, most = _PATIENCE_S
        self._store.wait(record.id, reason, min(most, max(least, seconds)))

    def _payer(self, identity: Identity) -> Payer:
        """Who pays now: by the key's quota of today, and the tenant's."""
        info = None if identity.key_id is None else self._ring.get(identity.key_id)
        if info is not None:
            identity = Identity(
                identity.tenant, identity.name, identity.scopes, identity.via, info.id, info.quota
            )
        return payer_of(identity, self._tenants.get(identity.tenant))
