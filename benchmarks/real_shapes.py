"""Checkpoints of the real shapes, with random weights, served by a real stack: one picture of each over HTTP.

``python -m benchmarks.real_shapes [--quick] [--json FILE] [--kinds NAME ...] [--dtype NAME] [--threads N]
[--batch-gib N]``. It writes SD 1.5, SD 2.1 with v-prediction, SD 1.5 as one file, SD 1.5 that inpaints, one that edits,
and SDXL, each in fp16 and one at a time (7 GB of disk at most). It asks for two steps with classifier-free guidance, at
512 px and of SDXL at 1024; of the one that inpaints, to paint the middle of a picture; of the one that edits, to edit
one. The peak of the worker's resident memory is compared with what docs/operating.md states: its networks,
``LODESTAR_BATCH_MEMORY_GIB``, and ``PROCESS_GIB`` for the process. Exits with 1 when one takes more.
``--quick`` shrinks the networks.
"""

import argparse
import base64
import io
import json
import math
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.full_size import FULL, SMALL
from benchmarks.loading.checkpoints import write_diffusion
from benchmarks.loading.single_file import write_single_file
from benchmarks.loading.xl_shapes import xl
from benchmarks.methods.models import Shapes
from benchmarks.neighbours.service import Service, running
from benchmarks.places import MODELS
from jobs.catalog.catalog import load_catalog
from worker.models.loading.files import parameters

PROCESS_GIB = 1.25  # interpreter, libraries, what the allocator keeps
GIB = 2**30
BYTES = {"fp32": 4, "bf16": 2}
SAMPLED_S = 0.02
UP_BLOCKS_WITH_ATTENTION = (False, True, True, True)
V2: dict[str, Any] = {
    "cross_attention_dim": 1024,
    "attention_head_dim": (5, 10, 20, 20),
    "use_linear_projection": True,
    "sample_size": 96,
}
V2_TEXT = {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16, "num_hidden_layers": 23}


@dataclass(frozen=True)
class Kind:
    """A kind of checkpoint.

    Attributes:
        shapes: of its networks.
        scheduler: fields of its scheduler's configuration.
        is_one_file: whether it is written in the layout of the original release.
        request: fields of what is asked for besides the prompt.
        edits: whether it edits pictures.
    """

    shapes: Shapes
    scheduler: dict[str, Any]
    is_one_file: bool = False
    request: dict[str, Any] = field(default_factory=dict)
    edits: bool = False


def kinds(base: Shapes) -> dict[str, Kind]:
    """The kinds by their names, around the shapes of SD 1.5."""
    shape = V2 if base is FULL else {"cross_attention_dim": 1024, "use_linear_projection": True}
    layers = V2_TEXT | ({} if base is FULL else {"num_hidden_layers": 1})
    second = replace(base, unet=base.unet | shape, vae=base.vae, text=layers | {"hidden_act": "gelu"})
    return {
        "sd-1.5": Kind(base, {"prediction_type": "epsilon"}),
        "sd-2.1": Kind(second, {"prediction_type": "v_prediction"}),
        "sd-1.5-file": Kind(base, {"prediction_type": "epsilon"}, is_one_file=True),
        "sdxl": Kind(xl(base, is_full=base is FULL), {"prediction_type": "epsilon"}),
        "sd-1.5-inpainting": Kind(
            replace(base, unet=base.unet | {"in_channels": 9}),
            {"prediction_type": "epsilon"},
            request={
                "init": {"image": drawn("grey"), "strength": 1},
                "mask": {"image": drawn("black", hole=True)},
            },
        ),
        "sd-1.5-edit": Kind(
            replace(base, unet=base.unet | {"in_channels": 8}),
            {"prediction_type": "epsilon"},
            request={"edit": {"image": drawn("grey", hole=True)}},
            edits=True,
        ),
    }


def drawn(colour: str, *, hole: bool = False) -> str:
    """A picture as a data URI, white in the middle if it is to have a hole."""
    picture, file = Image.new("RGB", (64, 64), colour), io.BytesIO()
    if hole:
        picture.paste("white", (16, 16, 48, 48))
    picture.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


@dataclass(frozen=True)
class Figures:
    """Of one kind: bytes, and seconds of the job."""

    networks: int
    peak: int
    stated: float
    picture_s: float


