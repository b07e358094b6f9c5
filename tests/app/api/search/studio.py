"""Jobs whose pictures lie where a test says, and the indexes of servers that search them."""

import math
from collections.abc import Sequence
from pathlib import Path
from random import Random

from redis import Redis

from app.api.search.index import SearchIndex
from jobs.events.endings import Endings
from jobs.queue.leases import Lease, Leases
from jobs.queue.queue import JobQueue
from jobs.status.view import View
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.job_files import JobFiles
from jobs.storage.segments import Segment, Segments
from tests.jobs.samples import RESOLVED, claimed, pictures_of

WIDTH = 16


def unit(seed: int) -> list[float]:
    """A unit vector."""
    rng = Random(seed)
    vector = [rng.gauss(0, 1) for _ in range(WIDTH)]
    return [number / math.hypot(*vector) for number in vector]


class CountingStore(ArtifactStore):
    """Counts listings, and files that are read."""

    listings = reads = 0

    def keys(self, prefix: str) -> list[str]:
        """As the store."""
        self.listings += 1
        return super().keys(prefix)

    def get(self, key: str) -> bytes:
        """As the store."""
        self.reads += 1
        return super().get(key)


class Studio:
    """Makes pictures as workers do, and deletes them as the API does."""

    def __init__(self, redis: Redis, folder: Path) -> None:
        self.redis, self.folder = redis, folder
        self.store = CountingStore(str(folder))
        self.segments = Segments(self.store, "org/clip")
        self.queue = JobQueue(redis, max_queued=1000)
        self._leases = Leases(redis, worker="played")

    def make(self, rows: Sequence[Sequence[float]], tenant: str = "") -> str:
        """A finished job with these pictures; its id."""
        queue = self.queue.seen_by(View(tenant, is_whole=False)) if tenant else self.queue
        lease = self.claim(queue.submit(RESOLVED).job.id)
        self.write(lease.job_id, lease.fence, rows, tenant)
        self.succeed(lease)
        return lease.job_id

    def claim(self, job_id: str) -> Lease:
        """Start a job."""
        return claimed(self._leases, job_id)

    def succeed(self, lease: Lease) -> None:
        """End an execution, whose segment was written."""
        self._leases.succeed(lease, pictures_of(lease))

    def write(self, job_id: str, fence: str, rows: Sequence[Sequence[float]], tenant: str = "") -> None:
        """A segment, whatever its job."""
        vectors = {index: list(row) for index, row in enumerate(rows)}
        self.segments.write(*self.segments.encode(Segment.of(job_id, fence, vectors, tenant)))

    def delete(self, job_id: str) -> None:
        """Delete a job with its files."""
        files = JobFiles(self.store, beside=[self.segments.root])
        files.delete_before(job_id, self.queue.delete)

    def index(self) -> SearchIndex:
        """The index of another server on this machine."""
        return index_of(self.segments, self.redis, self.folder)

    @property
    def snapshots(self) -> list[Path]:
        """The folders of snapshots."""
        return sorted(place for place in self.folder.rglob("snapshot-*") if place.is_dir())


def index_of(segments: Segments, redis: Redis, folder: Path) -> SearchIndex:
    """An index with its snapshots beside the segments."""
    return SearchIndex(segments, Endings(redis), folder / segments.folder)


def nearest(index: SearchIndex, seed: int, tenant: str = "") -> tuple[str, int, float]:
    """The job of the nearest picture, its number and its similarity."""
    (found,) = index.nearest(unit(seed), 1, tenant)
    return found.job_id, found.index, round(found.similarity, 5)
