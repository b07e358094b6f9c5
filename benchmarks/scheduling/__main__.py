"""Which job the engine should serve next: policies on a simulated device, side by side.

``python -m benchmarks.scheduling [--quick] [--json FILE] [--measure]``. Jobs of the mix of ``benchmarks.serving``
arrive at random; the scheduler is the engine's own, and batches cost what they were measured to. ``--measure`` measures
them anew, on this machine. Every policy gets the same arrivals: 20 draws of 150 jobs at each rate, in some two minutes.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.places import CATALOG
from benchmarks.scheduling import costs
from benchmarks.scheduling.measuring import measure
from benchmarks.scheduling.policies import MAX_BATCH, POLICIES
from benchmarks.scheduling.simulation import Engine, Run, SimulatedJob, arrivals, run_whole
from jobs.catalog.catalog import Catalog, load_catalog

LOADS = (0.5, 1.0, 1.5)  # arrivals, against the rate of one job at a time
say = Console().print


def simulate(curves: costs.Curves, catalog: Catalog, *, quick: bool) -> dict[str, Any]:
    """All figures: for each rate and policy the mean and the standard error of each measure."""
    draws, count = (4, 40) if quick else (20, 150)
    alone_per_s = _alone_per_s(curves, catalog)
    policies: dict[str, Callable[[list[SimulatedJob]], Run]] = {
        name: lambda jobs, policy=policy: Engine(policy(MAX_BATCH), curves).run(jobs)  # type: ignore[misc]
        for name, policy in POLICIES.items()
    }
    policies["whole requests"] = lambda jobs: run_whole(jobs, curves)
    loads = []
    for load in LOADS:
        rate = load * alone_per_s
        runs = {
            name: [run(arrivals(count, rate, seed, catalog)) for seed in range(draws)]
            for name, run in policies.items()
        }
        loads.append(
            {"arrivals_per_s": rate, "policies": {name: _means(found) for name, found in runs.items()}}
        )
    return {"alone_per_s": alone_per_s, "draws": draws, "jobs": count, "loads": loads}


def _alone_per_s(curves: costs.Curves, catalog: Catalog) -> float:
    """Jobs of the mix a second, one at a time."""
    jobs = arrivals(200, 1.0, 0, catalog)
    alone = (sum(costs.seconds(curves[type(call).__name__], 1) for call in job.calls) for job in jobs)
    return 1 / statistics.fmean(alone)


def _means(runs: list[Run]) -> dict[str, tuple[float, float]]:
    columns = {field.name: [getattr(run, field.name) for run in runs] for field in fields(Run)}
    return {
        name: (statistics.fmean(values), statistics.stdev(values) / len(values) ** 0.5)
        for name, values in columns.items()
    }


def show(results: dict[str, Any]) -> None:
    """One table, by rate."""
    table = Table("arrivals/s", "policy", "mean", "p50", "p95", "p99", "jobs/s", "most behind an equal share")
    for load in results["loads"]:
        for name, found in load["policies"].items():
            cells = [f"{mean:.2f} ± {error:.2f}" for mean, error in found.values()]
            table.add_row(f"{load['arrivals_per_s']:.2f}", name, *cells)
    say(f"{results['draws']} draws of {results['jobs']} jobs; seconds, and standard errors", table)


def main() -> None:
    """Simulate, print a table, and write JSON if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer draws and jobs")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--measure", action="store_true", help="measure what batches cost on this machine")
    options = parser.parse_args()
    curves = measure() if options.measure else costs.MEASURED
    if options.measure:
        say({name: {size: round(cost, 4) for size, cost in curve.items()} for name, curve in curves.items()})
    results = simulate(curves, load_catalog(CATALOG), quick=options.quick)
    show(results)
    if options.json:
        options.json.write_text(json.dumps(results | {"curves": curves}, indent=2) + "\n")


if __name__ == "__main__":
    main()