class Peak(threading.Thread):
    """The most resident memory of a process while the block lasts."""

    def __init__(self, process: psutil.Process) -> None:
        super().__init__(daemon=True)
        self._status = Path(f"/proc/{process.pid}/status")
        self._ended = threading.Event()
        self.bytes = 0

    def __enter__(self) -> "Peak":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Sample, since the worker's own measurements start the system's count anew."""
        while not self._ended.wait(SAMPLED_S):
            fields = dict(line.split(":", 1) for line in self._status.read_text().splitlines())
            self.bytes = max(self.bytes, int(fields["VmHWM"].split()[0]) * 1024)


def write(folder: Path, name: str, kind: Kind) -> Path:
    """Write a checkpoint, and the catalog that holds it; its CLIP is the small one that ships."""
    write_diffusion(folder / name, kind.shapes, "fp16", **kind.scheduler)
    source = f'path = "{folder / name}"'
    if kind.is_one_file:
        file = folder / f"{name}.safetensors"
        layers = int(kind.shapes.unet["layers_per_block"])
        write_single_file(folder / name, file, layers=layers, with_attention=UP_BLOCKS_WITH_ATTENTION)
        for weights in (folder / name).rglob("*.safetensors"):
            weights.unlink()
        source = f'path = "{file}"\nconfig = "{folder / name}"'
    px, family = kind.shapes.px, "sd" if kind.shapes.second_text is None else "sdxl"
    (folder / "models.toml").write_text(
        f'[models."{name}"]\n{source}\nfamily = "{family}"\nclip = "pocket-m"\n'
        f'kind = "{"edit" if kind.edits else "text"}"\n'
        f"width = {px}\nheight = {px}\nmin_px = 64\nmax_px = {px}\n"
        f'\n[clips.pocket-m]\npath = "{MODELS / "pocket-m"}"\n'
    )
    return folder / "models.toml"


def measure(name: str, kind: Kind, options: argparse.Namespace) -> Figures:
    """Serve a kind, and ask for a picture."""
    request = {"prompt": "a red apple", "steps": 2, "seed": 7, **kind.request}
    with tempfile.TemporaryDirectory(prefix="lodestar-") as place:
        models = write(Path(place), name, kind)
        catalog = load_catalog(models)
        numbers = parameters(catalog.models[0]) + parameters(catalog.clips[0])
        settings = {"LODESTAR_DTYPE": options.dtype, "LODESTAR_BATCH_MEMORY_GIB": str(options.batch_gib)}
        with (
            running(options.threads, lambda _: models, **settings) as service,
            Peak(_worker(service)) as peak,
        ):
            began = time.monotonic()
            job = service.ended(service.submit(request, "caller"))
            seconds = time.monotonic() - began
    if job["status"] != "succeeded":
        raise RuntimeError(f"{name}: {job['status']}: {job['error']}")
    networks = numbers * BYTES[options.dtype]
    return Figures(
        networks, peak.bytes, networks + (options.batch_gib + PROCESS_GIB) * GIB, round(seconds, 1)
    )


def _worker(service: Service) -> psutil.Process:
    """The worker's process, which loads the models."""
    descendants = psutil.Process(service.process).children(recursive=True)
    return max(descendants, key=lambda process: process.memory_info().rss)


def table_of(figures: dict[str, Figures]) -> Table:
    """A row for each kind."""
    table = Table("", "networks, GiB", "peak of the worker, GiB", "stated, GiB", "two steps, s")
    for name, row in figures.items():
        sizes = (f"{size / GIB:.2f}" for size in (row.networks, row.peak, row.stated))
        table.add_row(name, *sizes, f"{row.picture_s:.0f}")
    return table


def main() -> None:
    """Measure, print a table, write JSON if asked, and fail above what is stated."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small networks")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--kinds", nargs="+", choices=kinds(FULL), default=list(kinds(FULL)))
    parser.add_argument("--dtype", choices=BYTES, default="fp32", help="of the computation")
    parser.add_argument("--threads", type=int, default=2, help="of the worker")
    parser.add_argument("--batch-gib", type=float, default=1.0, help="LODESTAR_BATCH_MEMORY_GIB")
    options = parser.parse_args()
    known = kinds(SMALL if options.quick else FULL)
    figures = {name: measure(name, known[name], options) for name in options.kinds}
    Console().print(table_of(figures))
    if options.json:
        rows = {name: asdict(row) for name, row in figures.items()}
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    above = [name for name, row in figures.items() if not row.peak <= row.stated < math.inf]
    if above:
        sys.exit(f"more memory than stated: {', '.join(above)}")


if __name__ == "__main__":
    main()
