"""Requests and pictures for tests that only need some."""

import math
from typing import cast

from redis import Redis

from jobs.db import keys
from jobs.queue.leases import Lease, Leases
from jobs.queue.tickets import Tickets
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.requests.samplers import SamplerName
from jobs.status.job import StoredImage

RESOLVED = ResolvedRequest(
    prompt="a red apple",
    negative_prompt="",
    model="pocket",
    width=64,
    height=64,
    steps=25,
    cfg_scale=4.0,
    sampler=SamplerName.DDIM,
    seed=7,
    num_images=1,
    guidance=None,
    timeout_s=60,
)
ORIGINAL = GenerateRequest(prompt="a red apple")


def resolved(prompt: str) -> ResolvedRequest:
    """A request that can be told from others by its prompt."""
    return RESOLVED.model_copy(update={"prompt": prompt})


def submission(job_id: str, *, most: int = 100, key: str = "") -> list[str | int]:
    """Arguments of the script that stores a job."""
    return [job_id, RESOLVED.model_dump_json(), most, key, "digest", 60, "anonymous:normal", 4, 50, "pocket"]


def pictures_of(lease: Lease) -> tuple[StoredImage, ...]:
    """The record of an execution that succeeded."""
    key = f"{lease.artifact_prefix}/0.png"
    return (StoredImage(index=0, seed=7, width=64, height=64, key=key, clip_score=0.25),)


def put_first(redis: Redis, job_id: str) -> bool:
    """Put a job first in the queue; False if it does not wait."""
    before = redis.zscore(keys.WAITING, job_id)
    if before is None:
        return False
    ((_, least),) = cast("list[tuple[str, float]]", redis.zrange(keys.WAITING, 0, 0, withscores=True))
    redis.zadd(keys.WAITING, {job_id: math.nextafter(least, 0)}, xx=True)
    return True


def claimed(leases: Leases, job_id: str) -> Lease:
    """The lease of a waiting job, which is put first in the queue."""
    put_first(leases._redis, job_id)
    lease = leases.claim_next()
    assert lease is not None
    assert lease.job_id == job_id
    return lease


def waiting_tickets(tickets: Tickets) -> list[str]:
    """Ids of the jobs whose tickets are in the queue, the oldest first."""
    return [ticket_id.rpartition("-")[0] for ticket_id in tickets.queue.get_job_ids()]
