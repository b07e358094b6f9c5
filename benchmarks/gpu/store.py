"""Part ``store``: finished pictures a second by the threads that encode and store them, and what the engine notices.

Another thread stands for the engine: it does small operations of PyTorch all the time, as samplers do between two
batches, and notes how long each takes.
"""

import io
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from torch.nn.functional import interpolate

from benchmarks.gpu.bench import Bench
from benchmarks.gpu.report import Values
from benchmarks.places import CATALOG
from jobs.catalog.catalog import load_catalog
from jobs.queue.leases import Lease
from jobs.requests.request import GenerateRequest
from jobs.resolve.request import resolve
from jobs.storage.artifacts import ArtifactStore
from worker.pictures.picture import Picture
from worker.pictures.png import COMPRESSION
from worker.raster import Raster
from worker.serving.storing import Storing

PICTURES = 48
PX = 512
GRAIN = 0.03
OPERATIONS = 200  # of one piece of the busy thread's work; about a millisecond


def measure(bench: Bench) -> None:
    """One, two and four threads, and the busy thread alone."""
    report = bench.report
    px, count = (64, 8) if bench.small else (PX, PICTURES)
    for name, grain in (("photograph", GRAIN), ("soft shapes", 0.0)):
        picture = _picture(bench, px, 0, grain)
        for level in (1, COMPRESSION, 6, 9):
            report.figure(f"{name}, zlib's level {level}", partial(_encode, bench, picture, level))
    report.rule("the least level that is worth its time, by the megabytes that a store costs")
    pictures = [_picture(bench, px, index, GRAIN) for index in range(count)]
    alone = report.figure("busy thread alone", lambda: _busy(partial(time.sleep, 0.2 if bench.small else 2)))
    found = {n: report.figure(f"{px} px, {n} threads", partial(_store, pictures, n)) for n in (1, 2, 4)}
    rates = {n: float(values.get("pictures_per_s", 0)) for n, values in found.items()}
    for few, many in ((1, 2), (2, 4)):
        report.rule(
            f"{many} threads store at least 1.2 times as many as {few}: worth having",
            rates[many] >= 1.2 * rates[few],
        )
    slow = float(found[4].get("busy_p95_ms", 0)) / float(alone["busy_p95_ms"])
    report.rule("4 threads at most double the busy thread's p95: they may stay", slow <= 2)


def _picture(bench: Bench, px: int, index: int, grain: float) -> Picture:
    """A picture of soft shapes with some grain, as a photograph has."""
    rng = torch.Generator().manual_seed(index)
    shapes = interpolate(torch.rand(1, 3, 16, 16, generator=rng), (px, px), mode="bicubic")[0]
    grainy = shapes + grain * torch.randn(3, px, px, generator=rng)
    pixels = grainy.clamp(0, 1).to(bench.device.device)
    return Picture(index, index, pixels, Raster(pixels), 0.0)


def _encode(bench: Bench, picture: Picture, level: int) -> Values:
    file = io.BytesIO()

    def run() -> None:
        file.seek(0)
        file.truncate()
        Image.fromarray(picture.raster.levels()).save(file, "PNG", compress_level=level)

    return {**bench.timed(run, 5, 1), "kib": len(file.getvalue()) // 1024}


def _store(pictures: list[Picture], threads: int) -> Values:
    catalog = load_catalog(CATALOG)
    request = resolve(GenerateRequest(prompt="a fox"), catalog)
    took = 0.0

    def run() -> None:
        nonlocal took
        with tempfile.TemporaryDirectory() as folder:
            store = ArtifactStore(str(Path(folder)))
            storing, lease = Storing(store.put, threads=threads), Lease("job", "1", request)
            began = time.perf_counter()
            for picture in pictures:
                storing.add(lease, picture)
            storing.all(lease)
            took = time.perf_counter() - began
            storing.close(10)

    busy = _busy(run)
    return {"pictures_per_s": round(len(pictures) / took, 1), **busy}


def _busy(run: Callable[[], object]) -> Values:
    """The times of a busy thread's pieces of work while ``run`` runs on this one."""
    over, times = threading.Event(), []

    def work() -> None:
        values = torch.zeros(64)
        while not over.is_set():
            began = time.perf_counter()
            for _ in range(OPERATIONS):
                values.add_(1.0)
            times.append(1e3 * (time.perf_counter() - began))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        run()
    finally:
        over.set()
        thread.join()
    ordered = sorted(times)
    return {
        "busy_median_ms": round(statistics.median(ordered), 2),
        "busy_p95_ms": round(ordered[int(0.95 * (len(ordered) - 1))], 2),
    }
