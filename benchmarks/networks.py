"""Time of the pocket model's UNet on a CPU: as it is, from its trace, and compiled.

``python -m benchmarks.networks [--compile] [--dtype fp32|bf16] [--quick] [--json FILE]``. The ways take
turns, call by call, on one thread, so that a machine whose speed varies slows all of them alike. Compiling takes
minutes.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.places import ROOT
from jobs.catalog.catalog import load_catalog
from worker.models.device import Device
from worker.models.footprint import resident_bytes
from worker.models.networks import tracing
from worker.models.networks.network import FastNetwork, UNetOutput
from worker.models.networks.wanted import TIMES
from worker.models.registry import ModelRegistry
from worker.settings import WorkerSettings

ROWS = (1, 2, 8, 32)
Run = Callable[..., Tensor]


def inputs(rows: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Latents, timesteps and contexts of the pocket model."""
    rng = torch.Generator().manual_seed(rows)
    context = torch.randn(rows, 32, 192, generator=rng)
    return torch.randn(rows, 8, 8, 8, generator=rng).to(dtype), torch.full((rows,), 500), context.to(dtype)


def ways_of(dtype: str, *, compiles: bool) -> tuple[dict[str, Run], torch.dtype]:
    """The UNet in each way that is measured, ready."""
    device = Device(WorkerSettings.model_validate({"device": "cpu", "dtype": dtype}))
    unet = ModelRegistry(load_catalog(ROOT / "models.toml"), device).diffusion("pocket").networks[1]
    plain = UNetOutput(unet)
    ways: dict[str, Run] = {"as it is": plain, "traced": FastNetwork(plain, device)}
    if compiles:
        device.compiles = True
        ways["compiled"] = compiled = FastNetwork(UNetOutput(unet), device)
        began = time.perf_counter()
        compiled.prepare(*inputs(1, device.dtype))
        print(f"compiled in {time.perf_counter() - began:.0f} s")
    return ways, device.dtype


def measure(ways: dict[str, Run], given: tuple[Tensor, ...], rounds: int) -> dict[str, float]:
    """Median seconds of a call in each way."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            began = time.perf_counter()
            run(*given)
            times[name].append(time.perf_counter() - began)
    return {name: statistics.median(each) for name, each in times.items()}


def row_of(ways: dict[str, Run], rows: int, dtype: torch.dtype, rounds: int) -> dict[str, object]:
    """The figures of one number of rows."""
    given = inputs(rows, dtype)
    for run in ways.values():
        for _ in range(TIMES + 1):
            run(*given)
    seconds = measure(ways, given, rounds)
    return {
        "rows": rows,
        **{f"{name}, ms": round(1000 * each, 1) for name, each in seconds.items()},
        "traced, times as fast": round(seconds["as it is"] / seconds["traced"], 2),
        "same bits": torch.equal(ways["traced"](*given), ways["as it is"](*given)),
    }


@torch.no_grad()
def main() -> None:
    """Measure, print a table, and write JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compile", action="store_true", help="measure the compiled network too")
    parser.add_argument("--dtype", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--quick", action="store_true", help="few rounds")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tracing.LONGEST_CALL_S = 60.0  # of a machine that is busy with other work
    ways, dtype = ways_of(options.dtype, compiles=options.compile)
    before = resident_bytes()
    figures = [row_of(ways, rows, dtype, 3 if options.quick else 20) for rows in ROWS]
    table = Table(*figures[0])
    for each in figures:
        table.add_row(*map(str, each.values()))
    Console(width=max(Console().width, 100)).print(table)
    if before is not None:
        print(f"resident memory grew by {((resident_bytes() or 0) - before) / 2**20:.0f} MiB")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
