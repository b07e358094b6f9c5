"""What a search finds, and when; and that it lists nothing."""

import threading
from pathlib import Path

import pytest
from redis import Redis

from app.api.search.index import SearchIndex
from jobs.db import keys
from jobs.events.event_log import KEPT_OF_ALL
from tests.app.api.search.studio import Studio, index_of, nearest, unit
from tests.jobs.samples import RESOLVED


def test_an_empty_index_finds_nothing(studio: Studio) -> None:
    assert studio.index().nearest(unit(0), 5) == []


def test_every_picture_is_the_nearest_to_itself(studio: Studio) -> None:
    jobs = [studio.make([unit(100 * job + picture) for picture in range(3)]) for job in range(5)]
    index = studio.index()
    for number, job_id in enumerate(jobs):
        for picture in range(3):
            assert nearest(index, 100 * number + picture) == (job_id, picture, 1.0)
    assert len(index.nearest(unit(0), 100)) == len(index) == 15
    assert index.nearest([1.0], 5) == []  # of another CLIP


def test_a_query_lists_nothing_and_finds_what_has_ended_before_it(studio: Studio) -> None:
    first = studio.make([unit(1)])
    index = studio.index()
    assert nearest(index, 1) == (first, 0, 1.0)
    assert studio.store.listings == 1
    for seed in range(2, 30):
        job_id = studio.make([unit(seed)])
        assert nearest(index, seed) == (job_id, 0, 1.0)
    reads = studio.store.reads
    for _ in range(50):
        assert nearest(index, 1)[0] == first
    assert (studio.store.listings, studio.store.reads) == (1, reads)


def test_deleted_pictures_are_found_by_no_server_from_then_on(studio: Studio) -> None:
    jobs = [studio.make([unit(seed)]) for seed in range(4)]
    index, other = studio.index(), studio.index()
    assert len(other.nearest(unit(0), 10)) == len(index.nearest(unit(0), 10)) == 4
    studio.delete(jobs[1])
    for searching in (index, other):
        assert {each.job_id for each in searching.nearest(unit(1), 10)} == {jobs[0], jobs[2], jobs[3]}
    for job_id in (jobs[0], jobs[2], jobs[3]):
        studio.delete(job_id)
    assert index.nearest(unit(0), 5) == []
    again = studio.make([unit(9)])
    assert nearest(index, 9) == nearest(other, 9) == (again, 0, 1.0)


def test_the_execution_that_has_won_a_job_is_found_and_a_lost_one_is_not(studio: Studio) -> None:
    won = studio.make([unit(1)])
    studio.write(won, "7-lost", [unit(2)])
    index = studio.index()
    assert len(index.nearest(unit(1), 5)) == 2  # a listing does not tell them apart, the route does
    index.forget(won, "7-lost")
    assert nearest(index, 2)[2] < 1
    late = studio.queue.submit(RESOLVED).job.id
    studio.write(late, "1-lost", [unit(3)])
    restarted = studio.index()
    assert nearest(restarted, 3) == (late, 0, 1.0)
    lease = studio.claim(late)
    studio.write(late, lease.fence, [unit(4)])
    studio.succeed(lease)
    assert nearest(restarted, 4) == (late, 0, 1.0)
    assert nearest(restarted, 3)[2] < 1  # its job has ended with another's pictures


def test_a_job_that_does_not_succeed_leaves_the_index(studio: Studio) -> None:
    job_id = studio.queue.submit(RESOLVED).job.id
    studio.write(job_id, "1-aa", [unit(3)])
    index = studio.index()
    assert nearest(index, 3) == (job_id, 0, 1.0)
    studio.queue.cancel(job_id)
    assert index.nearest(unit(3), 5) == []


def test_after_events_were_trimmed_the_segments_are_listed_once(studio: Studio, redis: Redis) -> None:
    jobs = [studio.make([unit(seed)]) for seed in range(3)]
    index = studio.index()
    assert nearest(index, 2) == (jobs[2], 0, 1.0)
    studio.delete(jobs[0])
    missed = studio.make([unit(3)])
    redis.xtrim(keys.events(None), maxlen=0, approximate=False)
    with redis.pipeline(transaction=False) as pipeline:
        for _ in range(KEPT_OF_ALL):
            pipeline.xadd(keys.events(None), {"job_id": "0", "type": "queued"})
        pipeline.execute()
    listings = studio.store.listings
    assert nearest(index, 1) == (jobs[1], 0, 1.0)  # it answers from what it knows
    assert index.needs_upkeep()
    index.maintain()
    assert studio.store.listings == listings + 1
    assert not index.needs_upkeep()
    assert nearest(index, 3) == (missed, 0, 1.0)
    assert {each.job_id for each in index.nearest(unit(0), 10)} == {*jobs[1:], missed}
    later = studio.make([unit(4)])
    assert nearest(index, 4) == (later, 0, 1.0)
    assert studio.store.listings == listings + 1


