"""Measurements beside the calls: the API's response time, and the memory of API and worker."""

import json
import re
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from benchmarks.fuzz.watch.service import Service

SAMPLE_EVERY_S = 0.25
_HIGH_WATER = re.compile(r"VmHWM:\s+(\d+) kB")


@dataclass(frozen=True)
class Beat:
    """One answer of ``/healthz``; see ``pulse.py``."""

    at: float
    seconds: float
    computed: float
    waited: float
    ok: bool


class Probes:
    """Measure within the block."""

    def __init__(self, running: Service) -> None:
        self.peak_bytes: dict[str, int] = {}
        self._running = running
        self._file = running.folder / "pulse.jsonl"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        url, pid = self._running.url, str(self._running.parts()["api"].pid)
        command = (sys.executable, "-m", "benchmarks.fuzz.watch.pulse", url, str(self._file), pid)
        self._pulse = subprocess.Popen(command)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pulse.terminate()
        self._pulse.wait()
        self._stop.set()
        self._thread.join()

    def beats(self) -> list[Beat]:
        """All answers of ``/healthz`` until now."""
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        return [Beat(**json.loads(line)) for line in lines if line.endswith("}")]

    def _sample(self) -> None:
        parts: dict[str, psutil.Process] = {}
        while not self._stop.wait(SAMPLE_EVERY_S):
            if len(parts) < 2 or not all(process.is_running() for process in parts.values()):
                parts = self._running.parts()
            for name, process in parts.items():
                self.peak_bytes[name] = max(self.peak_bytes.get(name, 0), _peak_bytes(process))


def _peak_bytes(process: psutil.Process) -> int:
    """The most that a process has held: what Linux remembers, elsewhere what it holds now."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        status = ""
    if found := _HIGH_WATER.search(status):
        return int(found[1]) * 1024
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
