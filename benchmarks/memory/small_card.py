"""Memory that a small card needs for an SDXL with random weights, by how its weights are kept.

``python -m benchmarks.memory.small_card [--quick] [--px N] [--guided] [--keep NAME ...] [--folder PATH]
[--json FILE]``. Loads SDXL's shapes on this machine's CPU in bf16 (7 GiB of disk and of memory, with ViT-H-14 2 GiB
more) and takes one step with classifier-free guidance; ``--guided`` adds a gradient of ViT-H-14 with 4 cutouts. Weights
on the device are counted. By how much each kind of call lets the process grow is measured, copies of offloaded networks
included. Their sum is what a card needs for them, without what CUDA itself takes; a GPU's kernels may take other
workspaces than a CPU's. ``--quick`` shrinks all.
"""

import argparse
import ctypes
import gc
import json
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.full_size import FULL, SMALL
from benchmarks.loading.checkpoints import SMALL_CLIP, write_checkpoints
from benchmarks.loading.xl_shapes import xl
from jobs.catalog.catalog import Catalog, load_catalog
from jobs.requests.conditions.families import FamilyName
from jobs.requests.request import GenerateRequest
from jobs.resolve.request import resolve
from worker.calls import Decode, Denoise, EncodeText, Guide
from worker.engine.runner import Runner
from worker.engine.solo import sampler_of
from worker.models.device import Device
from worker.models.families.denoiser import Denoiser
from worker.models.footprint import peak_memory
from worker.models.loading.diffusion import load_diffusion
from worker.models.networks.keeping import Keeping
from worker.models.registry import ModelRegistry
from worker.sampling.inputs import SamplerInputs
from worker.settings import WorkerSettings

KEPT = {
    "as they are": Keeping(),
    "offload": Keeping(offloads=True),
    "int8": Keeping(in_int8=True),
    "int8, offload": Keeping(in_int8=True, offloads=True),
}
CALLS = (EncodeText, Denoise, Guide, Decode)
GIB = 2**30


@dataclass(frozen=True)
class Figures:
    """Of one way to keep the weights, in bytes; ``grown`` by kind of call, ``seconds`` of all calls."""

    model: int
    clip: int
    grown: dict[str, int]
    seconds: float

    @property
    def peak(self) -> int:
        """The most that a call needs."""
        return self.model + self.clip + max(self.grown.values())


class _Measured(ModelRegistry):
    """A registry whose first model is kept in a stated way."""

    def __init__(self, catalog: Catalog, device: Device, keeping: Keeping) -> None:
        super().__init__(catalog, device)
        self._model = load_diffusion(catalog.models[0], device, keeping=keeping)

    def diffusion(self, model_id: str) -> Denoiser:
        """The model; there is one."""
        assert model_id == self.catalog.models[0].id
        return self._model


def measure(catalog: Catalog, keeping: Keeping, *, is_guided: bool) -> Figures:
    """Take one step, and decode."""
    models = _Measured(catalog, Device(WorkerSettings(device="cpu", dtype="bf16", threads=1)), keeping)
    guidance = {"preset": "laion", "cutouts": 4, "last_step": True} if is_guided else None
    asked = {
        "prompt": "a red apple",
        "negative_prompt": "blurry",
        "steps": 1,
        "seed": 7,
        "guidance": guidance,
    }
    request = resolve(GenerateRequest.model_validate(asked), catalog)
    runner, sampler = Runner(models), sampler_of(request, models, SamplerInputs(catalog.clips[0].id))
    grown: dict[str, int] = {}
    began, call = time.monotonic(), next(sampler)
    while True:
        _trim()
        with peak_memory(torch.device("cpu")) as peak:
            answer = runner.answer(call)
        if isinstance(call, CALLS):
            kind = type(call).__name__
            grown[kind] = max(grown.get(kind, 0), peak())
        if isinstance(call, Decode):
            break
        call = sampler.send(answer)
    seconds = time.monotonic() - began
    sampler.close()
    model = models.diffusion(request.model)
    clips = [models.clip(clip) for clip in request.guidance.clips] if request.guidance else []
    home = (
        {id(tensor) for tensor in _tensors(model.networks[:-2] + model.networks[-1:])}
        if keeping.offloads
        else set()
    )
    return Figures(
        sum(tensor.nbytes for tensor in _tensors(model.networks) if id(tensor) not in home),
        sum(tensor.nbytes for clip in clips for tensor in _tensors(clip.networks)),
        grown,
        round(seconds, 1),
    )


def _tensors(networks: Iterable[torch.nn.Module]) -> list[torch.Tensor]:
    return [tensor for network in networks for tensor in (*network.parameters(), *network.buffers())]


def _trim() -> None:
    """Give freed memory back to the system, so that what is used again counts."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def table_of(figures: dict[str, Figures]) -> Table:
    """A row for each way."""
    kinds = [call.__name__ for call in CALLS if all(call.__name__ in row.grown for row in figures.values())]
    table = Table("weights, GiB", "model", "CLIP", *(f"+ {kind}" for kind in kinds), "most", "s")
    for name, row in figures.items():
        numbers = [row.model, row.clip, *(row.grown[kind] for kind in kinds), row.peak]
        table.add_row(name, *(f"{number / GIB:.2f}" for number in numbers), f"{row.seconds:.0f}")
    return table


def main() -> None:
    """Measure, print a table, and write JSON if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small networks")
    parser.add_argument("--px", type=int, help="of the picture; by default 1024, or 256 with --quick")
    parser.add_argument("--guided", action="store_true", help="guide by a CLIP")
    parser.add_argument("--keep", nargs="+", choices=KEPT, default=list(KEPT))
    parser.add_argument("--folder", type=Path, help="for the checkpoints, which stay there for the next run")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    shapes = xl(SMALL if options.quick else FULL, is_full=not options.quick)
    if not options.guided:
        shapes = replace(shapes, clip=str(SMALL_CLIP))  # what scores pictures
    with tempfile.TemporaryDirectory(prefix="lodestar-") as place:
        folder, px = options.folder or Path(place) / "models", options.px or shapes.px
        write_checkpoints(folder, shapes, "fp16")
        known = load_catalog(folder / "models.toml")
        asked = {"family": FamilyName.SDXL, "width": px, "height": px}
        catalog = known.model_copy(update={"models": (known.models[0].model_copy(update=asked),)})
        figures = {}
        for name in options.keep:
            figures[name] = measure(catalog, KEPT[name], is_guided=options.guided)
            Console().print(name, asdict(figures[name]))
    Console(width=110).print(table_of(figures))
    if options.json:
        options.json.write_text(
            json.dumps({name: asdict(row) for name, row in figures.items()}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
