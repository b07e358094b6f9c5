"""The service under test, with one worker, as its callers see it."""

import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.neighbours.catalog import catalog
from benchmarks.neighbours.ways import Request
from benchmarks.places import ROOT

NEIGHBOURS = 3
START_S, PATIENCE_S = 180, 600


class Service:
    """The service, as its callers see it."""

    def __init__(self, url: str, process: int) -> None:
        self.process = process  # its id
        self._http = httpx.Client(base_url=url, timeout=PATIENCE_S, trust_env=False)
        self._asked = 0

    def keep_embedding(self) -> None:
        """Have an embedding to personalize by."""
        file = io.BytesIO()
        np.save(file, np.random.default_rng(3).standard_normal(192).astype(np.float32))
        answer = self._http.post(
            "/v1/aesthetic-embeddings/import",
            data={"name": "style", "clip": "pocket-s"},
            files={"file": ("style.npy", file.getvalue())},
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
        """Total wait of each neighbour in seconds, and the number that waited in vain.

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


@contextmanager
def running(threads: int, catalog: Callable[[Path], Path] = catalog, **settings: str) -> Iterator[Service]:
    """The service, with one worker that holds up to 16 jobs.

    Args:
        threads: of the worker.
        catalog: writes the models into a folder.
        settings: more variables of its environment.
    """
    with tempfile.TemporaryDirectory(prefix="lodestar-") as place:
        folder = Path(place)
        port, models, log = _free_port(), catalog(folder), folder / "log"
        command = [sys.executable, "-m", "app", "up", "--port", str(port), "--data-dir", str(folder / "data")]
        env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "LODESTAR_THREADS": str(threads),
            "LODESTAR_CAPACITY": "16",
            **settings,
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
            yield Service(f"http://127.0.0.1:{port}", process.pid)
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
