"""The tasks that open the index and keep it up."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis import Redis

from app.api.operation.wakeups import Wakeups, wake_readers
from app.api.search.index import SearchIndex
from app.api.search.keeper import SearchKeeper
from jobs.db.connection import connect, connect_async
from jobs.errors import QueueUnavailableError, SearchTimedOutError
from tests.app.api.search.studio import Studio, index_of, nearest, unit


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots are due after two pictures."""
    monkeypatch.setattr("app.api.search.generation.LEAST_FRESH", 2)
    monkeypatch.setattr("app.api.search.keeper.MAINTAIN_EVERY_S", 0.05)


@asynccontextmanager
async def running(keeper: SearchKeeper, redis_url: str) -> AsyncIterator[None]:
    """The tasks of a server."""
    wakeups, redis = Wakeups(), connect_async(redis_url, max_connections=2)
    tasks = [asyncio.create_task(work) for work in (keeper.run(wakeups), wake_readers(redis, wakeups))]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await redis.aclose()


async def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


def test_the_index_opens_when_it_is_first_wanted_and_follows_by_itself(
    studio: Studio, redis_url: str
) -> None:
    async def scenario() -> SearchIndex:
        keeper = SearchKeeper(studio.index())
        async with running(keeper, redis_url):
            await asyncio.sleep(0.1)
            assert not keeper.index.is_open
            assert studio.store.listings == 0
            index = await keeper.opened(20)
            assert len(index) == 1
            await asyncio.to_thread(studio.make, [unit(2)])
            await until(lambda: len(index) == 2)  # without a query
            await until(lambda: studio.snapshots)
        return index

    studio.make([unit(1)])
    assert nearest(asyncio.run(scenario()), 2)[2] == 1.0
    assert studio.store.listings == 1


def test_where_it_was_used_before_it_opens_at_the_start(studio: Studio, redis_url: str) -> None:
    jobs = [studio.make([unit(seed)]) for seed in range(3)]
    before = studio.index()
    before.open()
    before.maintain()
    listings = studio.store.listings

    async def scenario() -> None:
        keeper = SearchKeeper(studio.index())
        async with running(keeper, redis_url):
            await until(lambda: keeper.index.is_open)
            studio.delete(jobs[0])
            await until(lambda: len(keeper.index) == 2)

    asyncio.run(scenario())
    assert studio.store.listings == listings


def test_a_query_that_comes_too_early_is_told_so(studio: Studio) -> None:
    with pytest.raises(SearchTimedOutError, match="still being built"):
        asyncio.run(SearchKeeper(studio.index()).opened(0.1))


def test_why_it_cannot_open_is_told(studio: Studio, redis_url: str) -> None:
    away = connect("redis://127.0.0.1:1", patient=False)

    async def scenario() -> None:
        keeper = SearchKeeper(index_of(studio.segments, away, studio.folder))
        async with running(keeper, redis_url):
            await keeper.opened(20)

    with pytest.raises(QueueUnavailableError):
        asyncio.run(scenario())


def test_snapshots_lie_in_the_folder_that_is_set(studio: Studio, redis: Redis, tmp_path: Path) -> None:
    for seed in range(3):
        studio.make([unit(seed)])
    disk = tmp_path / "disk"
    for folder, where in ((disk, disk), (None, studio.folder / "search")):
        index = SearchKeeper.of(studio.segments, redis, folder).index
        index.open()
        index.maintain()
        (snapshot,) = (place for place in where.rglob("snapshot-*") if place.is_dir())
        assert snapshot.parent.name == Path(studio.segments.folder).name
