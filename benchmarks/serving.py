"""Utilization of the models: by the engine alone, and by whole servers under load.

``python -m benchmarks.serving [--quick] [--json FILE] [--part batching|servers] [--threads N] [--peers PYTHON]``.

``batching``: 16 jobs at once against the same 16 one at a time. ``servers``: the pocket pipeline behind this service,
and behind LitServe, BentoML and Ray Serve, which batch whole requests; all in one run on one machine. The requests have
10 to 50 steps, half of them are guided, and they arrive at random. ``benchmarks/peers.txt`` says how to install the
others; those that are not there are left out.
"""

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.load import arrivals, batching
from jobs.distribution import own_version

say = Console().print


def show_batching(results: dict[str, Any]) -> None:
    """Two tables: the limit, and how near it the engine comes."""
    limit = Table("rows in a batch", "rows/s of the bare UNet")
    for row in results["limit"]:
        limit.add_row(str(row["rows"]), f"{row['rows_per_s']:.1f}")
    gains = Table("16 jobs", "one at a time", "at once", "ratio", "model busy")
    for name in ("unguided", "half_guided", "mixed_starts"):
        row = results[name]
        gains.add_row(
            name.replace("_", " "),
            f"{row['one_at_a_time_s']:.1f} s",
            f"{row['at_once_s']:.1f} s",
            f"{row['ratio']:.2f}",
            f"{row['busy_share']:.1%}",
        )
    say(f"{results['threads']} threads, {results['steps']} steps, {results['cutouts']} cutouts", limit, gains)


def measure_servers(threads: int, python: str, *, quick: bool) -> dict[str, Any]:
    """Every server that is installed, at every rate."""
    requests = arrivals.mixed(12 if quick else 30, quick=quick)
    bench = batching.Bench(threads)
    some = [bench.resolve(fields) for fields in requests[: 4 if quick else 16]]
    bench.run(some[:1], 1)
    alone_per_s = len(some) / bench.run(some, 1)[0]
    rates = [round(alone_per_s * share, 3) for share in ((1.0,) if quick else (0.5, 1.0, 2.0))]
    results: dict[str, Any] = {"alone_per_s": alone_per_s, "threads": threads, "servers": {}}
    for server in (arrivals.LODESTAR, *arrivals.PEERS):
        ours = server is arrivals.LODESTAR
        own = arrivals.interpreter(None)
        version = own_version() if ours else arrivals.version_in(python, server.package)
        if version is None:
            say(f"{server.name} is not installed for {python}: left out")
            continue
        say(f"{server.name} {version} ...")
        loads = arrivals.measure(server, own if ours else python, threads, rates, requests)
        results["servers"][server.name] = {"version": version, "loads": loads}
    return results


def show_servers(results: dict[str, Any]) -> None:
    """One table, by rate."""
    table = Table("arrivals/s", "server", "answers/s", "p50", "p99", "model busy", "failed")
    loads = [
        (load, f"{name} {found['version']}")
        for name, found in results["servers"].items()
        for load in found["loads"]
    ]
    for load, name in sorted(loads, key=lambda pair: pair[0]["arrivals_per_s"]):
        table.add_row(
            f"{load['arrivals_per_s']:.2f}",
            name,
            f"{load['answers_per_s']:.2f}",
            f"{load['p50_s']:.1f} s",
            f"{load['p99_s']:.1f} s",
            f"{load['busy_share']:.0%}",
            str(load["failed"]),
        )
    say(f"one request at a time, without a server: {results['alone_per_s']:.2f}/s", table)


def main() -> None:
    """Measure, print tables, and write JSON if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer steps, requests and rates")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--part", choices=("batching", "servers"), help="one part only")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads; all if left out")
    parser.add_argument("--peers", type=Path, help="Python interpreter for which the others are installed")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # and end the servers on the way
    results: dict[str, Any] = {}
    if options.part != "servers":
        results["batching"] = batching.measure(options.threads, quick=options.quick)
        show_batching(results["batching"])
    if options.part != "batching":
        python = arrivals.interpreter(options.peers)
        results["servers"] = measure_servers(options.threads, python, quick=options.quick)
        show_servers(results["servers"])
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
