"""A service to be called: ``lodestar up`` with one worker, in a folder of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from app.stack.preflight import free_port
from benchmarks.places import CATALOG, ROOT

STARTED_WITHIN_S = 180.0
_LAST_WORDS = {"api": "serve", "worker": "worker"}


@dataclass
class Service:
    """A running service."""

    url: str
    folder: Path
    process: "subprocess.Popen[bytes]"

    @property
    def said(self) -> str:
        """The supervisor's messages."""
        return (self.folder / "said.txt").read_text()

    def parts(self) -> dict[str, psutil.Process]:
        """API and worker, those of them that run now."""
        found = {}
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                words = process.cmdline()
            except psutil.Error:
                continue
            for name, last in _LAST_WORDS.items():
                if words and words[-1] == last:
                    found[name] = process
        return found

    def restarts(self) -> list[str]:
        """The supervisor's message about each process that ended."""
        return [line for line in self.said.splitlines() if "starting it again" in line]

    def errors(self) -> list[str]:
        """The lines that API and worker have logged as errors."""
        return [
            line
            for file in sorted((self.folder / "logs").glob("*.log"))
            for line in file.read_text(errors="replace").splitlines()
            if _is_error(line)
        ]


@contextmanager
def service(folder: Path, catalog: Path = CATALOG, **settings: str) -> Iterator[Service]:
    """Start it, wait until it is ready, and end it.

    Args:
        folder: for its data, logs and messages.
        catalog: its models.
        settings: further environment variables.
    """
    port = free_port("127.0.0.1")
    options = ("--port", str(port), "--data-dir", str(folder), "--models", str(catalog))
    # One thread: on two cores, a second one of the worker's would only wait for the first.
    env = {**os.environ, "LODESTAR_THREADS": "1", "LODESTAR_LOG_FORMAT": "json", **settings}
    with (folder / "said.txt").open("w") as said:
        command = (sys.executable, "-m", "app", "up", "--workers", "1", *options)
        process = subprocess.Popen(command, stdout=said, stderr=said, env=env, cwd=ROOT)
    running = Service(f"http://127.0.0.1:{port}", folder, process)
    try:
        _wait(running)
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=60)
        finally:
            process.kill()
            process.wait()


def _wait(running: Service) -> None:
    end = time.monotonic() + STARTED_WITHIN_S
    while "Ready at" not in running.said:
        if running.process.poll() is not None or time.monotonic() > end:
            sys.exit(f"the service did not start:\n{running.said}")
        time.sleep(0.1)


def _is_error(line: str) -> bool:
    if not line.startswith("{"):
        return line.startswith("Traceback")
    try:
        return json.loads(line).get("level") in {"error", "critical"}
    except ValueError:
        return False
