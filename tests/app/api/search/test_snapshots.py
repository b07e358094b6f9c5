"""Snapshots: what they spare, when they are not trusted, and what happens while one is written."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from app.api.search.index import SearchIndex
from tests.app.api.search.studio import Studio, nearest, unit

NUMBER = 6


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots are due after two pictures, and more than 20 have inverted lists."""
    monkeypatch.setattr("app.api.search.generation.LEAST_FRESH", 2)
    monkeypatch.setattr("app.api.search.building.EXACT_ROWS", 200)


def of_seeds(studio: Studio, *seeds: int) -> list[str]:
    """Jobs with a picture each."""
    return [studio.make([unit(seed)]) for seed in seeds]


def kept_up(studio: Studio) -> SearchIndex:
    """An index that has written what is due."""
    index = studio.index()
    index.open()
    if index.needs_upkeep():
        index.maintain()
    return index


def test_a_start_from_a_snapshot_lists_and_reads_no_segment(studio: Studio) -> None:
    jobs = [
        studio.make([unit(10 * job), unit(10 * job + 1)], tenant)
        for job, tenant in enumerate(["", "a", "", "a"])
    ]
    kept_up(studio)
    late = studio.make([unit(100)], "a")
    listings, reads = studio.store.listings, studio.store.reads
    index = studio.index()
    for job, tenant in enumerate(["", "a", "", "a"]):
        for picture in range(2):
            assert nearest(index, 10 * job + picture, tenant) == (jobs[job], picture, 1.0)
    assert nearest(index, 100, "a") == (late, 0, 1.0)
    assert studio.store.listings == listings
    assert studio.store.reads == reads + 1  # of the late one


def test_what_was_deleted_while_no_server_ran_is_not_found(studio: Studio) -> None:
    jobs = of_seeds(studio, *range(NUMBER))
    kept_up(studio)
    studio.delete(jobs[2])
    found = studio.index().nearest(unit(2), NUMBER)
    assert {each.job_id for each in found} == {*jobs[:2], *jobs[3:]}


def zeroed(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    file.write_bytes(content)


def flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def torn(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def edited(**changes: object) -> Callable[[Path], None]:
    def edit(file: Path) -> None:
        file.write_text(json.dumps({**json.loads(file.read_bytes()), **changes}))

    return edit


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *(
            (name, damage)
            for name in ("vectors", "rows", "jobs", "lists-0")
            for damage in (zeroed, flipped, torn)
        ),
        *((name, Path.unlink) for name in ("fences", "executions", "snapshot.json")),
        ("snapshot.json", torn),
        ("snapshot.json", edited(version=1)),
        ("snapshot.json", edited(cursor="0-0")),
        ("snapshot.json", edited(root="search/other/segments")),
        ("snapshot.json", edited(folder="..")),
    ],
)
def test_a_snapshot_that_is_not_as_it_was_written_is_built_again(
    studio: Studio, tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    jobs = of_seeds(studio, *range(3))
    crowd = studio.make([unit(1000 + number) for number in range(300)])
    kept_up(studio)
    (file,) = tmp_path.rglob(name)
    damage(file)
    listings = studio.store.listings
    index = kept_up(studio)
    assert studio.store.listings == listings + 1
    for seed, job_id in enumerate(jobs):
        assert nearest(index, seed) == (job_id, 0, 1.0)
    assert nearest(index, 1150) == (crowd, 150, 1.0)
    assert len(index) == 303
    assert len(studio.snapshots) == 1
    listings = studio.store.listings
    assert nearest(studio.index(), 1150) == (crowd, 150, 1.0)
    assert studio.store.listings == listings  # from the new one


def test_a_snapshot_of_an_earlier_version_goes(studio: Studio, tmp_path: Path) -> None:
    of_seeds(studio, 1, 2)
    earlier = studio.segments.local_folder
    assert earlier is not None
    (earlier / "snapshot.npz").write_bytes(b"of another form")
    kept_up(studio)
    assert not (earlier / "snapshot.npz").exists()


def test_what_comes_and_goes_while_a_snapshot_is_written_is_not_lost(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = of_seeds(studio, *range(NUMBER))
    index = studio.index()
    index.open()
    arrived: list[str] = []
    calls: list[int] = []
    fsync = os.fsync

    def meanwhile(descriptor: int) -> None:
        fsync(descriptor)
        calls.append(descriptor)
        if len(calls) == 1:
            arrived.extend(of_seeds(studio, 50))
            studio.delete(jobs[0])
            assert nearest(index, 50) == (arrived[0], 0, 1.0)  # a query during the write

    monkeypatch.setattr("app.api.search.building.os.fsync", meanwhile)
    index.maintain()
    assert studio.snapshots
    for searching in (index, studio.index()):
        assert nearest(searching, 50) == (arrived[0], 0, 1.0)
        assert {each.job_id for each in searching.nearest(unit(0), 100)} == {*jobs[1:], *arrived}


def test_a_full_disk_costs_no_picture_and_the_snapshot_comes_when_there_is_room(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = of_seeds(studio, *range(NUMBER))
    index = studio.index()
    index.open()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("app.api.search.building.os.fsync", full)
        index.maintain()
    assert studio.snapshots == []
    assert nearest(index, 3) == (jobs[3], 0, 1.0)
    index.maintain()
    assert len(studio.snapshots) == 1
    assert nearest(index, 3) == (jobs[3], 0, 1.0)


def test_snapshot_follows_snapshot_and_only_the_last_is_kept(studio: Studio) -> None:
    index = studio.index()
    index.open()
    jobs: list[str] = []
    for start in range(0, 20, 4):
        jobs += of_seeds(studio, *range(start, start + 4))
        index.follow()
        index.maintain()
        assert len(studio.snapshots) == 1
        if start:
            studio.delete(jobs[start - 1])
    gone = {jobs[start - 1] for start in range(4, 20, 4)}
    for searching in (index, studio.index()):
        assert {each.job_id for each in searching.nearest(unit(0), 100)} == set(jobs) - gone
    for job_id in set(jobs) - gone:
        studio.delete(job_id)
    index.follow()
    index.maintain()
    assert len(index) == 0
    (again,) = of_seeds(studio, 99)
    assert nearest(index, 99) == nearest(studio.index(), 99) == (again, 0, 1.0)


def test_many_segments_go_into_a_snapshot_at_once(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.api.search.index.READ_INTO_MEMORY", 3)
    jobs = [studio.make([unit(seed)], "a" if seed % 2 else "") for seed in range(8)]
    index = studio.index()
    index.open()
    (snapshot,) = studio.snapshots
    assert not (snapshot / "spool").exists()
    for seed, job_id in enumerate(jobs):
        assert nearest(index, seed, "a" if seed % 2 else "") == (job_id, 0, 1.0)
