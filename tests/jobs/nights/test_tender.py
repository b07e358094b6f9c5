"""A night from its first candidate to its end, whoever is restarted in between."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from redis import Redis
from structlog.testing import capture_logs

from jobs.callers.identity import EVERYBODY, Identity
from jobs.callers.keys import KeyStore
from jobs.callers.quota import Quota
from jobs.callers.record import new_record
from jobs.callers.scopes import Scope
from jobs.callers.secret import draw_key
from jobs.db import keys
from jobs.db.scripts import PREFIX
from jobs.errors import (
    IdempotencyConflictError,
    JobFailedError,
    QueueFullError,
    QueueUnavailableError,
    UnknownNightError,
)
from jobs.nights.nights import MOST_OPEN
from jobs.nights.plan import NightPlan
from jobs.nights.sending import AHEAD
from jobs.nights.store import NightStore
from jobs.nights.tender import FAILURES_BORNE
from jobs.queue.queue import JobQueue
from jobs.queue.submission import new_job_id
from jobs.status.job import JobStatus
from jobs.status.night import NightStatus
from jobs.status.view import View
from jobs.storage.archive import JobArchive
from jobs.storage.artifacts import ArtifactStore
from tests.jobs.nights.conftest import ENLARGED, MAX_QUEUED, SELECTED, Begin, House
from tests.jobs.samples import RESOLVED


def test_a_few_candidates_of_low_priority_wait_each_with_its_own_seed(house: House, begin: Begin) -> None:
    night = begin()
    house.sweep(3)
    jobs = house.jobs()
    assert [job.generation.seed for job in jobs] == list(range(7, 7 + AHEAD))
    assert {job.generation.priority for job in jobs} == {"low"}
    assert {job.generation.num_images for job in jobs} == {1}
    assert house.nights.get(night.id).pending == AHEAD
    # Four times the share of a night's job is given to anybody else's.
    other = house.queue.submit(RESOLVED, caller="bob").job.id
    first = house.worker.leases.claim_next()
    second = house.worker.leases.claim_next()
    assert first is not None
    assert second is not None
    assert other in {first.job_id, second.job_id}
    house.sweep()
    assert house.nights.get(night.id).pending == AHEAD + 1  # one of them runs


def test_the_best_are_kept_as_they_come_and_the_others_are_deleted(house: House, begin: Begin) -> None:
    night = begin(keep=3)
    house.sweep()
    house.draw(0.2, 0.1)
    now = house.nights.get(night.id)
    assert ([each.score for each in now.kept], now.threshold) == ([0.2, 0.1], None)
    house.draw(0.3, 0.15, 0.05, 0.4)
    now = house.nights.get(night.id)
    assert [(each.score, each.number, each.seed) for each in now.kept] == [
        (0.4, 5, 12),
        (0.3, 2, 9),
        (0.2, 0, 7),
    ]
    assert (now.made, now.num_kept, now.threshold) == (6, 3, 0.2)
    stored = [job for job in house.jobs() if job.status is JobStatus.SUCCEEDED]
    assert {job.id for job in stored} == {each.job_id for each in now.kept}
    assert house.folders() == {job.id for job in stored}
    race = [(point.number, point.score, point.threshold) for point in now.race]
    assert race == [
        (0, 0.2, None),
        (1, 0.1, None),
        (2, 0.3, 0.1),
        (3, 0.15, 0.15),
        (4, 0.05, 0.15),
        (5, 0.4, 0.2),
    ]
    assert [point.at_s for point in now.race] == sorted(point.at_s for point in now.race)


def test_a_share_grows_with_the_pictures_and_may_take_one_back(house: House, begin: Begin) -> None:
    night = begin(keep="10%")
    house.sweep()
    house.draw(0.2, *[0.01 * (number % 10) for number in range(9)])
    assert [each.number for each in house.nights.get(night.id).kept] == [0]
    house.draw(0.001)  # the eleventh: now the best two are kept
    assert [each.number for each in house.nights.get(night.id).kept] == [0, 9]
    house.nights.finish(night.id)
    house.sweep(2)
    now = house.nights.get(night.id)
    assert (now.status, now.made, now.num_kept) == ("succeeded", 11, 2)
    assert {job.id for job in house.jobs()} == {each.job_id for each in now.kept}


def test_when_the_time_is_over_what_is_drawn_still_counts_and_the_best_are_enlarged(
    house: House, begin: Begin
) -> None:
    night = begin(request=ENLARGED, keep=2, hours=0.5 / 3600)
    house.sweep()
    house.draw(0.1, 0.2)
    running = house.worker.leases.claim_next()
    assert running is not None
    house.redis.hset(keys.night(night.id), "ends_us", 0)  # the time is over
    house.sweep()
    now = house.nights.get(night.id)
    assert (now.status, now.left_s, now.pending) == ("finishing", 0, 1)
    assert [job.status for job in house.jobs()].count(JobStatus.QUEUED) == 0
    house.worker.leases.succeed(running, house.worker.store(running, 0.3))
    house.sweep()
    larger = [job for job in house.jobs() if job.status is JobStatus.QUEUED]
    assert [job.generation.seed for job in larger] == [9, 8]
    assert all(job.generation.upscale for job in larger)
    assert house.nights.get(night.id).status is NightStatus.FINISHING
    small = {each.job_id for each in house.nights.get(night.id).kept}
    house.draw(0.3)
    now = house.nights.get(night.id)
    assert [(each.number, each.enlarged, each.width) for each in now.kept] == [(2, True, 256), (1, False, 64)]
    house.draw(0.2)
    house.sweep()
    now = house.nights.get(night.id)
    assert (now.status, now.made, now.enlarged, now.pending) == ("succeeded", 3, 2, 0)
    assert now.finished_at is not None
    assert (
        {job.id for job in house.jobs()} == {each.job_id for each in now.kept} == {job.id for job in larger}
    )
    assert small.isdisjoint(house.folders())
    assert house.store.open() == ()
    assert all(house.redis.ttl(key) > 0 for key in house.redis.scan_iter(f"{PREFIX}night*:{night.id}"))


def test_a_picture_that_cannot_be_enlarged_stays_as_it_is(house: House, begin: Begin) -> None:
    night = begin(request=ENLARGED, keep=1)
    house.sweep()
    house.draw(0.1)
    house.nights.finish(night.id)
    house.sweep()
    lease = house.worker.leases.claim_next()
    assert lease is not None
    house.worker.leases.fail(lease, JobFailedError("no room"))
    house.sweep(2)
    now = house.nights.get(night.id)
    assert (now.status, now.enlarged, [each.enlarged for each in now.kept]) == ("succeeded", 0, [False])
    assert now.error is not None
    assert now.error.message == "no room"


@pytest.mark.parametrize("enlarges", [False, True])
def test_a_cancel_keeps_what_is_kept_and_leaves_no_job(house: House, begin: Begin, enlarges: bool) -> None:
    night = begin(request=ENLARGED, keep=2)
    house.sweep()
    house.draw(0.1, 0.2, 0.3)
    if enlarges:
        house.nights.finish(night.id)
        house.sweep()
    else:
        assert house.worker.leases.claim_next() is not None  # one runs
    house.nights.finish(night.id, NightStatus.CANCELED)
    house.sweep(2)
    now = house.nights.get(night.id)
    assert (now.status, now.pending, [each.score for each in now.kept]) == ("canceled", 0, [0.3, 0.2])
    assert {job.id for job in house.jobs()} == {each.job_id for each in now.kept}
    house.nights.finish(night.id)
    assert house.nights.get(night.id).status is NightStatus.CANCELED


@pytest.mark.parametrize("is_over", [False, True])
def test_a_deleted_night_is_gone_with_its_pictures(house: House, begin: Begin, is_over: bool) -> None:
    night = begin(keep="50%")
    house.sweep()
    house.draw(0.1, 0.2, 0.3)
    if is_over:
        house.nights.finish(night.id)
        house.sweep(2)
        assert house.nights.get(night.id).status is NightStatus.SUCCEEDED
    house.nights.delete(night.id)
    with pytest.raises(UnknownNightError):
        house.nights.get(night.id)
    assert house.nights.list() == ()
    house.sweep()
    assert (house.jobs(), house.folders()) == ([], set())
    assert list(house.redis.scan_iter(f"{PREFIX}*night*")) == []


@pytest.mark.parametrize("has_submitted", [False, True])
def test_whoever_is_ended_on_the_way_to_the_queue_loses_and_doubles_nothing(
    house: House, begin: Begin, has_submitted: bool
) -> None:
    night = begin()
    reserved = house.store.reserve(night.id, new_job_id())
    assert reserved is not None
    if has_submitted:
        house.queue.submit(SELECTED, job_id=reserved[1], caller="ann")
    house.sweep(2)
    jobs = house.jobs()
    assert reserved[1] in {job.id for job in jobs}
    assert sorted(job.generation.seed for job in jobs) == list(range(7, 7 + AHEAD))


def test_whoever_is_ended_between_the_deletion_of_the_smaller_picture_and_its_note_loses_nothing(
    house: House, begin: Begin
) -> None:
    night = begin(request=ENLARGED, keep=1)
    house.sweep()
    house.draw(0.1)
    house.nights.finish(night.id)
    house.sweep()
    (small,) = house.nights.get(night.id).kept
    house.queue.delete(small.job_id)
    house.sweep()  # the larger one waits still
    house.draw(0.1)
    house.sweep()
    now = house.nights.get(night.id)
    assert (now.status, [each.enlarged for each in now.kept]) == ("succeeded", [True])


def test_two_that_tend_at_once_draw_every_seed_once(house: House, begin: Begin) -> None:
    """Without the turns, which would keep them apart."""
    night = begin(keep=4)
    drawn: list[int] = []
    stop = threading.Event()

    def tend() -> None:
        tender = house.tender()
        while not stop.is_set():
            tender._tend(night.id)

    with ThreadPoolExecutor(2) as both:
        tending = [both.submit(tend) for _ in range(2)]
        while len(drawn) < 60:
            if (lease := house.worker.draw((len(drawn) * 37 % 61) / 100)) is not None:
                drawn.append(lease.generation.seed)
        stop.set()
        for each in tending:
            each.result()
    house.sweep()
    assert sorted(drawn) == sorted(set(drawn))
    now = house.nights.get(night.id)
    assert (now.made, now.failed) == (60, 0)
    best = sorted(((number * 37 % 61) / 100 for number in range(60)), reverse=True)[:4]
    assert [each.score for each in now.kept] == best
    ended = {job.id for job in house.jobs() if job.status is JobStatus.SUCCEEDED}
    assert ended == {each.job_id for each in now.kept}
    assert now.pending == len(house.jobs()) - 4


def test_a_night_waits_while_the_quota_of_its_sender_grants_nothing(house: House, begin: Begin) -> None:
    limited = Identity("studio", "ann", frozenset(), "proxy", quota=Quota(max_waiting=2))
    night = begin(identity=limited)
    house.sweep(2)
    now = house.nights.get(night.id)
    assert len(house.jobs()) == 2
    assert now.waits_for is not None
    assert "max_waiting" in now.waits_for
    house.draw(0.1)
    house.redis.hset(keys.night(night.id), "waits_until_us", 0)  # the wait is over
    house.sweep()
    assert [job.generation.seed for job in house.jobs()] == [7, 8, 9]
    studio = house.queue.seen_by(View("studio", is_whole=False)).list().data
    assert len(studio) == 3
    assert house.nights.seen_by(View("other", is_whole=False)).list() == ()
    with pytest.raises(UnknownNightError):
        house.nights.seen_by(View("", is_whole=False)).get(night.id)


def test_a_night_whose_key_is_revoked_ends(house: House, begin: Begin) -> None:
    key = draw_key()
    record = new_record(key, tenant="studio", name="ann", scopes=(Scope.JOBS_WRITE,))
    KeyStore(house.redis).add(record)
    night = begin(identity=Identity("studio", "ann", frozenset(), "key", key.id))
    house.sweep()
    assert len(house.jobs()) == AHEAD
    KeyStore(house.redis).revoke(key.id)
    house.sweep(2)
    now = house.nights.get(night.id)
    assert (now.status, house.jobs()) == ("failed", [])
    assert now.error is not None
    assert now.error.message == "the key that began it does not count any more"


def test_a_night_of_which_no_picture_can_be_made_fails(house: House, begin: Begin) -> None:
    night = begin()
    house.sweep()
    house.draw(0.1)
    for _ in range(FAILURES_BORNE):
        lease = house.worker.leases.claim_next()
        assert lease is not None
        house.worker.leases.fail(lease, JobFailedError("out of paint"))
        house.sweep()
    house.sweep()
    now = house.nights.get(night.id)
    assert (now.status, now.made, now.failed, now.pending) == ("failed", 1, FAILURES_BORNE, 0)
    assert now.error is not None
    assert (now.error.type, now.error.message) == ("job_failed", "out of paint")
    assert [each.score for each in now.kept] == [0.1]


# What a record may hold after a fault, or of another version: a field of it, and what is there; None for nothing.
DAMAGES = [
    ("images", '[{"index": 0, "seed": "many"}]'),
    ("images", '[{"index": 0, "se'),
    ("request", None),
    ("finished_us", "yesterday"),
]


@pytest.mark.parametrize(("field", "value"), DAMAGES)
def test_a_picture_whose_record_cannot_be_read_counts_as_failed_and_the_others_go_on(
    house: House, begin: Begin, field: str, value: str | None
) -> None:
    night, sound = begin(keep=2), begin(keep=2)
    house.sweep()
    broken = house.worker.draw(0.9)
    assert broken is not None
    damage(house.redis, broken.job_id, field, value)
    with capture_logs() as logs:
        house.sweep()
    told = [each for each in logs if each["log_level"] == "warning"]
    assert [(each["event"], each["job"]) for each in told] == [
        ("job of a night cannot be read", broken.job_id)
    ]
    assert logs == told  # no fault of the night itself
    assert "a red apple" not in str(told)
    nights = {each.id: each for each in house.nights.list()}
    hit = next(each for each in nights.values() if each.failed)
    assert hit.error is not None
    assert (hit.failed, hit.made, hit.error.message) == (1, 0, "its record cannot be read")
    while any(each.made < 2 for each in house.nights.list()):
        assert house.worker.draw(0.1) is not None
        house.sweep()
    for each in (night, sound):
        house.nights.finish(each.id)
    house.sweep(2)
    ended = [(each.status, each.pending, len(each.kept)) for each in house.nights.list()]
    assert ended == [("succeeded", 0, 2), ("succeeded", 0, 2)]


def test_a_failed_one_whose_reason_cannot_be_read_counts_and_a_large_one_leaves_the_small(
    house: House, begin: Begin
) -> None:
    night = begin(request=ENLARGED, keep=1)
    house.sweep()
    fail_unreadably(house)
    assert house.nights.get(night.id).failed == 1
    house.draw(0.1)
    house.nights.finish(night.id)
    house.sweep()
    fail_unreadably(house)
    house.sweep()
    now = house.nights.get(night.id)
    assert (now.status, now.failed, [each.enlarged for each in now.kept]) == ("succeeded", 1, [False])
    assert now.error is not None
    assert now.error.message == "its record cannot be read"


def test_what_a_night_drops_or_leaves_at_its_end_is_deleted_though_its_record_cannot_be_read(
    house: House, begin: Begin
) -> None:
    night = begin(keep=1)
    house.sweep()
    house.draw(0.1)
    (first,) = house.nights.get(night.id).kept
    damage(house.redis, first.job_id, "request", "{")
    house.draw(0.2)  # takes its place
    (second,) = house.nights.get(night.id).kept
    assert (second.score, house.folders()) == (0.2, {second.job_id})
    assert not house.redis.exists(keys.job(first.job_id))
    running = house.worker.leases.claim_next()
    assert running is not None
    house.worker.store(running)
    for job_id in (second.job_id, running.job_id):
        damage(house.redis, job_id, "request", "{")
    house.nights.delete(night.id)
    house.sweep()
    assert (house.jobs(), house.folders()) == ([], set())
    assert list(house.redis.scan_iter(f"{PREFIX}*night*")) == []


def test_a_picture_whose_archived_record_is_gone_is_given_up(house: House, begin: Begin) -> None:
    archive = JobArchive(ArtifactStore(str(house.folder)))
    house = replace(house, queue=JobQueue(house.redis, max_queued=MAX_QUEUED, archive=archive))
    night = begin(keep=1)
    house.sweep()
    lost = house.worker.draw(0.9)
    assert lost is not None
    house.redis.hset(keys.job(lost.job_id), "archived", 1)  # and there is no file
    house.draw(0.1)
    now = house.nights.get(night.id)
    assert (now.made, now.failed, [each.score for each in now.kept]) == (1, 0, [0.1])
    house.nights.finish(night.id)
    house.sweep(2)
    assert house.nights.get(night.id).status is NightStatus.SUCCEEDED


def damage(redis: Redis, job_id: str, field: str, value: str | None) -> None:
    """Write nonsense into a job's record."""
    if value is None:
        assert redis.hdel(keys.job(job_id), field) == 1
    else:
        redis.hset(keys.job(job_id), field, value)


