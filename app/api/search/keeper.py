"""Opens the search index when it is first wanted, and keeps it up while the server runs."""

import asyncio
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import structlog
from anyio.to_thread import run_sync
from redis import Redis

from app.api.operation.wakeups import Wakeups
from app.api.search.building import BuildingStoppedError
from app.api.search.index import SearchIndex
from app.api.search.libraries import libraries
from jobs.errors import LodestarError, SearchTimedOutError
from jobs.events.endings import Endings
from jobs.storage.segments import Segments

DEFAULT_FOLDER = Path("data/search")
ENDS = frozenset({"done", "deleted"})
OPEN_AGAIN_S = 2.0
LOOK_S = 0.02
PAUSE_S = 0.05  # so that a busy service's events are read in portions
MAINTAIN_EVERY_S = 2.0

log = structlog.get_logger(__name__)


class SearchKeeper:
    """The index, and the tasks that keep it up."""

    def __init__(self, index: SearchIndex) -> None:
        self.index = index
        self._wanted = asyncio.Event()
        self._failure: Exception | None = None

    @classmethod
    def of(cls, segments: Segments, redis: Redis, folder: Path | None) -> "SearchKeeper":
        """The keeper of the pictures of some segments.

        Args:
            segments: of the pictures.
            redis: knows which jobs have ended.
            folder: of the snapshots; if None, beside the segments, or ``data/search`` if these are remote.
        """
        beside = segments.local_folder
        if folder is not None or beside is None:
            beside = (folder or DEFAULT_FOLDER) / Path(segments.folder).name
        return cls(SearchIndex(segments, Endings(redis), beside))

    async def opened(self, within_s: float) -> SearchIndex:
        """The index, once it can answer.

        Raises:
            MissingExtraError: FAISS is not installed.
            OSError: the artifact store cannot be reached.
            QueueUnavailableError: Redis cannot be reached.
            SearchTimedOutError: its first build takes longer.
        """
        if not self.index.is_open:
            await run_sync(libraries)
            self._failure = None
            self._wanted.set()
            await self._opening(within_s)
        return self.index

    async def _opening(self, within_s: float) -> None:
        waited = 0.0
        while not self.index.is_open:
            if self._failure is not None:
                raise self._failure
            if waited > within_s:
                raise SearchTimedOutError(
                    "the index of the pictures is still being built; search again later"
                )
            await asyncio.sleep(LOOK_S)
            waited += LOOK_S

    async def run(self, wakeups: Wakeups) -> None:
        """Open the index when it is wanted, or at once if it was used here before; then keep it up until canceled."""
        try:
            if find_spec("faiss") is None or not self.index.has_snapshot:
                await self._wanted.wait()
            while not self.index.is_open:
                await self._tried(self.index.open)
                if not self.index.is_open:
                    await asyncio.sleep(OPEN_AGAIN_S)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow(wakeups))
                tasks.create_task(self._maintain())
        finally:
            self.index.close()

    async def _follow(self, wakeups: Wakeups) -> None:
        with wakeups.listening(None, ENDS) as bell:
            while True:
                bell.clear()
                await self._tried(self.index.follow)
                await bell.wait()
                await asyncio.sleep(PAUSE_S)

    async def _maintain(self) -> None:
        while True:
            if self.index.needs_upkeep():
                await self._tried(self.index.maintain)
            await asyncio.sleep(MAINTAIN_EVERY_S)

    async def _tried(self, work: Callable[[], object]) -> None:
        """Do it on a thread; it may fail."""
        try:
            await run_sync(work, abandon_on_cancel=True)
        except BuildingStoppedError:
            return
        except (LodestarError, OSError) as error:
            log.warning("the search index cannot be kept up", reason=str(error))
            self._failure = error
        except Exception as error:
            log.exception("the search index cannot be kept up")
            self._failure = error
