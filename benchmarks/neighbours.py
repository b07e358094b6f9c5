"""What one caller's job costs the others: their latency beside a hostile job, over that beside a harmless one.

``python -m benchmarks.neighbours [--quick] [--json FILE] [--way NAME] [--threads N]``. Starts the whole service with
one worker. Three callers have an ordinary job each, while a fourth has one that is hostile in one way, or an ordinary
one of the same share in its place. Both are measured in turn, several times. Exits with 1 if a ratio of medians is
above 1.3, or a neighbour's job failed.

To see an older version, copy this file into a checkout of it and run it there.
"""

import argparse
import base64
import io
import json
import math
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table
from safetensors.numpy import load_file, save_file

ROOT = Path(__file__).parent.parent
BOUND = 1.3
NEIGHBOURS = 3
START_S, PATIENCE_S = 180, 600
PASSES = 45  # over the pixels of a progressive file
ODD_WORD = "accordion"
LONG = {"prompt": "a blue fish", "steps": 250}  # goes on for longer than the neighbours

say = Console().print
Request = dict[str, Any]


@dataclass(frozen=True)
class Way:
    """One way of being hostile.

    Attributes:
        hostile: the fourth caller's jobs.
        harmless: those that take their place.
        neighbour: what each of the others asks for.
    """

    hostile: list[Request]
    harmless: list[Request]
    neighbour: Request = field(default_factory=lambda: {"prompt": "a red apple", "steps": 100})


@dataclass(frozen=True)
class Ratio:
    """The neighbours' latencies, and how they compare."""

    way: str
    harmless_s: float
    hostile_s: float
    ratio: float
    failed: int  # of the neighbours' jobs

    @property
    def is_within_bounds(self) -> bool:
        """Whether the hostile job cost the others no more than an ordinary one."""
        return self.failed == 0 and self.ratio <= BOUND


def compare(way: str, harmless_s: list[float], hostile_s: list[float], failed: int) -> Ratio:
    """The ratio of medians, of latencies measured in turn."""
    without, beside = statistics.median(harmless_s), statistics.median(hostile_s)
    return Ratio(way, without, beside, beside / without, failed)


def ways() -> dict[str, Way]:
    """All that are tried: most of them were ways to hold everybody up once."""
    small, large = ({"type": "image", "image": picture} for picture in (_small_picture(), _slow_picture()))
    guided = {**LONG, "num_images": 16, "guidance": {"cutouts": 1, "objectives": [small]}}
    short = {"prompt": "a red apple", "steps": 10}  # ends before all have had their share
    fitted = {"embedding": "taste", "steps": 100}
    odd = {"model": "odd", "personalization": fitted}
    prompts = [
        f"a {thing}"
        for thing in ("fox", "car", "cat", "tree", "house", "fish", "star", "boat", "bird", "cup")
    ]
    sized = {"width": 128, "height": 128, "num_images": 16}
    return {
        "picture": Way([{**guided, "guidance": {"cutouts": 1, "objectives": [large]}}], [guided], short),
        "prompt": Way(
            [{**LONG, **odd, "prompt": f"a {ODD_WORD}"}],
            [{**LONG, **odd}],
            {"prompt": "a red apple", "steps": 100, **odd},
        ),
        "personalisation": Way(
            [{**LONG, "prompt": prompt, "personalization": fitted} for prompt in prompts],
            [{**LONG, "prompt": prompt} for prompt in prompts],
            short,
        ),
        "upscaling": Way([{**LONG, **sized, "steps": 1, "upscale": {"factor": 4}}], [{**LONG, **sized}]),
    }


def _small_picture() -> str:
    file = io.BytesIO()
    Image.new("L", (64, 64), 128).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def _slow_picture() -> str:
    """A small file of as many pixels as are read, and nearly as many passes over them."""
    file = io.BytesIO()
    Image.new("L", (4000, 4000), 128).save(file, "JPEG", progressive=True)
    jpeg, mark = file.getvalue(), b"\xff\xda"
    last = jpeg.rfind(mark)
    scan, end = jpeg[last:-2], jpeg[-2:]
    return base64.b64encode(jpeg[:-2] + scan * (PASSES - jpeg.count(mark)) + end).decode()


class Service:
    """The service, as its callers see it."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=PATIENCE_S, trust_env=False)
        self._asked = 0

    def keep_taste(self) -> None:
        """Have an embedding to personalise by."""
        file = io.BytesIO()
        np.save(file, np.random.default_rng(3).standard_normal(192).astype(np.float32))
        answer = self._http.post(
            "/v1/aesthetic-embeddings/import",
            data={"name": "taste", "clip": "pocket-s"},
            files={"file": ("taste.npy", file.getvalue())},
            headers={"Prefer": "wait=60"},
        )
        answer.raise_for_status()

    def submit(self, request: Request, caller: str) -> str:
        """The id of a new job."""
        answer = self._http.post("/v1/jobs", json=request, headers={"X-Forwarded-User": caller})
        if answer.is_error:
            raise RuntimeError(answer.text)
        return str(answer.json()["id"])

    def _new(self, request: Request) -> Request:
        """The request with a prompt that was never seen, of which nothing is remembered."""
        self._asked += 1
        return {**request, "prompt": f"{request['prompt']} {self._asked}", "seed": 100 + self._asked}

    def ended(self, job_id: str) -> dict[str, Any]:
        """A job after its end."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            job: dict[str, Any] = self._http.get(f"/v1/jobs/{job_id}").json()
            if job["status"] in ("succeeded", "failed", "canceled"):
                return job
            time.sleep(0.1)
        raise RuntimeError(f"{job_id} does not end")

    def end(self, job_id: str) -> None:
        """Cancel a job and wait until its worker has heard of it."""
        self._http.post(f"/v1/jobs/{job_id}/cancel")
        self.ended(job_id)

    def latencies(self, theirs: list[Request], neighbour: Request) -> tuple[list[float], int]:
        """How long each neighbour waited in all, in seconds; and how many waited for nothing.

        One comes before the fourth caller, so that what that one asks for and what the rest ask for wait together.
        """
        others = [self.submit(self._new(neighbour), "caller-0")]
        fourth = [self.submit(self._new(request), "mallory") for request in theirs]
        others += [self.submit(self._new(neighbour), f"caller-{number}") for number in range(1, NEIGHBOURS)]
        jobs = [self.ended(job_id) for job_id in others]
        for job_id in fourth:
            self.end(job_id)
        return [_seconds(job) for job in jobs], sum(job["status"] != "succeeded" for job in jobs)


