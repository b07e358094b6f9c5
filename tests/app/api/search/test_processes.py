"""Several API processes on one machine share the segments and the snapshots."""

import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from app.api.search import building, generation
from jobs.db.connection import connect
from jobs.storage.segments import Segments
from tests.app.api.search.studio import CountingStore, Studio, index_of, nearest, unit


def serve(folder: str, redis_url: str, commands: Connection) -> None:
    """A server that only searches: does what it is told, and answers."""
    generation.LEAST_FRESH = 2
    store = CountingStore(folder)
    index = index_of(Segments(store, "org/clip"), connect(redis_url, patient=False), Path(folder))
    while True:
        command, *arguments = commands.recv()
        if command == "open":
            index.open()
            commands.send(len(index))
        elif command == "nearest":
            commands.send(nearest(index, *arguments))
        elif command == "all":
            commands.send({each.job_id for each in index.nearest(unit(0), 1000)})
        elif command == "maintain":
            index.follow()
            index.maintain()
            commands.send((store.listings, store.reads))
        elif command == "hang":  # in the middle of a snapshot

            def hang(descriptor: int) -> None:
                commands.send("hanging")
                time.sleep(60)

            building.os.fsync = hang  # type: ignore[attr-defined]
        else:
            return


@contextmanager
def server(studio: Studio, redis_url: str) -> Iterator[tuple[Any, multiprocessing.process.BaseProcess]]:
    """A function that tells a server, and the process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(str(studio.folder), redis_url, theirs))
    process.start()

    def tell(*command: object) -> Any:
        ours.send(command)
        assert ours.poll(60)
        return ours.recv()

    tell.pipe = ours  # type: ignore[attr-defined]
    try:
        yield tell, process
    finally:
        if process.is_alive():
            ours.send(("stop",))
        process.join(30)
        assert not process.is_alive()


def test_two_processes_find_the_same_and_one_writes_the_snapshot_for_both(
    studio: Studio, redis_url: str
) -> None:
    jobs = [studio.make([unit(seed)]) for seed in range(4)]
    with server(studio, redis_url) as (first, _), server(studio, redis_url) as (second, _):
        assert first("open") == second("open") == 4
        late = studio.make([unit(50)])
        studio.delete(jobs[0])
        for tell in (first, second):
            assert tell("nearest", 50) == (late, 0, 1.0)
            assert tell("all") == {*jobs[1:], late}
        for tell in (first, second):  # both at once
            tell.pipe.send(("maintain",))
        answers = [tell.pipe.recv() for tell in (first, second)]
        second("maintain")  # if it had to wait for the first
        first("maintain")
        assert len(studio.snapshots) == 1
        assert [listings for listings, _ in answers] == [1, 1]
        newest = studio.make([unit(60)])
        studio.delete(jobs[1])
        for tell in (first, second):
            assert tell("nearest", 60) == (newest, 0, 1.0)
            assert tell("all") == {*jobs[2:], late, newest}


def test_a_process_that_is_killed_while_it_writes_leaves_the_last_snapshot(
    studio: Studio, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.api.search.generation.LEAST_FRESH", 2)
    jobs = [studio.make([unit(seed)]) for seed in range(4)]
    with server(studio, redis_url) as (tell, process):
        tell("open")
        tell("maintain")
        (good,) = studio.snapshots
        jobs += [studio.make([unit(seed)]) for seed in range(4, 8)]
        tell.pipe.send(("hang",))
        tell.pipe.send(("maintain",))
        assert tell.pipe.poll(60)
        assert tell.pipe.recv() == "hanging"
        assert process.pid is not None
        os.kill(process.pid, 9)
        process.join(30)
    assert len(studio.snapshots) == 2
    listings = studio.store.listings
    index = studio.index()
    assert {each.job_id for each in index.nearest(unit(0), 100)} == set(jobs)
    assert studio.store.listings == listings
    index.maintain()
    (new,) = studio.snapshots
    assert new != good
    assert {each.job_id for each in index.nearest(unit(0), 100)} == set(jobs)


def test_nothing_is_lost_between_two_that_write_snapshots_in_turns(studio: Studio, redis_url: str) -> None:
    with server(studio, redis_url) as (first, _), server(studio, redis_url) as (second, _):
        for tell in (first, second):
            tell("open")
        jobs: list[str] = []
        for round in range(10):
            jobs += [studio.make([unit(100 * round + number)]) for number in range(5)]
            tell = (first, second)[round % 2]
            tell.pipe.send(("maintain",))
            jobs += [studio.make([unit(100 * round + 50 + number)]) for number in range(5)]
            assert (second, first)[round % 2]("nearest", 100 * round + 54) == (jobs[-1], 0, 1.0)
            assert tell.pipe.poll(60)
            tell.pipe.recv()
        for tell in (first, second):
            assert tell("all") == set(jobs)
