"""What a card decides: ``python -m benchmarks.gpu [PART ...] [--small] [--json FILE]``, or ``make bench-gpu``.

Measures the parts of the engine whose best form depends on the card, and prints each figure beside the rule by which it
decides. All parts take about 20 minutes on a fast card; JSON is written after each, so what is known stays known. With
``--small``, tiny networks on whatever device there is show that everything runs; their figures decide nothing. Exits
with 1 if a part failed, and with 2 without a CUDA device, unless ``--small`` is given or no part needs one (``store``).
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.console import Console

from benchmarks.gpu import attention, engine, host, mates, store, unet, vae
from benchmarks.gpu.bench import Bench, bench
from benchmarks.gpu.report import Report

PARTS: dict[str, tuple[str, Callable[[Bench], None]]] = {
    "env": ("the host, and copies to the device", host.measure),
    "unet": ("a call of SD 1.5's UNet by its rows", unet.measure),
    "graphs": ("the same as CUDA graphs", unet.measure_graphs),
    "attention": ("attention kernels, forward and back", attention.measure),
    "vae": ("decoding by the pictures of a call", vae.measure),
    "engine": ("what the engine costs beside the device", engine.measure),
    "guided": ("the same for guided pictures", engine.measure_guided),
    "mates": ("what a batch changes in a picture", mates.measure),
    "store": ("encoding and storing by the number of threads", store.measure),
    "compiled": ("the UNet compiled", unet.measure_compiled),  # last: compiling takes minutes
}

ANYWHERE = {"store"}  # without a card too


def measure(parts: Sequence[str], report: Report, *, small: bool) -> None:
    """Measure parts in turn; one that fails ends no other."""
    subject = bench(report, small=small)
    for part in parts:
        about, run = PARTS[part]
        began = time.monotonic()
        report.begin(part, about)
        try:
            run(subject)
        except Exception as error:
            report.fail(error)
        report.end(time.monotonic() - began)
        subject.release()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all if left out")
    parser.add_argument("--small", action="store_true", help="tiny networks, on a CPU too")
    parser.add_argument("--json", type=Path, help="write all figures to this file, after each part")
    options = parser.parse_args(arguments)
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"no part is called {unknown[0]!r}; there are {', '.join(PARTS)}")
    parts = options.parts or list(PARTS)
    needing = [part for part in parts if part not in ANYWHERE]
    if needing and not (options.small or torch.cuda.is_available()):
        needed = f"PyTorch finds no CUDA device, and these parts need one: {', '.join(needing)}"
        print(f"{needed}; --small shows on a CPU that everything runs", file=sys.stderr)
        return 2
    report = Report(Console(), options.json)
    measure(parts, report, small=options.small)
    return int(report.has_failed)


if __name__ == "__main__":
    sys.exit(main())
