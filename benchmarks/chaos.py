"""Kills parts of a real service at random and proves that no accepted job is lost, published twice or left lying.

``python -m benchmarks.chaos [--quick] [--json FILE] [--seed N] [--sabotage lease|publish]``. 300 jobs of the pocket
model come in over five minutes while workers, the API and Valkey get SIGKILL, one every few seconds, and are started
again as ``lodestar up`` would. Exits with 1 unless every job that was acknowledged succeeds, publishes once and, when
its worker dies, is back in the queue within 20 s. A sabotaged run breaks one of these promises from outside and must
exit with 1.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, cast

import httpx
from redis import Redis
from redis.exceptions import RedisError
from rich.console import Console
from rich.table import Table

from app.child import Child, ChildSpec
from app.embedded import socket_url, valkey_spec
from app.preflight import free_port, locked
from app.supervisor import Supervisor
from jobs.attempts import MAX_ATTEMPTS
from jobs.connection import connect
from jobs.scripts import PREFIX
from jobs.state import JobStatus
from jobs.workers import WorkerRegistry

ROOT = Path(__file__).parent.parent
RECOVERED_WITHIN_S = 20.0
LOOK_EVERY_S = 0.2
SETTLED_WITHIN_S = 900.0  # for what is left when the killing ends
Part = Literal["worker", "api", "valkey"]
Sabotage = Literal["lease", "publish"]
_TERMINAL = {status.value for status in JobStatus if status.is_terminal}


@dataclass(frozen=True)
class Sight:
    """What Redis says of a job at one moment."""

    status: str
    fence: str = ""
    settled_by: str = ""
    images: str = ""
    error: str = ""


@dataclass
class Story:
    """An accepted job, and how it was seen to change."""

    sights: list[Sight] = field(default_factory=list)
    deaths: int = 0  # of workers that held it

    def see(self, sight: Sight) -> None:
        """Note a change."""
        if not self.sights or self.sights[-1] != sight:
            self.sights.append(sight)


@dataclass
class Orphaned:
    """A running execution whose worker was killed."""

    job_id: str
    fence: str
    killed_at: float
    recovered_after_s: float | None = None


@dataclass
class Verdict:
    """What the run has shown."""

    accepted: int
    succeeded: int
    kills: dict[str, int]
    recoveries_s: list[float]
    violations: list[str]


def judge(stories: dict[str, Story], orphaned: list[Orphaned], kills: dict[str, int]) -> Verdict:
    """Hold what was seen against what was promised."""
    violations = [fault for job_id, story in stories.items() for fault in _faults(job_id, story)]
    for each in orphaned:
        if each.recovered_after_s is None:
            violations.append(f"{each.job_id}: never recovered after its worker's death")
        elif each.recovered_after_s > RECOVERED_WITHIN_S:
            violations.append(f"{each.job_id}: recovered only after {each.recovered_after_s:.1f} s")
    return Verdict(
        accepted=len(stories),
        succeeded=sum(_last(story).status == JobStatus.SUCCEEDED for story in stories.values()),
        kills=kills,
        recoveries_s=[each.recovered_after_s for each in orphaned if each.recovered_after_s is not None],
        violations=violations,
    )


def _faults(job_id: str, story: Story) -> Iterator[str]:
    last = _last(story)
    if (
        last.status == JobStatus.FAILED
        and story.deaths >= MAX_ATTEMPTS
        and "attempts_exhausted" in last.error
    ):
        return  # as promised: this many of its workers were killed
    if last.status != JobStatus.SUCCEEDED:
        yield f"{job_id}: lost, it is {last.status} {last.error}".rstrip()
    published = {sight.images for sight in story.sights if sight.images}
    if len(published) > 1 or len({sight.settled_by for sight in story.sights if sight.settled_by}) > 1:
        yield f"{job_id}: published twice"
    ends = [sight for sight in story.sights if sight.status in _TERMINAL]
    if ends and story.sights[story.sights.index(ends[0]) :] != ends:
        yield f"{job_id}: went on after its end"
    for sight in ends:
        if sight.images and any(
            not image["key"].startswith(f"{job_id}/{sight.fence}/") for image in json.loads(sight.images)
        ):
            yield f"{job_id}: shows the picture of an execution that was given up"


def _last(story: Story) -> Sight:
    return story.sights[-1] if story.sights else Sight("unknown")


class Watch:
    """Looks at every accepted job in Redis again and again, on a thread of its own."""

    def __init__(self, redis: Redis) -> None:
        self.stories: dict[str, Story] = {}
        self.orphaned: list[Orphaned] = []
        self.stop = threading.Event()
        self._redis = redis
        self._thread = threading.Thread(target=self._look_on, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Look once more and stop."""
        self.stop.set()
        self._thread.join()
        self.look()

    def accepted(self, job_id: str) -> None:
        """A job was acknowledged."""
        self.stories.setdefault(job_id, Story())

    def killed(self, worker: str, at: float) -> None:
        """A worker was killed: note what it held."""
        for job_id in cast("set[str]", self._redis.smembers(f"{PREFIX}held:{worker}")):
            sight = self._sight(job_id)
            if sight.status == JobStatus.RUNNING:
                self.orphaned.append(Orphaned(job_id, sight.fence, at))
                self.stories.setdefault(job_id, Story()).deaths += 1

    def look(self) -> None:
        """Look at everything that may still change."""
        for job_id, story in list(self.stories.items()):
            story.see(self._sight(job_id))
        for each in self.orphaned:
            if each.recovered_after_s is None:
                sight = self._sight(each.job_id)
                if sight.status != JobStatus.RUNNING or sight.fence != each.fence:
                    each.recovered_after_s = time.monotonic() - each.killed_at

    def all_ended(self) -> bool:
        """Whether nothing is left to do."""
        return all(
            _last(story).status in {"unknown", *_TERMINAL} and story.sights for story in self.stories.values()
        )

    def _look_on(self) -> None:
        while not self.stop.wait(LOOK_EVERY_S):
            try:
                self.look()
            except RedisError:
                continue  # it was killed

    def _sight(self, job_id: str) -> Sight:
        fields = ("status", "fence", "settled_by", "images", "error")
        values = cast("list[str | None]", self._redis.hmget(f"{PREFIX}job:{job_id}", list(fields)))
        return Sight(*(value or "" for value in values)) if values[0] else Sight("unknown")


