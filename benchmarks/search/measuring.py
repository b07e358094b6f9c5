"""What a started search is measured by."""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from app.api.search.index import SearchIndex
from app.api.search.manifest import SnapshotFolder
from app.api.search.snapshot import load
from benchmarks.search.store import CLIP, CountingStore
from benchmarks.search.vectors import Pictures, Vectors
from jobs.db.connection import connect
from jobs.events.endings import Endings
from jobs.storage.segments import Segments

LIMIT = 10
AT_ONCE = 8
COMPARED = 200  # queries whose pictures are compared with all
WARM_UP = 20


def opened(folder: Path, url: str) -> tuple[SearchIndex, CountingStore, float]:
    """An index that answers, its store, and the seconds that it took."""
    store = CountingStore(str(folder))
    segments = Segments(store, CLIP)
    index = SearchIndex(segments, Endings(connect(url, patient=False)), folder / segments.folder)
    began = time.perf_counter()
    index.open()
    return index, store, time.perf_counter() - began


def build(folder: Path, url: str) -> dict[str, Any]:
    """List and read all segments, and write the snapshot."""
    for earlier in folder.rglob("snapshot.json"):
        earlier.unlink()
    index, store, seconds = opened(folder, url)
    began = time.perf_counter()
    if index.needs_upkeep():  # few segments are read into memory first
        index.maintain()
    return {
        "first build, s": seconds + time.perf_counter() - began,
        "first build, listings": store.listings,
        "first build, peak memory, MiB": memory_mib("VmHWM"),
        "pictures indexed": len(index),
    }


def measure(folder: Path, url: str, width: int, queries: int) -> dict[str, Any]:
    """The figures of a start from the snapshot, and of queries of pictures that are not in it."""
    index, store, start_s = opened(folder, url)
    listings = store.listings
    wanted = Pictures(width).draw(queries)  # part 0, which no segment has
    index.nearest(wanted[0].tolist(), LIMIT)
    for query in wanted[:WARM_UP]:
        index.nearest(query.tolist(), LIMIT)
    alone = [timed(index, query) for query in wanted]
    began = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        together = list(pool.map(lambda query: timed(index, query), wanted))
    rate = queries / (time.perf_counter() - began)
    return {
        "start from the snapshot, s": start_s,
        "start, listings": listings,
        **in_ms("one by one", alone),
        **in_ms(f"{AT_ONCE} at once", together),
        f"{AT_ONCE} at once, queries a second": rate,
        "listings of all queries": store.listings - listings,
        "memory of the process, MiB": memory_mib("RssAnon"),
        "memory of mapped files, shared, MiB": memory_mib("RssFile"),
        f"recall@{LIMIT}": recall(index, folder, wanted[:COMPARED]),
    }


def timed(index: SearchIndex, query: Vectors) -> float:
    """Seconds of a query."""
    vector = query.tolist()
    began = time.perf_counter()
    found = index.nearest(vector, LIMIT)
    seconds = time.perf_counter() - began
    assert len(found) == LIMIT
    return seconds


def in_ms(name: str, seconds: Sequence[float]) -> dict[str, float]:
    """Percentiles."""
    return {f"{name}, p{percent}, ms": float(np.percentile(seconds, percent)) * 1e3 for percent in (50, 99)}


def recall(index: SearchIndex, folder: Path, queries: Vectors) -> float:
    """The part of the truly nearest that the index finds."""
    segments = Segments(CountingStore(str(folder)), CLIP)
    snapshot = load(SnapshotFolder(folder / segments.folder, segments.root))
    assert snapshot is not None
    found = 0
    for query, similarities in zip(queries, compared(snapshot.vectors, queries), strict=True):
        least = similarities[-1] - 1e-6  # of equals either will do
        found += sum(each.similarity >= least for each in index.nearest(query.tolist(), LIMIT))
    return found / (LIMIT * len(queries))


def compared(vectors: Vectors, queries: Vectors) -> Vectors:
    """The greatest similarities of each query to all vectors, [queries, LIMIT], falling."""
    best = np.full((len(queries), LIMIT), -np.inf, np.float32)
    for start in range(0, len(vectors), 50_000):
        both = np.concatenate([best, queries @ vectors[start : start + 50_000].T], axis=1)
        best = -np.sort(np.partition(-both, LIMIT - 1, axis=1)[:, :LIMIT], axis=1)
    return best


def memory_mib(field: str) -> float:
    """A field of this process's ``status`` (Linux): ``RssAnon``, ``RssFile``, ``VmHWM``."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(field)


def cooled(folder: Path) -> None:
    """Let the system forget the snapshot, so that it is read from the disk."""
    for file in folder.rglob("snapshot-*/*"):
        descriptor = os.open(file, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
