"""Time and memory of loading SD 1.5 with ViT-H-14, both with random weights, from disk until a worker is ready.

``python -m benchmarks.loading [--quick] [--json FILE] [--folder FOLDER] [--old PATH] [--rounds N] [--dtype NAME]
[--files NAME] [--calls]``. Each load runs in a fresh process, in three ways: without digests of the files (the first
start ever), with those of the load before, and by the checkout ``--old``. The ways take turns, and the files are
read before each load: nothing is dropped from the page cache, and the disk is not part of the figures as long as memory
holds both the files and the networks. ``--quick`` shrinks the networks.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.full_size import FULL, SMALL
from benchmarks.loading.checkpoints import DTYPES, write_checkpoints
from benchmarks.places import ROOT

PROBE = Path(__file__).with_name("probe.py")
CHUNK = 2**24

Figures = dict[str, Any]


def measure(folder: Path, old: Path | None, rounds: int, options: list[str]) -> dict[str, list[Figures]]:
    """The figures of each way of loading, a list of one for each round.

    Args:
        folder: of the catalog and its models.
        old: the root of another checkout, or None.
        rounds: how often.
        options: of the probe.
    """
    figures: dict[str, list[Figures]] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as cache:
            kept = [*options, "--cache", f"{cache}/digests"]
            if old is not None:
                figures.setdefault("old", []).append(_load(old, folder, options))
            figures.setdefault("first start", []).append(_load(ROOT, folder, kept))
            figures.setdefault("later starts", []).append(_load(ROOT, folder, kept))
    return figures


def _warm(folder: Path) -> None:
    """Read the weights before each load, so that none pays for a disk that another one did not need."""
    buffer = bytearray(CHUNK)
    for file in folder.rglob("*.safetensors"):
        with file.open("rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass


def _load(checkout: Path, folder: Path, options: list[str]) -> Figures:
    _warm(folder)
    command = [sys.executable, str(PROBE), str(folder / "models.toml"), *options]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True).stdout
    figures: Figures = json.loads(output.splitlines()[-1])
    return figures


def table_of(figures: dict[str, list[Figures]]) -> Table:
    """Medians: a column for each way, a row for each figure."""
    ways = list(figures.values())
    table = Table("", *figures)

    def row(name: str, figure: Callable[[Figures], float], digits: int = 2) -> None:
        medians = (statistics.median(figure(run) for run in runs) for runs in ways)
        table.add_row(name, *(f"{median:.{digits}f}" for median in medians))

    stages = dict.fromkeys(stage for runs in ways for run in runs for stage in run["stages_s"])
    for stage in stages:
        row(f"{stage}, s", lambda run, stage=stage: run["stages_s"].get(stage, 0.0))  # type: ignore[misc]
    row("from disk to ready, s", lambda run: run["ready_s"])
    first = statistics.median(run["ready_s"] for run in ways[0])
    row(f"the same, {next(iter(figures))} = 1", lambda run: run["ready_s"] / first)
    row("processor time of all threads, s", lambda run: run["cpu_s"])
    row("imports before, s", lambda run: run["import_s"])
    row("peak of resident memory, MiB", lambda run: run["peak_mib"], 0)
    for kind in ways[0][0]["calls_s"]:
        for number, name in enumerate(("first", "second")):
            row(f"{name} {kind}, s", lambda run, at=(kind, number): run["calls_s"][at[0]][at[1]], 3)  # type: ignore[misc]
    return table


def main() -> None:
    """Write the checkpoints, measure, print a table, and write JSON if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small networks, one round")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument(
        "--folder", type=Path, help="where the checkpoints are kept; a temporary one if left out"
    )
    parser.add_argument("--old", type=Path, help="root of another checkout to compare with")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", choices=("auto", "fp32", "bf16", "fp16"), default="auto", help="in memory")
    parser.add_argument("--files", choices=tuple(DTYPES), default="fp32", help="number format of the files")
    parser.add_argument("--calls", action="store_true", help="also time the first calls of a job")
    options = parser.parse_args()
    probed = ["--dtype", options.dtype, *(["--calls"] if options.calls else [])]
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        write_checkpoints(folder, SMALL if options.quick else FULL, options.files)
        figures = measure(folder, options.old, 1 if options.quick else options.rounds, probed)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    Console().print(table_of(figures))


if __name__ == "__main__":
    main()