@dataclass
class Service:
    """The running parts."""

    supervisor: Supervisor
    parts: dict[Part, list[Child]]
    url: str
    redis: Redis

    def worker_of(self, pid: int) -> str | None:
        """Name of the worker with this process id."""
        return next((info.name for info in WorkerRegistry(self.redis).alive() if info.pid == pid), None)


@contextmanager
def service(folder: Path, workers: int) -> Iterator[Service]:
    """Start all parts, and end them; as ``lodestar up`` does, with more workers."""
    socket, port = folder / "valkey.sock", free_port("127.0.0.1")
    (folder / "logs").mkdir()
    env = {
        "LODESTAR_REDIS_URL": socket_url(socket),
        "LODESTAR_ARTIFACTS_URL": str(folder / "artifacts"),
        "LODESTAR_MODELS_FILE": str(ROOT / "models.toml"),
        "LODESTAR_DEVICE": "cpu",
        "LODESTAR_THREADS": "1",
        "LODESTAR_HOST": "127.0.0.1",
        "LODESTAR_PORT": str(port),
    }
    with (
        locked(folder) as lock,
        Supervisor(folder / "logs", say=lambda line: print(line, file=sys.stderr)) as supervisor,
    ):
        valkey = supervisor.start(valkey_spec(folder / "valkey", socket, lock=lock))
        while not socket.exists():
            supervisor.sleep(0.1)
        api = supervisor.start(ChildSpec("api", (sys.executable, "-m", "app", "serve"), env))
        crew = [
            supervisor.start(ChildSpec(f"worker-{number}", (sys.executable, "-m", "worker"), env))
            for number in range(1, workers + 1)
        ]
        redis = connect(socket_url(socket), patient=False)
        running = Service(
            supervisor, {"worker": crew, "api": [api], "valkey": [valkey]}, f"http://127.0.0.1:{port}", redis
        )
        while len(WorkerRegistry(redis).alive()) < workers or not _is_ready(running.url):
            supervisor.sleep(0.2)
        supervisor.is_up = True
        yield running
        redis.close()


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
        if _last(story).status == JobStatus.SUCCEEDED:
            images = json.loads(_last(story).images)
            images[0]["key"] = f"{job_id}/stale/0.png"
            running.redis.hset(f"{PREFIX}job:{job_id}", "images", json.dumps(images))
            return True
    return False


