"""The attacks on the service: jobs, kills, and broken promises."""

import json
import os
import random
import signal
import sys
import time
from typing import Literal

import httpx

from benchmarks.chaos.service import Part, Service
from benchmarks.chaos.verdict import last_of
from benchmarks.chaos.watch import Watch
from jobs.db.scripts import PREFIX
from jobs.status.job import JobStatus

Sabotage = Literal["lease", "publish"]


def submit(url: str, number: int, run: str, watch: Watch, stop_at: float) -> None:
    """Send one job until it is acknowledged, under one idempotency key, as a careful client does."""
    body: dict[str, object] = {"prompt": "a red apple", "steps": 4 + number % 17, "seed": number}
    if number % 4 == 0:
        body["guidance"] = {"cutouts": 4}
    while time.monotonic() < stop_at:
        try:
            headers = {"Idempotency-Key": f"{run}-{number}"}
            answer = httpx.post(f"{url}/v1/jobs", json=body, headers=headers, timeout=10, trust_env=False)
            if answer.status_code == 202:
                watch.accepted(answer.json()["id"])
                return
        except httpx.TransportError:
            pass
        time.sleep(0.3)


def kill(running: Service, part: Part, chance: random.Random, watch: Watch) -> bool:
    """SIGKILL one process of a part; False when there is none just now."""
    child = chance.choice(running.parts[part])
    pid = child.pid
    if pid is None or child.has_ended():
        return False
    try:
        worker = running.worker_of(pid) if part == "worker" else None
        if part == "worker" and worker is None:
            return False  # still loading
        os.kill(pid, signal.SIGKILL)
        at = time.monotonic()
        if worker is not None:
            watch.killed(worker, at)
    except Exception as error:  # Valkey is being restarted: a worker killed now could not be followed
        print(f"no kill: {type(error).__name__}", file=sys.stderr)
        return False
    return True


def sabotage(running: Service, watch: Watch, how: Sabotage) -> bool:
    """Break one promise from outside; whether there was anything to break."""
    if how == "lease":
        # A dead worker's lease that nobody will ever see end.
        for each in watch.orphaned:
            if each.recovered_after_s is None and running.redis.zrem(PREFIX + "leases", each.job_id):
                return True
        return False
    for job_id, story in watch.stories.items():
        # A second result over the first one, as without fences.
        if last_of(story).status == JobStatus.SUCCEEDED:
            images = json.loads(last_of(story).images)
            images[0]["key"] = f"{job_id}/stale/0.png"
            running.redis.hset(f"{PREFIX}job:{job_id}", "images", json.dumps(images))
            return True
    return False
