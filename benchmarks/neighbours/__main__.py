"""The cost of one caller's job to the others: their latency beside a hostile job, over that beside a harmless one.

``python -m benchmarks.neighbours [--quick] [--json FILE] [--way NAME] [--threads N]``. Starts the whole service with
one worker. Three callers have an ordinary job each, while a fourth has one that is hostile in one way, or an ordinary
one of the same share in its place. Both are measured in turn, several times. Exits with 1 if a ratio of medians is
above 1.3, or a neighbour's job failed.

To see an older version, copy this folder and ``benchmarks/places.py`` into a checkout of it and run it there.
"""

import argparse
import json
import math
import os
import statistics
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.neighbours.ratio import Ratio, compare
from benchmarks.neighbours.service import Service, running
from benchmarks.neighbours.ways import Way, ways

say = Console().print


def measure(name: str, way: Way, service: Service, repeats: int) -> Ratio:
    """Both in turn, so that what else the machine does meets both alike; the first of each is not counted."""
    times: dict[str, list[float]] = {"harmless": [], "hostile": []}
    failed = 0
    for turn in range(repeats + 1):
        for kind, requests in (("harmless", way.harmless), ("hostile", way.hostile)):
            latencies, lost = service.latencies(requests, way.neighbour)
            failed += lost
            if turn:
                times[kind].append(statistics.fmean(latencies))
    return compare(name, times["harmless"], times["hostile"], failed)


def show(ratios: list[Ratio]) -> None:
    """One row for each way."""
    table = Table(
        "the fourth caller's", "others beside a harmless job", "beside the hostile one", "ratio", "failed"
    )
    for row in ratios:
        ratio = f"{row.ratio:.2f}" if row.is_within_bounds else f"[red]{row.ratio:.2f}[/red]"
        table.add_row(row.way, f"{row.harmless_s:.2f} s", f"{row.hostile_s:.2f} s", ratio, str(row.failed))
    say(table)


def main() -> None:
    """Measure, print a table, and write JSON if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = ways()
    parser.add_argument("--quick", action="store_true", help="three repeats instead of seven")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--way", choices=tuple(known), help="one way only")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads; all if left out")
    options = parser.parse_args()
    ratios = []
    with running(options.threads) as service:
        service.keep_embedding()
        for name, way in known.items():
            if options.way in (None, name):
                ratios.append(measure(name, way, service, 3 if options.quick else 7))
                show(ratios[-1:])
    show(ratios)
    if options.json:
        rows = [{**asdict(row), "ratio": row.ratio if math.isfinite(row.ratio) else None} for row in ratios]
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    if not all(row.is_within_bounds for row in ratios):
        sys.exit(1)


if __name__ == "__main__":
    main()
