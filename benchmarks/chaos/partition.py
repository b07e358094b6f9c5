"""Cuts a primary off from its replicas and Sentinels, and counts what it acknowledged and then lost.

``python -m benchmarks.chaos.partition [--seconds N]``, as root on Linux. The primary and a client of its side live in a
network namespace of their own, and the one link to the rest is taken down. Three ways: a primary that may write alone;
with ``min-replicas-to-write 1``; and that with ``LODESTAR_REDIS_REPLICAS=1``. Exits with 1 if the last one loses a job.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from redis.exceptions import RedisError
from rich.console import Console
from rich.table import Table

from benchmarks.chaos.machines import running
from benchmarks.chaos.replicated import layout
from benchmarks.queue import REQUEST
from jobs.db import keys
from jobs.db.connection import connect
from jobs.errors import QueueUnavailableError
from jobs.queue.queue import JobQueue

HERE, THERE = "10.213.77.1", "10.213.77.2"
BEFORE_S = 3.0
EVERY_S = 0.02
PATIENCE_S = 60.0


@dataclass
class Accepted:
    """The jobs that one client had acknowledged, with the times."""

    jobs: dict[str, float] = field(default_factory=dict)

    def after(self, cut: float) -> float:
        """Seconds from the cut to the last of them."""
        return max(self.jobs.values(), default=cut) - cut

    def longest_wait_s(self) -> float:
        """Between two of them."""
        times = sorted(self.jobs.values())
        return max((later - earlier for earlier, later in pairwise(times)), default=0.0)


@contextmanager
def namespace() -> Iterator[tuple[str, str]]:
    """A network namespace with one link to ours: its name, and the link's."""
    name, link = f"lodestar-{os.getpid()}", f"ls{os.getpid()}"
    _ip("netns", "add", name)
    try:
        _ip("link", "add", link, "type", "veth", "peer", "name", "other", "netns", name)
        _ip("addr", "add", f"{HERE}/30", "dev", link)
        _ip("link", "set", link, "up")
        _ip("-n", name, "addr", "add", f"{THERE}/30", "dev", "other")
        _ip("-n", name, "link", "set", "other", "up")
        _ip("-n", name, "link", "set", "lo", "up")
        yield name, link
    finally:
        _ip("netns", "del", name)  # the link goes with it


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def submit_forever(url: str, replicas: int) -> None:
    """Be a client: say the id and the time of each job that was acknowledged."""
    queue = JobQueue(connect(url, patient=False), max_queued=10**9, replicas=replicas)
    while True:
        with suppress(QueueUnavailableError):
            print(queue.submit(REQUEST).job.id, time.monotonic(), flush=True)
        time.sleep(EVERY_S)


@contextmanager
def client(url: str, replicas: int, elsewhere: tuple[str, ...] = ()) -> Iterator[Accepted]:
    """A client in a process of its own."""
    program = (
        sys.executable,
        "-m",
        "benchmarks.chaos.partition",
        "--client",
        url,
        "--replicas",
        str(replicas),
    )
    process = subprocess.Popen((*elsewhere, *program), stdout=subprocess.PIPE, text=True)
    accepted = Accepted()

    def listen() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.endswith("\n"):  # else it was killed while it spoke
                job_id, at = line.split()
                accepted.jobs[job_id] = float(at)

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        yield accepted
    finally:
        process.kill()
        process.wait()
        thread.join()


def cut_off(folder: Path, *, min_replicas: int, replicas: int, seconds: float) -> dict[str, float]:
    """Cut, wait, heal; what became of the jobs."""
    place = replace(
        layout(folder, replicas=2, sentinels=3, min_replicas=min_replicas), host=HERE, first_host=THERE
    )
    with namespace() as (name, link):
        inside = ("ip", "netns", "exec", name)
        alone = f"redis://{THERE}:{place.servers[0]}/0"
        with (
            running(place, inside),
            client(alone, replicas, inside) as cut,
            client(place.url, replicas) as other,
        ):
            _until(lambda: len(cut.jobs) > 20 and len(other.jobs) > 20)
            time.sleep(BEFORE_S)
            at = time.monotonic()
            _ip("link", "set", link, "down")
            time.sleep(seconds)
            _ip("link", "set", link, "up")
            _until(place.is_complete)  # also the old primary follows the new one
            accepted = {**cut.jobs, **other.jobs}
            with connect(place.url, patient=False) as redis:
                lost = {job_id for job_id in accepted if not redis.exists(keys.job(job_id))}
    return {
        "accepted": len(accepted),
        "the cut-off side accepted for s": max(0.0, cut.after(at)),
        "the others waited s": other.longest_wait_s(),
        "lost": len(lost),
    }


def _until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        with suppress(RedisError):
            if condition():
                return
        time.sleep(0.1)
    raise TimeoutError("it did not come to that in a minute")


WAYS = {
    "may write alone": {"min_replicas": 0, "replicas": 0},
    "min-replicas-to-write 1": {"min_replicas": 1, "replicas": 0},
    "and LODESTAR_REDIS_REPLICAS=1": {"min_replicas": 1, "replicas": 1},
}


def main() -> None:
    """Try the three ways, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=12.0, help="that the link is down")
    parser.add_argument("--client", help=argparse.SUPPRESS)
    parser.add_argument("--replicas", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        submit_forever(options.client, options.replicas)
    found = {}
    for way, settings in WAYS.items():
        with tempfile.TemporaryDirectory(prefix="lodestar-") as folder:
            found[way] = cut_off(Path(folder), seconds=options.seconds, **settings)
    table = Table("a primary", *next(iter(found.values())))
    for way, figures in found.items():
        table.add_row(way, *(f"{number:,.1f}".removesuffix(".0") for number in figures.values()))
    Console().print(table)
    if found["and LODESTAR_REDIS_REPLICAS=1"]["lost"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