def test_a_server_whose_redis_has_lost_its_events_lists_again(studio: Studio, redis: Redis) -> None:
    studio.make([unit(1)])
    index = studio.index()
    assert len(index.nearest(unit(1), 5)) == 1
    redis.flushall()
    index.follow()
    assert index.needs_upkeep()
    index.maintain()
    assert not index.needs_upkeep()
    job_id = studio.make([unit(2)])
    assert nearest(index, 2) == (job_id, 0, 1.0)


def test_the_pictures_of_an_archived_job_are_found_by_its_folder(studio: Studio, redis: Redis) -> None:
    index = studio.index()
    assert index.nearest(unit(1), 5) == []
    job_id = studio.make([unit(1)])
    redis.hset(keys.job(job_id), "archived", 1)
    redis.hdel(keys.job(job_id), "settled_by")
    assert nearest(index, 1) == (job_id, 0, 1.0)


def test_a_damaged_segment_hides_no_other(studio: Studio, tmp_path: Path) -> None:
    damaged, sound = studio.make([unit(1)]), studio.make([unit(2)])
    (file,) = tmp_path.rglob(f"{damaged}/*/segment.json")
    content = file.read_bytes()
    for wrong in (content[:40], content.replace(b'"width":16', b'"width":15'), b"", b"\xff"):
        file.write_bytes(wrong)
        index = studio.index()
        assert nearest(index, 2) == (sound, 0, 1.0)
        assert len(index) == 1
    studio.make([[1.0, 0.0]])  # of another width than those before
    assert nearest(index, 2) == (sound, 0, 1.0)
    assert len(index) == 1


@pytest.mark.parametrize("has_snapshot", [False, True])
def test_a_tenant_finds_its_own_pictures_alone(
    studio: Studio, has_snapshot: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.api.search.generation.LEAST_FRESH", 1 if has_snapshot else 10**6)
    monkeypatch.setattr("app.api.search.building.EXACT_ROWS", 200)
    tenants = ["", "alice", "bob", "alice", "", "crowd", "crowd"]
    sizes = {"crowd": 300}
    jobs = [
        studio.make([unit(1000 * number + picture) for picture in range(sizes.get(tenant, 3))], tenant)
        for number, tenant in enumerate(tenants)
    ]
    index = studio.index()
    assert len(index.nearest(unit(0), 1000)) == 6
    if has_snapshot:
        index.maintain()
        assert studio.snapshots
        assert list(studio.snapshots[0].glob("lists-*"))
        index = studio.index()
    for tenant, own in (("", {0, 4}), ("alice", {1, 3}), ("bob", {2}), ("crowd", {5, 6}), ("carol", set())):
        found = index.nearest(unit(2000), 1000, tenant)
        assert {each.job_id for each in found} == {jobs[number] for number in own}, tenant
        assert len(found) == sizes.get(tenant, 3) * len(own)
    studio.delete(jobs[1])
    assert {each.job_id for each in index.nearest(unit(1000), 50, "alice")} == {jobs[3]}


def test_threads_search_while_pictures_come_and_go(studio: Studio) -> None:
    jobs = [studio.make([unit(seed)]) for seed in range(10)]
    index = studio.index()
    index.open()
    wrong: list[object] = []
    stop = threading.Event()

    def search(searching: SearchIndex) -> None:
        while not stop.is_set():
            try:
                if nearest(searching, 5) != (jobs[5], 0, 1.0):
                    wrong.append("not found")
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=search, args=(index,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    made = [studio.make([unit(seed)]) for seed in range(100, 160)]
    for job_id in made[::2]:
        studio.delete(job_id)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    left = {each.job_id for each in index.nearest(unit(0), 1000)}
    assert left == {*jobs, *made[1::2]}


def test_without_a_place_for_snapshots_it_works_in_memory(
    studio: Studio, redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.api.search.generation.LEAST_FRESH", 2)
    monkeypatch.setattr("app.api.search.index.READ_INTO_MEMORY", 2)
    jobs = [studio.make([unit(seed)]) for seed in range(5)]
    (tmp_path / "blocked").write_text("no folder")
    index = index_of(studio.segments, redis, tmp_path / "blocked")
    assert nearest(index, 3) == (jobs[3], 0, 1.0)
    if index.needs_upkeep():
        index.maintain()
    assert nearest(index, 4) == (jobs[4], 0, 1.0)
    assert len(index) == 5
