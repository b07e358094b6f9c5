"""`lodestar up` as a test drives it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import httpx
import psutil

from app.stack.preflight import free_port
from jobs.requests.request import GenerateRequest
from jobs.status.job import Job, JobStatus
from lodestar.client import Client
from tests.waiting import until

ROOT = Path(__file__).parents[2]
LONG = GenerateRequest(prompt="a red apple", seed=7, steps=120)  # seconds, but not many
PATIENCE_S = 300  # for what takes seconds on a machine that has nothing else to do

Part = Literal["valkey", "api", "worker"]
_LAST_WORDS = {"api": "serve", "worker": "worker"}


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs; one that has ended and was not collected yet does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def put_catalog(folder: Path) -> Path:
    """Put the shipped models into a folder, with fewer steps by default, since most requests here leave them open.

    Six, because every preset guides one of them; of four, ``fast`` guides none.
    """
    file = folder / "models.toml"
    if not file.exists():
        shipped, number = re.subn(r"(?m)^steps = \d+$", "steps = 6", (ROOT / "models.toml").read_text())
        assert number
        file.write_text(shipped)
        (folder / "models").symlink_to(ROOT / "models")
    return file


class Stack:
    """A running service; its block starts and ends it."""

    def __init__(self, data_dir: Path, env: Mapping[str, str] | None = None) -> None:
        self.port = free_port("127.0.0.1")
        self.url = f"http://127.0.0.1:{self.port}"
        self.page_port = free_port("127.0.0.1")  # where a page of another origin may be that may call
        self.data_dir = data_dir
        self.env = dict(env or {})
        self.client = Client(self.url)
        self.hub_home = data_dir / "hub"
        self._said = data_dir / "said.txt"

    def __enter__(self) -> Self:
        options = [
            "--port",
            str(self.port),
            "--data-dir",
            str(self.data_dir),
            "--models",
            str(put_catalog(self.data_dir)),
        ]
        # One thread: on a machine that is busy otherwise, two wait for each other most of the time.
        env = {
            **os.environ,
            "LODESTAR_THREADS": "1",
            "LODESTAR_CORS_ORIGINS": f"http://127.0.0.1:{self.page_port}",
            "LODESTAR_WEBHOOK_NETWORKS": "127.0.0.0/8",
            "HF_HOME": str(self.hub_home),
            **self.env,
        }
        with self._said.open("w") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app", "up", *options], stderr=said, env=env
            )
        try:
            until(lambda: self.process.poll() is not None or "Ready at" in self.said, within_s=PATIENCE_S)
            assert self.process.poll() is None, self.said
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def said(self) -> str:
        """Its output on stderr."""
        return self._said.read_text()

    def family(self) -> list[psutil.Process]:
        """Every process that descends from it."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def part(self, name: Part) -> psutil.Process:
        """One of its processes."""
        (process,) = [process for process in self.family() if _is_part(process, name)]
        return process

    def kill(self, name: Part) -> None:
        """End one of its processes as hard as it goes, and wait until another one has taken its place."""
        victim = self.part(name)
        victim.kill()
        until(
            lambda: any(_is_part(process, name) and process != victim for process in self.family()),
            within_s=PATIENCE_S,
        )

    def start_job(self, request: GenerateRequest) -> str:
        """Submit a job and wait until its sampling has begun; its id."""
        job_id = self.client.submit(request).id

        def has_begun() -> bool:
            job = self.client.jobs.get(job_id)
            assert not job.status.is_terminal, job
            return job.status is JobStatus.RUNNING and job.progress.step > 0

        until(has_begun, within_s=PATIENCE_S)
        return job_id

    def finish(self, job_id: str) -> Job:
        """Wait for a job that should succeed."""
        job = self.client.jobs.wait(job_id, timeout_s=PATIENCE_S)
        assert job.status is JobStatus.SUCCEEDED, job
        return job

    def is_ready(self) -> bool:
        """Whether the API takes jobs and a worker waits for them."""
        try:
            answer = httpx.get(f"{self.url}/readyz")
        except httpx.TransportError:
            return False
        return answer.is_success and answer.json()["workers"] == 1

    def settle(self) -> None:
        """Wait until all parts answer, with no job left from the test before."""
        until(self.is_ready, within_s=PATIENCE_S)
        until(self._has_nothing_to_do, within_s=PATIENCE_S)

    def _stop(self) -> None:
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=60)
        finally:
            self.process.kill()
            self.process.wait()

    def _has_nothing_to_do(self) -> bool:
        jobs = [
            job["id"]
            for status in (JobStatus.QUEUED, JobStatus.RUNNING)
            for job in httpx.get(f"{self.url}/v1/jobs", params={"status": status}).json()["data"]
        ]
        for job_id in jobs:
            self.client.jobs.cancel(job_id)
        return not jobs


def _is_part(process: psutil.Process, name: Part) -> bool:
    try:
        words = process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False
    if not words or not is_alive(process):
        return False
    return "valkey-server" in words[0] if name == "valkey" else words[-1] == _LAST_WORDS[name]
