"""Jobs with adapters of their own: all at once, against one at a time, and against one adapter at a time.

``python -m benchmarks.adapters [--quick] [--json FILE] [--threads N]``: 16 pictures of the pocket model, two for each
of eight LoRA of random numbers that change every layer. A server that switches the model from one adapter to the next
can batch only the jobs of the same one. The last row has no adapters.
"""

import argparse
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import save_file
from torch import nn

from benchmarks.load.batching import Bench, jobs
from benchmarks.places import CATALOG
from jobs.catalog.adapters import AdapterCard
from jobs.catalog.catalog import Catalog, load_catalog
from jobs.requests.request import ResolvedRequest
from worker.models.adapters.fitting import changeable

ADAPTERS, JOBS, RANK = 8, 16, 8
SIZE = 0.02  # of the random factors: enough to change a picture, too little to break it

say = Console().print


@dataclass(frozen=True)
class Figures:
    """Seconds for the same jobs.

    Attributes:
        at_once: all of them at once.
        by_adapter: those of one adapter at once, one adapter after the other.
        one_at_a_time: one after the other.
        without: all at once, without adapters.
    """

    at_once: float
    by_adapter: float
    one_at_a_time: float
    without: float


def write_adapter(network: nn.Module, seed: int, file: Path) -> None:
    """An adapter of every layer of a UNet, with random factors."""
    rng = torch.Generator().manual_seed(seed)
    tensors: dict[str, torch.Tensor] = {}
    for name, layer in changeable(network).items():
        weight: Any = layer.weight
        down = torch.randn(RANK, *weight.shape[1:], generator=rng)
        up = torch.randn(len(weight), RANK, *[1] * (weight.ndim - 2), generator=rng)
        tensors |= {f"unet.{name}.lora_A.weight": SIZE * down, f"unet.{name}.lora_B.weight": SIZE * up}
    save_file(tensors, file)


def with_adapters(folder: Path) -> Catalog:
    """The shipped catalog and the adapters, written into a folder."""
    catalog = load_catalog(CATALOG)
    unet = Bench(1, catalog).models.diffusion(catalog.models[0].id).networks[1]
    cards = []
    for number in range(ADAPTERS):
        file = folder / f"{number}.safetensors"
        write_adapter(unet, number, file)
        cards.append(AdapterCard(id=f"adapter-{number}", path=file, base=(catalog.models[0].id,)))
    return catalog.model_copy(update={"adapters": tuple(cards)})


def measure(bench: Bench, steps: int, rounds: int) -> Figures:
    """The best of some rounds, in turn, since others may disturb."""
    plain = [bench.resolve(fields) for fields in jobs(JOBS, steps, guided=False)]
    adapted = [
        bench.resolve(fields | {"adapters": [{"name": f"adapter-{number % ADAPTERS}"}]})
        for number, fields in enumerate(jobs(JOBS, steps, guided=False))
    ]
    by_adapter = sorted(adapted, key=lambda request: request.adapters[0].name)
    for requests in (plain, adapted):
        bench.run([request.model_copy(update={"steps": 1}) for request in requests], JOBS)
    seconds: dict[str, list[float]] = {name: [] for name in Figures.__dataclass_fields__}
    for _ in range(rounds):
        seconds["at_once"].append(bench.run(adapted, JOBS)[0])
        seconds["by_adapter"].append(sum(bench.run(group, len(group))[0] for group in _groups(by_adapter)))
        seconds["one_at_a_time"].append(bench.run(adapted, 1)[0])
        seconds["without"].append(bench.run(plain, JOBS)[0])
    return Figures(**{name: min(each) for name, each in seconds.items()})


def _groups(requests: list[ResolvedRequest]) -> list[list[ResolvedRequest]]:
    size = JOBS // ADAPTERS
    return [requests[start : start + size] for start in range(0, JOBS, size)]


def show(figures: Figures) -> None:
    """A table with ratios to all at once."""
    table = Table(f"{JOBS} jobs with {ADAPTERS} adapters of rank {RANK}", "seconds", "of all at once")
    for name, seconds in asdict(figures).items():
        table.add_row(name.replace("_", " "), f"{seconds:.2f}", f"{seconds / figures.at_once:.2f}")
    say(table)


def main() -> None:
    """Measure, print a table, and write JSON if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer steps, one round")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads; all if left out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options.threads, with_adapters(Path(folder)))
        figures = measure(bench, 4 if options.quick else 25, 1 if options.quick else 3)
    show(figures)
    if options.json:
        options.json.write_text(json.dumps(asdict(figures), indent=2) + "\n")


if __name__ == "__main__":
    main()
