"""Sends made-up, hostile and malformed requests to a service of its own, and watches how it bears them.

``python -m benchmarks.fuzz [--seconds N] [--seed N] [--only PART] [--json FILE]``. Starts ``lodestar up`` with one
worker in a temporary folder and makes at least 5,000 calls: of all operations of ``/openapi.json`` (schemathesis, all
its checks), of the routes of the dialects, of odd HTTP, and with hostile files. Meanwhile ``/healthz`` is asked every
50 ms. Exits with 1 when an answer is 5xx or undocumented, a check fails, ``/healthz`` takes more than 0.25 s, a process
ends, logs an error or takes too much memory. What it finds comes with a command that repeats it.

The clients run at a lower priority than the service, so that its figures are its own on a machine of two cores.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from random import Random

import httpx

from benchmarks.fuzz.calls.budget import Budget
from benchmarks.fuzz.calls.dialects import fuzz_dialects
from benchmarks.fuzz.calls.files import send_files
from benchmarks.fuzz.calls.raw import send_raw
from benchmarks.fuzz.calls.sender import Sender
from benchmarks.fuzz.calls.wire import send_malformed
from benchmarks.fuzz.findings.documented import Documented
from benchmarks.fuzz.findings.report import show
from benchmarks.fuzz.findings.tally import Finding, Tally, read_tally
from benchmarks.fuzz.findings.verdict import LEAST_CALLS, Seen, Verdict, verdict_on
from benchmarks.fuzz.watch.drain import Drain
from benchmarks.fuzz.watch.others import Others
from benchmarks.fuzz.watch.probes import Probes
from benchmarks.fuzz.watch.service import Service, service

PRIORITY = 10  # as of nice(1)
SECONDS = 345.0
# How much of the time each part may take; what one leaves, those after it have.
SHARES = {"raw": 0.2, "files": 0.2, "dialects": 0.15, "schema": 0.45}
USUALLY_ALLOWED_S = 0.5  # for a job, before it is canceled
# Of files it is the end of their jobs that tells; most calls of the dialects wait for theirs.
ALLOWED_S = {"files": 15.0, "dialects": 0.25}
BODIES = 250  # for each route of the dialects
_LATE_S = 60.0  # by which schemathesis may exceed its time: it ends what it has begun


def run(folder: Path, seconds: float, seed: int, parts: list[str]) -> Verdict:
    """Run the parts on a service of their own, and give the verdict."""
    with service(folder) as running, Probes(running) as probes:
        os.nice(PRIORITY)
        document = httpx.get(f"{running.url}/openapi.json", trust_env=False).json()
        documented = Documented(document)
        start, tally, others = time.monotonic(), Tally(), Others()
        for index, part in enumerate(parts):
            left_s = seconds - (time.monotonic() - start)
            share = SHARES[part] / sum(SHARES[later] for later in parts[index:])
            with Drain(running.url, ALLOWED_S.get(part, USUALLY_ALLOWED_S)) as drain:
                _part(part, running, documented, Budget(left_s * share), seed, tally)
                drain.empty()
        return verdict_on(
            Seen(
                seed=seed,
                seconds=time.monotonic() - start,
                tally=tally,
                beats=probes.beats(),
                peak_bytes=probes.peak_bytes,
                restarts=running.restarts(),
                errors=running.errors(),
                operations=documented.operations if "schema" in parts else (),
                others=others.share(),
                least_calls=round(LEAST_CALLS * min(1.0, seconds / SECONDS))
                if len(parts) == len(SHARES)
                else 1,
            )
        )


def _part(
    part: str, running: Service, documented: Documented, budget: Budget, seed: int, tally: Tally
) -> None:
    before, start = len(tally.calls), time.monotonic()
    if part == "schema":
        _run_schemathesis(running, budget.seconds, seed, tally)
    else:
        sender = Sender(running.url, documented, tally)
        match part:
            case "raw":
                send_malformed(sender)
                send_raw(sender, Random(seed), budget)
            case "files":
                send_files(sender, Random(seed), budget, running.folder / "RAN")
            case _:
                fuzz_dialects(sender, BODIES, budget, seed)
    took_s = time.monotonic() - start
    print(f"{part}: {len(tally.calls) - before} calls in {took_s:.0f} s", file=sys.stderr)


def _run_schemathesis(running: Service, seconds: float, seed: int, tally: Tally) -> None:
    file = running.folder / "schema.json"
    command = [
        sys.executable,
        "-m",
        "benchmarks.fuzz.calls.schema",
        running.url,
        str(file),
        str(round(seconds)),
        str(seed),
    ]
    try:
        subprocess.run(command, check=True, timeout=seconds + _LATE_S)
        tally.add(read_tally(file))
    except subprocess.SubprocessError as error:
        tally.found(Finding("error of the run", "schemathesis", str(error), " ".join(command)))


def main() -> None:
    """Run, print the verdict, write JSON if asked; exit with 1 when a promise was broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for all parts together")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is made up")
    parser.add_argument(
        "--only", choices=SHARES, action="append", help="this part alone; may come several times"
    )
    parser.add_argument("--json", type=Path, help="write the verdict to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lodestar-") as folder:
        verdict = run(Path(folder), options.seconds, options.seed, options.only or list(SHARES))
    show(verdict)
    if options.json:
        options.json.write_text(json.dumps(asdict(verdict), indent=2) + "\n")
    if verdict.violations:
        sys.exit(1)


if __name__ == "__main__":
    main()
