"""Machines that are taken away with a notice: SIGTERM, and SIGKILL two seconds later."""

import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from redis import Redis

from app.stack.child import Child
from benchmarks.chaos.attacks import kill_worker
from benchmarks.chaos.service import Service
from benchmarks.chaos.watch import Watch
from jobs.db.scripts import PREFIX

NOTICE_S = 2.0


@dataclass
class TakingAway:
    """Takes one worker away after another.

    Attributes:
        noticed: workers that have had their notice, each with its process and the time of its SIGKILL.
        kills: workers that ended before that, and those that did not.
    """

    running: Service
    watch: Watch
    chance: random.Random
    noticed: list[tuple[Child, int, float]] = field(default_factory=list)
    kills: dict[str, int] = field(default_factory=lambda: {"ended in time": 0, "killed": 0})

    def strike(self) -> None:
        """Send SIGTERM to a worker, if it is there just now and serves."""
        child = self.chance.choice(self.running.parts["worker"])
        pid = child.pid
        if pid is None or child.has_ended() or any(pid == other for _, other, _ in self.noticed):
            return
        if self.running.worker_of(pid) is not None:
            os.kill(pid, signal.SIGTERM)
            self.noticed.append((child, pid, time.monotonic() + NOTICE_S))

    def tend(self) -> None:
        """Kill those whose time is over."""
        for each in list(self.noticed):
            child, pid, end = each
            if child.pid != pid or child.has_ended():
                self.kills["ended in time"] += 1
            elif time.monotonic() >= end:
                if not kill_worker(self.running, pid, self.watch):  # it has said goodbye, and is still there
                    child.kill()
                self.kills["killed"] += 1
            else:
                continue
            self.noticed.remove(each)


def steps_of(file: Path, redis: Redis, jobs: list[str]) -> tuple[int, int]:
    """The steps that were done, and those that were needed, of jobs that have ended.

    Args:
        file: a line with the id of its job for each step that was done.
        redis: the server.
        jobs: the ids of all jobs.
    """
    done = Counter(file.read_text().split())
    needed = 0
    for job_id in jobs:
        with suppress(TypeError):  # a job that has not ended
            needed += int(cast("str", redis.hget(f"{PREFIX}job:{job_id}", "steps")))
    return sum(done.values()), needed