def _seconds(job: dict[str, Any]) -> float:
    created, finished = (datetime.fromisoformat(job[name]) for name in ("created_at", "finished_at"))
    return (finished - created).total_seconds()


def measure(name: str, way: Way, service: Service, repeats: int) -> Ratio:
    """Both in turn, so that what else the machine does meets both alike; the first of each is not counted."""
    times: dict[str, list[float]] = {"harmless": [], "hostile": []}
    failed = 0
    for turn in range(repeats + 1):
        for kind, requests in (("harmless", way.harmless), ("hostile", way.hostile)):
            latencies, lost = service.latencies(requests, way.neighbour)
            failed += lost
            if turn:
                times[kind].append(statistics.fmean(latencies))
    return compare(name, times["harmless"], times["hostile"], failed)


def catalog(folder: Path) -> Path:
    """The shipped models, and one whose text encoder reads one word as the CLIP that it belongs to does not."""
    for name in ("pocket", "pocket-m", "pocket-s", "pocket-eval"):
        if (ROOT / "models" / name).exists():
            (folder / "models").mkdir(exist_ok=True)
            (folder / "models" / name).symlink_to(ROOT / "models" / name)
    shutil.copytree(ROOT / "models" / "pocket", folder / "models" / "odd")
    _misread(folder / "models" / "odd")
    shipped = (ROOT / "models.toml").read_text()
    block = next(part for part in shipped.split("\n\n") if part.startswith("[models.pocket]"))
    odd = block.replace("models.pocket", "models.odd").replace("models/pocket", "models/odd")
    (folder / "models.toml").write_text(f"{shipped}\n{odd}\n")
    return folder / "models.toml"


def _misread(model: Path) -> None:
    from transformers import CLIPTokenizer

    words = CLIPTokenizer.from_pretrained(model / "tokenizer")(ODD_WORD, add_special_tokens=False).input_ids
    (file,) = (model / "text_encoder").glob("*.safetensors")
    weights = load_file(file)
    name = next(name for name in weights if name.endswith("token_embedding.weight"))
    table = weights[name].copy()
    table[words] = 30 * table.std() * np.random.default_rng(5).standard_normal((len(words), table.shape[1]))
    save_file({**weights, name: table.astype(weights[name].dtype)}, file, metadata={"format": "pt"})


@contextmanager
def running(threads: int) -> Iterator[Service]:
    """The service, with one worker that holds up to 16 jobs."""
    with tempfile.TemporaryDirectory(prefix="lodestar-") as place:
        folder = Path(place)
        port, models, log = _free_port(), catalog(folder), folder / "log"
        command = [sys.executable, "-m", "app", "up", "--port", str(port), "--data-dir", str(folder / "data")]
        env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "LODESTAR_THREADS": str(threads),
            "LODESTAR_CAPACITY": "16",
        }
        with log.open("w") as said:
            process = subprocess.Popen(
                [*command, "--models", str(models), "--workers", "1"],
                cwd=ROOT,
                env=env,
                stdout=said,
                stderr=subprocess.STDOUT,
            )
        try:
            _wait(lambda: process.poll() is not None or "Ready at" in log.read_text())
            if process.poll() is not None:
                raise RuntimeError(f"the service does not start:\n{log.read_text()}")
            yield Service(f"http://127.0.0.1:{port}")
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def _free_port() -> int:
    from app.stack.preflight import free_port

    return free_port("127.0.0.1")


def _wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + START_S
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError("the service does not start in time")
        time.sleep(0.1)


def show(ratios: list[Ratio]) -> None:
    """One row for each way."""
    table = Table(
        "the fourth caller's", "others beside a harmless job", "beside the hostile one", "ratio", "failed"
    )
    for row in ratios:
        ratio = f"{row.ratio:.2f}" if row.is_within_bounds else f"[red]{row.ratio:.2f}[/red]"
        table.add_row(row.way, f"{row.harmless_s:.2f} s", f"{row.hostile_s:.2f} s", ratio, str(row.failed))
    say(table)


def main() -> None:
    """Measure, print a table, and write JSON if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = ways()
    parser.add_argument("--quick", action="store_true", help="three repeats instead of seven")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--way", choices=tuple(known), help="one way only")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads; all if left out")
    options = parser.parse_args()
    ratios = []
    with running(options.threads) as service:
        service.keep_taste()
        for name, way in known.items():
            if options.way in (None, name):
                ratios.append(measure(name, way, service, 3 if options.quick else 7))
                show(ratios[-1:])
    show(ratios)
    if options.json:
        rows = [{**asdict(row), "ratio": row.ratio if math.isfinite(row.ratio) else None} for row in ratios]
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    if not all(row.is_within_bounds for row in ratios):
        sys.exit(1)


if __name__ == "__main__":
    main()
