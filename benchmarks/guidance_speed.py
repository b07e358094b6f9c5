"""Time and peak memory of a guided step by each preset, beside the method of diffusers' community pipeline.

``python -m benchmarks.guidance_speed [--quick] [--json FILE] [--steps N] [--cutouts N] [--pipeline FILE]``. Same
model, same CLIP, and with ``--cutouts 4`` as many cutouts for all as the community pipeline has, whose file is given by
``--pipeline`` (see ``benchmarks/methods/community.py``). A preset that guides part of its steps is charged for an
average step of its run.
"""

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.methods.stepping import Cost, Method, measure_all
from jobs.requests.presets import PRESETS


def methods(cutouts: int | None, pipeline: Path | None, *, quick: bool) -> list[Method]:
    """The rows of the table."""
    names = ("laion", "diffusers", "fast") if quick else tuple(PRESETS)
    presets = [Method(name, {"preset": name, "cutouts": cutouts}) for name in names if PRESETS[name].scale]
    community = [Method("community pipeline", pipeline=pipeline)] if pipeline else []
    return [Method("unguided"), *community, *presets]


def table_of(costs: list[Cost]) -> Table:
    """Times and memory, and times in units of unguided steps, or of the first row's where those were not timed."""
    unit = "x the first" if costs[0].times is None else "x unguided"
    table = Table("method", "ms a step", unit, "peak MiB beyond the weights")
    for cost in costs:
        figures = (
            f"{1000 * cost.seconds:.1f}",
            f"{cost.seconds / costs[0].seconds if cost.times is None else cost.times:.2f}",
            f"{cost.peak_mib:.0f}",
        )
        table.add_row(cost.name, *figures)
    return table


def main() -> None:
    """Measure, print a table, and write JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three presets")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--steps", type=int, default=10, help="of each run that is timed")
    parser.add_argument("--cutouts", type=int, help="cutouts a step; each preset's own if left out")
    parser.add_argument("--pipeline", type=Path, help="the community pipeline's file")
    options = parser.parse_args()
    rows = methods(options.cutouts, options.pipeline, quick=options.quick)
    costs = measure_all(rows, options.steps, json_file=options.json)
    Console(width=max(Console().width, 100)).print(table_of(costs))


if __name__ == "__main__":
    main()
