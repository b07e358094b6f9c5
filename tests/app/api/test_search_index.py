import math
import multiprocessing
import threading
from multiprocessing.synchronize import Barrier
from pathlib import Path
from random import Random
from typing import Any

import pytest

from app.api.search_index import SearchIndex
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.segments import Segment, Segments

WIDTH = 16


def unit(seed: int) -> list[float]:
    rng = Random(seed)
    vector = [rng.gauss(0, 1) for _ in range(WIDTH)]
    return [number / math.hypot(*vector) for number in vector]


@pytest.fixture
def segments(tmp_path: Path) -> Segments:
    return Segments(ArtifactStore(str(tmp_path)), "org/clip")


def write(segments: Segments, job: int, pictures: int = 1) -> None:
    rows = {index: unit(100 * job + index) for index in range(pictures)}
    segments.write(*segments.encode(Segment.of(f"{job:024x}", "1-aa", rows)))


def nearest(index: SearchIndex, seed: int) -> tuple[str, int, float]:
    (found,) = index.nearest(unit(seed), 1)
    return found.job_id, found.index, round(found.similarity, 5)


def test_an_empty_index_finds_nothing(segments: Segments) -> None:
    assert SearchIndex(segments).nearest(unit(0), 5) == []


def test_every_picture_is_the_nearest_to_itself(segments: Segments) -> None:
    for job in range(5):
        write(segments, job, pictures=3)
    index = SearchIndex(segments)
    for job in range(5):
        for picture in range(3):
            assert nearest(index, 100 * job + picture) == (f"{job:024x}", picture, 1.0)
    assert len(index.nearest(unit(0), 100)) == len(index) == 15


def test_an_index_whose_pictures_were_all_deleted_finds_nothing_and_takes_new_ones(
    segments: Segments,
) -> None:
    write(segments, 1, pictures=2)
    index = SearchIndex(segments)
    assert nearest(index, 100) == (f"{1:024x}", 0, 1.0)
    index.forget(f"{1:024x}", "1-aa")
    assert index.nearest(unit(0), 5) == []
    write(segments, 2)
    assert nearest(index, 200) == (f"{2:024x}", 0, 1.0)


def write_four(folder: Path, writer: int, start: Barrier) -> None:
    """The writes of one of many workers."""
    segments = Segments(ArtifactStore(str(folder)), "org/clip")
    start.wait()
    for job in range(4):
        write(segments, 4 * writer + job)


def test_fifty_writing_processes_lose_nothing_while_others_search(segments: Segments, tmp_path: Path) -> None:
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__])
    start, others = processes.Barrier(52), [SearchIndex(segments) for _ in range(2)]

    def search_many(searching: SearchIndex) -> None:
        start.wait()
        for seed in range(20):
            searching.nearest(unit(seed), 3)

    writers = [processes.Process(target=write_four, args=(tmp_path, writer, start)) for writer in range(50)]
    searchers = [threading.Thread(target=search_many, args=(other,)) for other in others]
    everyone: list[Any] = [*writers, *searchers]
    for one in everyone:
        one.start()
    for one in everyone:
        one.join()
    assert [writer.exitcode for writer in writers] == [0] * 50
    for searching in (SearchIndex(segments), *others):
        found = {each.job_id for each in searching.nearest(unit(0), 1000)}
        assert found == {f"{job:024x}" for job in range(200)}


def test_pictures_that_were_forgotten_or_deleted_are_not_found(segments: Segments) -> None:
    for job in range(4):
        write(segments, job, pictures=2)
    index, other = SearchIndex(segments), SearchIndex(segments)
    assert len(other.nearest(unit(0), 10)) == 8
    index.forget(f"{1:024x}", "1-aa")
    for searching in (index, other):
        found = searching.nearest(unit(100), 10)
        assert {each.job_id for each in found} == {f"{job:024x}" for job in (0, 2, 3)}
        for job in (0, 2, 3):
            assert nearest(searching, 100 * job + 1) == (f"{job:024x}", 1, 1.0)


def test_a_snapshot_spares_reading_the_segments_and_is_not_needed(
    segments: Segments, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("app.api.search_index.SNAPSHOT_EVERY", 3)
    for job in range(6):
        write(segments, job)
    SearchIndex(segments).nearest(unit(0), 1)
    (snapshot,) = tmp_path.rglob("snapshot.npz")
    write(segments, 6)
    for state in (b"as it is", b"damaged"):
        if state == b"damaged":
            snapshot.write_bytes(state)
        index = SearchIndex(segments)
        assert [nearest(index, 100 * job) for job in range(7)] == [
            (f"{job:024x}", 0, 1.0) for job in range(7)
        ]
        assert len(index) == 7


def test_a_damaged_segment_hides_no_other(segments: Segments, tmp_path: Path) -> None:
    write(segments, 1)
    write(segments, 2)
    (file,) = tmp_path.rglob(f"{1:024x}/*/*")
    file.write_bytes(file.read_bytes()[:40])
    assert nearest(SearchIndex(segments), 200) == (f"{2:024x}", 0, 1.0)


def test_a_tenant_finds_its_own_pictures_alone(segments: Segments) -> None:
    for job, tenant in enumerate(["", "alice", "bob", "alice", ""]):
        rows = {index: unit(100 * job + index) for index in range(3)}
        segments.write(*segments.encode(Segment.of(f"{job:024x}", "1-aa", rows, tenant)))
    index = SearchIndex(segments)
    for tenant, jobs in (("", {0, 4}), ("alice", {1, 3}), ("bob", {2}), ("carol", set())):
        found = index.nearest(unit(200), 50, tenant)
        assert {int(each.job_id, 16) for each in found} == jobs
        assert len(found) == 3 * len(jobs)
    index.forget(f"{1:024x}", "1-aa")
    assert {int(each.job_id, 16) for each in index.nearest(unit(200), 50, "alice")} == {3}


def test_a_snapshot_keeps_apart_whose_pictures_they_are(
    segments: Segments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.api.search_index.SNAPSHOT_EVERY", 1)
    for job, tenant in enumerate(["", "alice"]):
        segments.write(*segments.encode(Segment.of(f"{job:024x}", "1-aa", {0: unit(job)}, tenant)))
    SearchIndex(segments).nearest(unit(0), 1)
    assert [each.job_id for each in SearchIndex(segments).nearest(unit(0), 5, "alice")] == [f"{1:024x}"]
