"""The attacks on the service: jobs, kills, and broken promises."""

import json
import os
import random
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import httpx
from redis.exceptions import RedisError

from benchmarks.chaos.machines import Role
from benchmarks.chaos.service import Part, Service
from benchmarks.chaos.verdict import last_of
from benchmarks.chaos.watch import Watch
from jobs.db.scripts import PREFIX
from jobs.status.job import JobStatus

Sabotage = Literal["lease", "publish"]


class Attack(Protocol):
    """What strikes the service."""

    @property
    def kills(self) -> dict[str, int]:
        """By the name of what was hit."""

    def strike(self) -> None:
        """Hit one part, if it is there just now."""

    def tend(self) -> None:
        """Do what is due since the last strike."""


@dataclass
class Killing:
    """SIGKILL for parts of the service.

    Attributes:
        shares: how often each of them is hit.
    """

    running: Service
    watch: Watch
    chance: random.Random
    shares: Mapping[Part, int]
    kills: dict[str, int] = field(default_factory=dict)

    def strike(self) -> None:
        """Kill one part."""
        part = self.chance.choices(list(self.shares), list(self.shares.values()))[0]
        hit = kill(self.running, part, self.chance, self.watch)
        self.kills[part] = self.kills.get(part, 0) + hit

    def tend(self) -> None:
        """Nothing is due."""


def submit(url: str, number: int, run: str, watch: Watch, stop_at: float, most_steps: int = 20) -> None:
    """Send one job until it is acknowledged, under one idempotency key, as a careful client does."""
    steps = most_steps - number % (most_steps - 3)
    body: dict[str, object] = {"prompt": "a red apple", "steps": steps, "seed": number}
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
    if part in ("primary", "replica"):
        return _kill_machine(running, part, chance)
    child = chance.choice(running.parts[part])
    pid = child.pid
    if pid is None or child.has_ended():
        return False
    try:
        if part == "worker":
            return kill_worker(running, pid, watch)
        os.kill(pid, signal.SIGKILL)
    except Exception as error:  # Valkey is being restarted: a worker killed now could not be followed
        print(f"no kill: {type(error).__name__}", file=sys.stderr)
        return False
    return True


def kill_worker(running: Service, pid: int, watch: Watch) -> bool:
    """SIGKILL a worker, and note what it held; False when it is still loading."""
    worker = running.worker_of(pid)
    if worker is None:
        return False
    os.kill(pid, signal.SIGKILL)
    watch.killed(worker, time.monotonic())
    return True


def _kill_machine(running: Service, role: Role, chance: random.Random) -> bool:
    assert running.machines is not None
    try:
        return running.machines.kill(role, chance)
    except RedisError:
        return False


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
