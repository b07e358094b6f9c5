"""Nights on a real server, tended by hand, and a worker that this process plays."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from jobs.callers.identity import EVERYBODY
from jobs.callers.keys import KeyStore
from jobs.callers.ring import KeyRing
from jobs.callers.tenants import TenantBook, TenantStore
from jobs.nights.nights import Nights
from jobs.nights.plan import NightPlan
from jobs.nights.sending import Sending
from jobs.nights.store import NightStore
from jobs.nights.tender import Tender
from jobs.queue.queue import JobQueue
from jobs.queue.submission import new_job_id
from jobs.requests.enlarging import ResolvedUpscale
from jobs.requests.request import Priority
from jobs.requests.selection import ResolvedSelection, Weights
from jobs.status.job import Job
from jobs.status.night import Night
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.job_files import JobFiles
from tests.app.played_worker import PlayedWorker
from tests.jobs.samples import RESOLVED

SELECTED = RESOLVED.model_copy(
    update={
        "select": ResolvedSelection(keep=1, by=Weights(clip=1), scorer="pocket-s"),
        "priority": Priority.LOW,
    }
)
ENLARGED = SELECTED.model_copy(update={"upscale": ResolvedUpscale(factor=4, model="x4plus-anime")})
MAX_QUEUED = 40


@dataclass
class House:
    """A service without its HTTP: whoever tends nights, and whoever draws."""

    redis: Redis
    queue: JobQueue
    files: JobFiles
    folder: Path
    store: NightStore
    nights: Nights
    worker: PlayedWorker

    def tender(self, keep_s: float = 60) -> Tender:
        """A new one, as after a restart."""
        ring, tenants = KeyRing(KeyStore(self.redis)), TenantBook(TenantStore(self.redis))
        sending = Sending(self.store, self.queue, self.files, ring, tenants, max_queued=MAX_QUEUED)
        return Tender(self.store, sending, self.files, keep_s=keep_s)

    def sweep(self, times: int = 1) -> None:
        """Tend the nights."""
        for _ in range(times):
            self.tender().sweep()

    def jobs(self) -> list[Job]:
        """All jobs, the oldest first."""
        return list(self.queue.list(limit=200).data)[::-1]

    def folders(self) -> set[str]:
        """Ids of the jobs that have files."""
        return {file.relative_to(self.folder).parts[0] for file in self.folder.rglob("*.png")}

    def draw(self, *scores: float) -> None:
        """Draw as many pictures, with these scores, and tend after each."""
        for score in scores:
            assert self.worker.draw(score) is not None
            self.sweep()


@pytest.fixture
def house(redis: Redis, tmp_path: Path) -> House:
    artifacts = ArtifactStore(str(tmp_path / "artifacts"))
    return House(
        redis=redis,
        queue=JobQueue(redis, max_queued=MAX_QUEUED),
        files=JobFiles(artifacts),
        folder=tmp_path / "artifacts",
        store=NightStore(redis),
        nights=Nights(redis),
        worker=PlayedWorker(redis, str(tmp_path / "artifacts")),
    )


Begin = Callable[..., Night]


@pytest.fixture
def begin(house: House) -> Begin:
    """Begin a night of these fields."""

    def begin_night(**fields: Any) -> Night:
        wanted: dict[str, Any] = {
            "request": SELECTED,
            "hours": 8,
            "keep": 3,
            "by": "clip",
            "identity": EVERYBODY,
            "caller": "ann",
        }
        night_id = new_job_id()
        assert house.nights.begin(night_id, NightPlan(**(wanted | fields)))
        return house.nights.get(night_id)

    return begin_night
