"""Kills parts of a real service at random and proves that no accepted job is lost, published twice or left lying.

``python -m benchmarks.chaos [--failover] [--taken-away] [--quick] [--json FILE] [--seed N] [--sabotage
lease|publish]``. 300 jobs of
the pocket model come in over five minutes while workers, the API and Valkey get SIGKILL, one every few seconds, and are
started again as ``lodestar up`` would. With ``--failover`` there are a primary, two replicas and three Sentinels; the
primary and the replicas are killed too, and stay away until another one has taken over. Exits with 1 unless every job
that was acknowledged succeeds, publishes once and, when its worker dies, is back in the queue within 20 s. With
``--taken-away`` workers alone get SIGTERM, and SIGKILL two seconds later, as on machines that are taken back; less than
2 % of the sampling steps may be done twice. A sabotaged run breaks one of these promises from outside and must exit
with 1.
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

from benchmarks.chaos.attacks import Attack, Killing, Sabotage, sabotage, submit
from benchmarks.chaos.service import Part, Service, service
from benchmarks.chaos.taking_away import TakingAway, steps_of
from benchmarks.chaos.verdict import Verdict, verdict_on
from benchmarks.chaos.watch import LOOK_EVERY_S, Watch
from jobs.db.connection import connect

# Who is killed how often.
RESTARTS: dict[Part, int] = {"worker": 6, "api": 2, "valkey": 2}
FAILOVER: dict[Part, int] = {"worker": 6, "api": 2, "primary": 3, "replica": 1}
MOST_STEPS = 100  # of a job, where workers are taken away: most jobs are to be met on their way
SETTLED_WITHIN_S = 900.0  # for what is left when the killing ends


def rehearse(
    folder: Path,
    *,
    jobs: int,
    seconds: float,
    seed: int,
    how: Sabotage | None,
    settle_s: float,
    failover: bool = False,
    taken_away: bool = False,
) -> Verdict:
    """Run the service, kill its parts at random or take its workers away, and give the verdict."""
    chance, broken = random.Random(seed), how is None
    steps, most_steps = (folder / "steps", MOST_STEPS) if taken_away else (None, 20)
    with (
        service(folder, workers=2, replicated=failover, steps=steps) as running,
        ThreadPoolExecutor(8) as pool,
    ):
        watch = Watch(connect(running.redis_url, patient=False))
        watch.start()
        shares = FAILOVER if failover else RESTARTS
        attack = TakingAway(running, watch, chance) if steps else Killing(running, watch, chance, shares)
        start = time.monotonic()
        end, next_strike, sent = start + seconds, start + 3.0, 0
        while time.monotonic() < end:
            while sent < jobs and time.monotonic() >= start + seconds * sent / jobs:
                pool.submit(submit, running.url, sent, str(seed), watch, end + settle_s, most_steps)
                sent += 1
            if time.monotonic() >= next_strike:
                attack.strike()
                next_strike = time.monotonic() + chance.uniform(4, 10)
            attack.tend()
            broken = broken or (how is not None and _try_to(running, watch, how))
            running.tend(0.1)
        _settle(running, watch, attack, jobs, how if not broken else None, time.monotonic() + settle_s)
        verdict = verdict_on(watch.stories, watch.orphaned, attack.kills)
        if steps is not None:
            verdict.count_steps(*steps_of(steps, running.redis, list(watch.stories)))
    if len(watch.stories) < jobs:
        verdict.violations.append(f"only {len(watch.stories)} of {jobs} jobs could be submitted")
    return verdict


def _settle(
    running: Service, watch: Watch, attack: Attack, jobs: int, how: Sabotage | None, last: float
) -> None:
    """Wait until all jobs have ended, and what is to be broken is broken, or the time is over."""
    while time.monotonic() < last:
        attack.tend()
        if how is not None and _try_to(running, watch, how):
            how = None
        if len(watch.stories) >= jobs and watch.all_ended() and how is None:
            break
        running.tend(0.5)
    running.supervisor.sleep(2 * LOOK_EVERY_S)
    watch.end()


def _try_to(running: Service, watch: Watch, how: Sabotage) -> bool:
    try:
        return sabotage(running, watch, how)
    except RedisError:
        return False


def _show(verdict: Verdict) -> None:
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
    if verdict.steps_needed:
        Console().print(f"steps done twice: {100 * verdict.twice:.2f} % of {verdict.steps_needed}")
    for violation in verdict.violations:
        Console().print(violation)


def main() -> None:
    """Rehearse, print the verdict, write JSON if asked; exit with 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--failover", action="store_true", help="kill the primary of a replicated server, and replicas"
    )
    parser.add_argument(
        "--taken-away", action="store_true", help="take workers away with two seconds' notice"
    )
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
            failover=options.failover,
            taken_away=options.taken_away,
        )
    _show(verdict)
    if options.json:
        options.json.write_text(json.dumps(asdict(verdict), indent=2) + "\n")
    if verdict.violations:
        sys.exit(1)


if __name__ == "__main__":
    main()