def rehearse(
    folder: Path, *, jobs: int, seconds: float, seed: int, how: Sabotage | None, settle_s: float
) -> Verdict:
    """Run the service, kill its parts at random, and judge."""
    chance, kills, broken = random.Random(seed), dict.fromkeys(("worker", "api", "valkey"), 0), how is None
    with service(folder, workers=2) as running, ThreadPoolExecutor(8) as pool:
        watch = Watch(connect(socket_url(folder / "valkey.sock"), patient=False))
        watch.start()
        start = time.monotonic()
        end, next_kill, sent = start + seconds, start + 3.0, 0
        while time.monotonic() < end:
            while sent < jobs and time.monotonic() >= start + seconds * sent / jobs:
                pool.submit(submit, running.url, sent, str(seed), watch, end + settle_s)
                sent += 1
            if time.monotonic() >= next_kill:
                part: Part = chance.choices(("worker", "api", "valkey"), (6, 2, 2))[0]
                kills[part] += kill(running, part, chance, watch)
                next_kill = time.monotonic() + chance.uniform(4, 10)
            if how is not None and not broken:
                broken = _try_to(running, watch, how)
            running.supervisor.sleep(0.1)
        last = time.monotonic() + settle_s
        while time.monotonic() < last and not (len(watch.stories) >= jobs and watch.all_ended() and broken):
            if how is not None and not broken:
                broken = _try_to(running, watch, how)
            running.supervisor.sleep(0.5)
        running.supervisor.sleep(2 * LOOK_EVERY_S)
        watch.end()
        verdict = judge(watch.stories, watch.orphaned, kills)
    if len(watch.stories) < jobs:
        verdict.violations.append(f"only {len(watch.stories)} of {jobs} jobs could be submitted")
    return verdict


def _try_to(running: Service, watch: Watch, how: Sabotage) -> bool:
    try:
        return sabotage(running, watch, how)
    except RedisError:
        return False


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False


def main() -> None:
    """Rehearse, print the verdict, write JSON if asked; exit with 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="30 jobs and 40 seconds of killing")
    parser.add_argument("--json", type=Path, help="write the verdict to this file")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of victims")
    parser.add_argument(
        "--sabotage", choices=("lease", "publish"), help="break the service, to see that it is noticed"
    )
    parser.add_argument(
        "--settle", type=float, default=SETTLED_WITHIN_S, help="seconds that remaining jobs get at the end"
    )
    options = parser.parse_args()
    jobs, seconds = (30, 40.0) if options.quick else (300, 300.0)
    with tempfile.TemporaryDirectory(prefix="lodestar-") as folder:
        verdict = rehearse(
            Path(folder),
            jobs=jobs,
            seconds=seconds,
            seed=options.seed,
            how=options.sabotage,
            settle_s=options.settle,
        )
    slowest = max(verdict.recoveries_s, default=0.0)
    table = Table("accepted", "succeeded", "kills", "recoveries", "slowest recovery", "violations")
    table.add_row(
        str(verdict.accepted),
        str(verdict.succeeded),
        ", ".join(f"{number} {part}" for part, number in verdict.kills.items()),
        str(len(verdict.recoveries_s)),
        f"{slowest:.1f} s",
        str(len(verdict.violations)),
    )
    Console().print(table)
    for violation in verdict.violations:
        Console().print(violation)
    if options.json:
        options.json.write_text(json.dumps(asdict(verdict), indent=2) + "\n")
    if verdict.violations:
        sys.exit(1)


if __name__ == "__main__":
    main()