def fail_unreadably(house: House) -> None:
    """Fail the next job, and damage what its record tells of it."""
    lease = house.worker.leases.claim_next()
    assert lease is not None
    house.worker.leases.fail(lease, JobFailedError("out of paint"))
    damage(house.redis, lease.job_id, "error", '"paint"')
    house.sweep()


def test_half_of_the_queue_is_left_to_others(house: House, begin: Begin) -> None:
    for _ in range(MAX_QUEUED // 2 - 3):
        house.queue.submit(RESOLVED, caller="bob")
    night = begin()
    house.sweep()
    assert house.nights.get(night.id).pending == 3


def test_a_picture_that_somebody_deletes_is_kept_no_more(house: House, begin: Begin) -> None:
    night = begin(keep=2)
    house.sweep()
    house.draw(0.1, 0.2)
    house.queue.delete(house.nights.get(night.id).kept[0].job_id)
    assert [each.score for each in house.nights.get(night.id).kept] == [0.1]
    house.draw(0.05)
    assert [each.score for each in house.nights.get(night.id).kept] == [0.1, 0.05]


def test_a_long_race_is_thinned(house: House, begin: Begin) -> None:
    night = begin()
    for number in range(20):
        reserved = house.store.reserve(night.id, new_job_id())
        assert reserved is not None
        house.store._scripts("night_settle", night.id, *reserved, "made", number / 100, "", 6, 0)
    now = house.nights.get(night.id)
    assert (now.made, now.race_every, [point.number for point in now.race]) == (20, 4, [0, 4, 8, 12, 16])


def test_a_tenant_has_few_nights_at_a_time_and_the_same_begins_once(house: House, begin: Begin) -> None:
    first = begin()
    plan = NightPlan(SELECTED, 8, 3, "clip", EVERYBODY, "ann", digest="")
    assert not house.nights.begin(first.id, plan)
    with pytest.raises(IdempotencyConflictError):
        house.nights.begin(first.id, replace(plan, digest="other"))
    for _ in range(MOST_OPEN - 1):
        begin()
    with pytest.raises(QueueFullError, match="5 nights are under way"):
        house.nights.begin(new_job_id(), plan)
    begin(identity=replace(EVERYBODY, tenant="studio"))


def test_the_key_of_a_deleted_night_is_free_once_its_pictures_are_gone(house: House, begin: Begin) -> None:
    night = begin()
    plan = NightPlan(SELECTED, 8, 3, "clip", EVERYBODY, "ann")
    house.sweep()
    house.nights.delete(night.id)
    with pytest.raises(QueueFullError, match="is being deleted") as refused:
        house.nights.begin(night.id, plan)
    assert (refused.value.field, refused.value.retry_after_s) == ("Idempotency-Key", 2)
    house.sweep()
    assert house.jobs() == []
    assert house.nights.begin(night.id, plan)
    assert house.nights.get(night.id).status is NightStatus.RUNNING


def test_what_redis_refuses_is_an_outage_and_no_fault_of_a_night(
    house: House, begin: Begin, redis_url: str
) -> None:
    begin()
    name = f"weak-{new_job_id()}"
    house.redis.execute_command(
        "ACL", "SETUSER", name, "on", ">pass", "~*", "&*", "+@all", "-evalsha", "-eval"
    )
    try:
        with Redis.from_url(redis_url, username=name, password="pass", decode_responses=True) as weak:
            tended = replace(house, redis=weak, store=NightStore(weak), queue=JobQueue(weak, max_queued=9))
            with capture_logs() as logs, pytest.raises(QueueUnavailableError, match="NoPermissionError"):
                tended.sweep()
    finally:
        house.redis.execute_command("ACL", "DELUSER", name)
    assert logs == []
    house.sweep()
    assert len(house.jobs()) == AHEAD
