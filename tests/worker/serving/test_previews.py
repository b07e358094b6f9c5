"""Previews on their way from the engine to those who watch."""

import io
from base64 import b64decode
from typing import Any

import torch
from PIL import Image
from redis import Redis

from jobs.queue.leases import Lease, Leases
from jobs.queue.queue import JobQueue
from tests.jobs.samples import RESOLVED, claimed
from tests.waiting import until
from worker.events import Preview
from worker.pictures.png import encode_preview
from worker.raster import Raster
from worker.serving.previews import Previews


def lease_of(redis: Redis, leases: Leases) -> Lease:
    return claimed(leases, JobQueue(redis, max_queued=5).submit(RESOLVED).job.id)


def test_a_preview_is_a_small_jpeg_of_the_pictures_shape() -> None:
    with Image.open(io.BytesIO(encode_preview(Raster(torch.full((3, 512, 1024), 0.5))))) as image:
        assert (image.format, image.size) == ("JPEG", (256, 128))
    with Image.open(io.BytesIO(encode_preview(Raster(torch.full((3, 64, 48), 0.5))))) as image:
        assert image.size == (48, 64)


def test_the_newest_preview_of_each_picture_is_kept_for_a_while(redis: Redis) -> None:
    leases = Leases(redis, worker="w")
    lease = lease_of(redis, leases)
    previews = Previews(leases)
    for step in range(1, 21):
        for index in (0, 1):
            previews.show(lease, Preview(index, step, Raster(torch.full((3, 64, 64), step / 20))))
    until(lambda: not previews._waiting)
    previews.close(60)
    kept = redis.hgetall(f"{{lodestar}}:previews:{lease.job_id}")
    assert set(kept) == {"0", "1"}
    with Image.open(io.BytesIO(b64decode(kept["1"]))) as image:
        assert image.getpixel((5, 5)) == (255, 255, 255)
    assert 0 < redis.ttl(f"{{lodestar}}:previews:{lease.job_id}") <= 600
    rows: Any = redis.xrange(f"{{lodestar}}:events:{lease.job_id}")
    told = [fields for _, fields in rows]
    steps = [int(fields["step"]) for fields in told if fields["type"] == "preview" and fields["index"] == "0"]
    assert steps == sorted(steps)
    assert steps[-1] == 20


def test_an_estimate_that_is_not_finite_is_not_shown(redis: Redis) -> None:
    leases = Leases(redis, worker="w")
    lease = lease_of(redis, leases)
    previews = Previews(leases)
    previews.show(lease, Preview(0, 1, Raster(torch.full((3, 64, 64), float("nan")))))
    previews.show(lease, Preview(1, 1, Raster(torch.zeros(3, 64, 64))))
    until(lambda: not previews._waiting)
    previews.close(60)
    assert set(redis.hgetall(f"{{lodestar}}:previews:{lease.job_id}")) == {"1"}


def test_an_execution_that_lost_its_job_shows_nothing(redis: Redis) -> None:
    leases = Leases(redis, worker="w")
    lease = lease_of(redis, leases)
    leases.release(lease)
    previews = Previews(leases)
    previews.show(lease, Preview(0, 1, Raster(torch.zeros(3, 64, 64))))
    previews.close(60)
    assert redis.exists(f"{{lodestar}}:previews:{lease.job_id}") == 0
