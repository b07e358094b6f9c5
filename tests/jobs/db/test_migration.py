"""An upgrade: the state that an earlier version has left, read by this one."""

import json
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from jobs.db import keys
from jobs.db.migration import Migration, migrate
from jobs.db.scripts import PREFIX
from jobs.events.webhooks import WebhookQueue
from jobs.queue.leases import Leases
from jobs.queue.queue import JobQueue
from jobs.queue.reaper import Reaper
from jobs.queue.tickets import Tickets
from jobs.status.job import JobStatus
from tests.jobs.samples import RESOLVED, pictures_of

STATE: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "earlier" / "state.json").read_text())
JOBS = {key.removeprefix("lodestar:job:") for key in STATE if key.startswith("lodestar:job:")}


@pytest.fixture
def earlier(redis: Redis) -> Redis:
    """A server as the earlier version has left it."""
    for key, row in STATE.items():
        value = row["value"]
        match row["type"]:
            case "string":
                redis.set(key, value.encode("latin-1"))
            case "hash":
                redis.hset(key, mapping={field: text.encode("latin-1") for field, text in value.items()})
            case "set":
                redis.sadd(key, *value)
            case "zset":
                redis.zadd(key, dict(value))
            case "list":
                redis.rpush(key, *value)
            case "stream":
                for stream_id, fields in value:
                    redis.xadd(key, fields, id=stream_id)
        if row["ttl_s"] > 0:
            redis.expire(key, row["ttl_s"])
    return redis


def test_a_dry_run_counts_and_changes_nothing(earlier: Redis) -> None:
    before = sorted(map(str, earlier.scan_iter("*")))
    own = [key for key in before if key.startswith("lodestar:")]
    assert migrate(earlier, dry_run=True).keys == len(own) > 50
    assert sorted(map(str, earlier.scan_iter("*"))) == before


def test_every_key_moves_with_its_value_and_its_time(earlier: Redis) -> None:
    migrate(earlier)
    assert list(earlier.scan_iter("lodestar:*")) == list(earlier.scan_iter("rq:*")) == []
    for key, row in STATE.items():
        if not key.startswith("lodestar:"):
            continue
        place = PREFIX + key.removeprefix("lodestar:")
        assert str(earlier.type(place)) == row["type"]
        assert (earlier.ttl(place) > 0) == (row["ttl_s"] > 0)
    assert migrate(earlier) == Migration(0, 0)


def test_every_job_is_read_and_what_waited_or_ran_ends(earlier: Redis) -> None:
    migrate(earlier)
    queue = JobQueue(earlier, max_queued=100)
    assert {job.id for job in queue.list().data} == JOBS
    for status, number in queue.counts().items():
        assert number == sum(
            row["value"]["status"] == status for key, row in STATE.items() if key.startswith("lodestar:job:")
        )
    (labeled,) = queue.list(label="one").data
    assert labeled.generation.prompt == "a waiting fox"
    replayed = queue.submit(
        RESOLVED.model_copy(update={"prompt": "a waiting fox", "labels": ("one",)}), idempotency_key="kept"
    )
    assert (replayed.replayed, replayed.job.id) == (True, labeled.id)
    for job_id in JOBS:  # the workers of the earlier version are gone
        earlier.zadd(keys.LEASES, {job_id: 0}, xx=True)
    Reaper(earlier, ticket_grace_s=0, outage_grace_s=0).sweep()
    assert Tickets(earlier).count() >= earlier.zcard(keys.WAITING) > 0
    last = Leases(earlier, worker="last", model_patience_s=0)
    while (lease := last.claim_next(("pocket",))) is not None:
        last.succeed(lease, pictures_of(lease))
    left = {job.id for job in queue.list().data if not job.status.is_terminal}
    assert {earlier.hget(keys.job(job_id), "status") for job_id in left} <= {JobStatus.QUEUED}
    assert left == set(earlier.zrange(keys.PARKED, 0, -1))  # of a newer version still
    assert WebhookQueue(earlier).own_secret() == STATE["lodestar:webhook_secret"]["value"]


def test_what_both_versions_have_written_is_joined(earlier: Redis) -> None:
    queue = JobQueue(earlier, max_queued=100)
    new = queue.submit(RESOLVED).job.id
    drawn = WebhookQueue(earlier).own_secret()
    counted = int(str(earlier.get(keys.KEPT_BYTES)))
    migrate(earlier)
    assert {job.id for job in queue.list().data} == JOBS | {new}
    assert queue.counts()[JobStatus.QUEUED] == len(STATE["lodestar:status:queued"]["value"]) + 1
    assert int(str(earlier.get(keys.KEPT_BYTES))) == counted + int(STATE["lodestar:kept_bytes"]["value"])
    # Receivers know the earlier one.
    assert WebhookQueue(earlier).own_secret() == STATE["lodestar:webhook_secret"]["value"] != drawn
