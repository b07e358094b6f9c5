"""What the marks of a picture cost, in milliseconds and in bytes, and what its screening costs.

``python -m benchmarks.marks [--quick] [--json FILE]``, on one core. A noisy picture, the worst case for a signature, is
encoded with the mark and without it, and signed by a certificate that is made here. Each figure is a median. Exits
with 1 if mark and signature together take 10 ms or more.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from app.api.pictures.credentials import Signer
from app.api.pictures.formats import Format, encode
from jobs.pictures.mark import Mark, our_generator, with_mark
from tests.app.certificates import make_chain
from worker.pictures.picture import Picture
from worker.pictures.safety import SafetyChecker
from worker.raster import Raster

BOUND_MS = 10.0
SIZES_PX = (512, 1024)
QUALITY = 80
MARK = Mark(generator=our_generator(), model="pocket", document_id="urn:uuid:" + "0" * 36)


@dataclass(frozen=True)
class Cost:
    """Of one format at one size."""

    form: str
    size_px: int
    mark_ms: float
    sign_ms: float
    mark_bytes: int
    sign_bytes: int


def median_ms(work: Callable[[], object], times: int) -> float:
    """The median of a call, in milliseconds."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return 1000 * statistics.median(taken)


def cost_of(form: Format, size_px: int, signer: Signer, times: int) -> Cost:
    """Measure one format."""
    noise = np.random.default_rng(0).integers(0, 256, (size_px, size_px, 3), np.uint8)
    out = BytesIO()
    Image.fromarray(noise).save(out, "PNG", compress_level=3)
    plain = out.getvalue()
    marked = with_mark(plain, MARK)
    unmarked, file = encode(plain, form, QUALITY), encode(marked, form, QUALITY)
    # Beside the pixels' encoding, which varies by more, the mark costs what putting it in and finding it cost.
    mark_ms = median_ms(lambda: encode(with_mark(plain, MARK), Format.PNG), times)
    if form is not Format.PNG:
        mark_ms += median_ms(lambda: with_mark(marked, MARK), times)
    sign_ms = median_ms(lambda: signer.sign(file, form), times)
    signed = signer.sign(file, form)
    return Cost(str(form), size_px, mark_ms, sign_ms, len(file) - len(unmarked), len(signed) - len(file))


def table_of(costs: Sequence[Cost]) -> Table:
    """The costs of marks, for people."""
    table = Table("format", "size", "mark, ms", "sign, ms", "mark, bytes", "signature, bytes", box=None)
    for cost in costs:
        table.add_row(
            cost.form,
            f"{cost.size_px} px",
            f"{cost.mark_ms:.2f}",
            f"{cost.sign_ms:.1f}",
            str(cost.mark_bytes),
            str(cost.sign_bytes),
        )
    return table


def screening_ms(times: int) -> float:
    """Milliseconds of the safety classifier."""
    checker = SafetyChecker("flag", 1.0)
    pixels = torch.rand(3, SIZES_PX[0], SIZES_PX[0], generator=torch.Generator().manual_seed(0))
    picture = Picture(0, 0, pixels, Raster(pixels), 0.0)
    return median_ms(lambda: checker.screen(picture), times)


def main() -> None:
    """Measure, print, and judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, the smaller size alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file")
    options = parser.parse_args()
    chain = make_chain()
    signer = Signer(chain.certificates, chain.key)
    sizes = SIZES_PX[:1] if options.quick else SIZES_PX
    costs = [
        cost_of(form, size_px, signer, 10 if options.quick else 50) for size_px in sizes for form in Format
    ]
    Console().print(table_of(costs))
    screen_ms = screening_ms(10 if options.quick else 50)
    Console().print(f"\nscreening by the safety classifier: {screen_ms:.0f} ms at {SIZES_PX[0]} px")
    if options.json:
        options.json.write_text(json.dumps([asdict(cost) for cost in costs], indent=2))
    if any(cost.mark_ms + cost.sign_ms >= BOUND_MS for cost in costs if cost.size_px == SIZES_PX[0]):
        sys.exit(f"a mark and a signature took {BOUND_MS:g} ms or more")


if __name__ == "__main__":
    main()
