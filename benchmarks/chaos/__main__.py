"""Kills parts of a real service at random and proves that no accepted job is lost, published twice or left lying.

``python -m benchmarks.chaos [--quick] [--json FILE] [--seed N] [--sabotage lease|publish]``. 300 jobs of the pocket
model come in over five minutes while workers, the API and Valkey get SIGKILL, one every few seconds, and are started
again as ``lodestar up`` would. Exits with 1 unless every job that was acknowledged succeeds, publishes once and, when
its worker dies, is back in the queue within 20 s. A sabotaged run breaks one of these promises from outside and must
exit with 1.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from redis.exceptions import RedisError
from rich.console import Console
from rich.table import Table

from app.stack.embedded import socket_url
from benchmarks.chaos.attacks import Sabotage, kill, sabotage, submit
from benchmarks.chaos.service import Part, Service, service
from benchmarks.chaos.verdict import Verdict, verdict_on
from benchmarks.chaos.watch import LOOK_EVERY_S, Watch
from jobs.db.connection import connect

SETTLED_WITHIN_S = 900.0  # for what is left when the killing ends


def rehearse(
    folder: Path, *, jobs: int, seconds: float, seed: int, how: Sabotage | None, settle_s: float
) -> Verdict:
    """Run the service, kill its parts at random, and give the verdict."""
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
        verdict = verdict_on(watch.stories, watch.orphaned, kills)
    if len(watch.stories) < jobs:
        verdict.violations.append(f"only {len(watch.stories)} of {jobs} jobs could be submitted")
    return verdict


def _try_to(running: Service, watch: Watch, how: Sabotage) -> bool:
    try:
        return sabotage(running, watch, how)
    except RedisError:
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
