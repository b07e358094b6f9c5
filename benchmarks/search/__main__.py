"""The search among many pictures: its start, its queries, what it finds, and the memory that it takes.

``python -m benchmarks.search [--quick] [--vectors N] [--folder FOLDER] [--only PART] [--json FILE]``. Generated
vectors, no models. Segments of 16 pictures are written to a folder, and indexed as the API does, with a real Valkey for
the stream of events. With ``--folder``, what a call has written serves the next one. A new process measures the start
from the snapshot, the queries one by one and eight at a time, and the recall against comparison with all vectors.
"""

import argparse
import json
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.load.server import server
from benchmarks.search.measuring import build, cooled, measure
from benchmarks.search.store import write_segments
from benchmarks.search.vectors import Pictures

PARTS = ("segments", "build", "queries")
QUICK_VECTORS = 20_000


def options_of() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_VECTORS} vectors")
    parser.add_argument("--vectors", type=int, default=1_000_000, help="number of pictures")
    parser.add_argument("--width", type=int, default=768, help="numbers of a vector; 768 are ViT-L/14's")
    parser.add_argument("--queries", type=int, default=1000, help="number of queries")
    parser.add_argument("--folder", type=Path, help="keep the segments and the snapshot there")
    parser.add_argument("--only", choices=PARTS, help="one part, in a folder that has those before it")
    parser.add_argument("--cold", action="store_true", help="start with the snapshot on the disk alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file")
    return parser.parse_args()


def figures_in(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Every figure of the parts that are asked for."""
    rows = QUICK_VECTORS if options.quick else options.vectors
    figures: dict[str, Any] = {"vectors": rows, "width": options.width}
    if options.only in (None, "segments"):
        began = time.perf_counter()
        if write_segments(folder, Pictures(options.width), rows):
            figures["writing the segments, s"] = time.perf_counter() - began
    with server() as url:
        if options.only in (None, "build"):
            figures |= apart(build, folder, url)
        if options.only in (None, "queries"):
            if options.cold:
                cooled(folder)
            figures |= apart(measure, folder, url, options.width, options.queries)
    return figures


def apart(work: Any, *arguments: Any) -> dict[str, Any]:
    """Do it in a process of its own, whose memory is its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found: dict[str, Any] = pool.submit(work, *arguments).result()
        return found


def main() -> None:
    """Measure, and print."""
    options = options_of()
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
        figures = figures_in(options.folder, options)
    else:
        with tempfile.TemporaryDirectory(prefix="lodestar-search-") as folder:
            figures = figures_in(Path(folder), options)
    table = Table("figure", "value", title="Search")
    for name, value in figures.items():
        table.add_row(name, f"{value:,.4g}" if isinstance(value, float) else f"{value:,}")
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
