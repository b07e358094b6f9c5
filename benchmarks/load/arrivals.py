"""Servers under requests that arrive at random: how many they answer, how fast, and how busy their models are."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from app.stack.preflight import free_port
from benchmarks.peers.busy import FILE
from benchmarks.places import ROOT

START_S = 300.0
FOR_EVER_S = 24 * 3600.0
Send = Callable[[httpx.AsyncClient, dict[str, Any]], Awaitable[bytes | str]]


@dataclass(frozen=True)
class Server:
    """One way to serve the pocket pipeline."""

    name: str
    package: str  # it is measured if this is installed for its interpreter
    command: Callable[[str, int, Path], list[str]]  # from interpreter, port and an empty folder
    send: Send


@dataclass(frozen=True)
class Load:
    """A server's results for requests that arrived at one rate."""

    arrivals_per_s: float
    requests: int
    failed: int
    answers_per_s: float
    p50_s: float
    p99_s: float
    busy_share: float


async def send_to_lodestar(http: httpx.AsyncClient, fields: dict[str, Any]) -> bytes:
    """Submit a job, wait for its end, and fetch its picture."""
    answer = await http.post("/v1/jobs", json=fields, headers={"Prefer": "wait=60"})
    job = answer.raise_for_status().json()
    while job["status"] in ("queued", "running"):
        await asyncio.sleep(0.25)
        job = (await http.get(f"/v1/jobs/{job['id']}")).raise_for_status().json()
    return (await http.get(job["images"][0]["url"])).raise_for_status().content


async def send_to_peer(http: httpx.AsyncClient, fields: dict[str, Any]) -> str:
    """Ask for a picture and have it in the answer."""
    return str((await http.post("/predict", json=fields)).raise_for_status().json()["png"])


async def send_to_bentoml(http: httpx.AsyncClient, fields: dict[str, Any]) -> str:
    """The same; a batchable endpoint takes and gives lists."""
    (png,) = (await http.post("/predict", json={"requests": [fields]})).raise_for_status().json()
    return str(png)


def _module(name: str) -> Callable[[str, int, Path], list[str]]:
    return lambda python, port, folder: [python, "-m", f"benchmarks.peers.{name}", str(port), str(folder)]


def _bentoml(python: str, port: int, folder: Path) -> list[str]:
    del folder
    service = "benchmarks.peers.bentoml_server:Pocket"
    return [python, "-m", "bentoml", "serve", service, "--host", "127.0.0.1", "--port", str(port)]


LODESTAR = Server("Lodestar", "lodestar", _module("lodestar_server"), send_to_lodestar)
PEERS = (
    Server("LitServe", "litserve", _module("litserve_server"), send_to_peer),
    Server("BentoML", "bentoml", _bentoml, send_to_bentoml),
    Server("Ray Serve", "ray", _module("ray_server"), send_to_peer),
)


def version_in(python: str, package: str) -> str | None:
    """The version of a package that an interpreter would import; None if it has none."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    asked = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or None if asked.returncode == 0 else None


def mixed(count: int, *, quick: bool) -> list[dict[str, Any]]:
    """Requests as they come from many callers: 10 to 50 steps, guided or not; the same for every server."""
    rng = random.Random(0)
    steps = (2, 4, 6) if quick else (10, 20, 30, 50)
    return [
        {
            "prompt": f"a {rng.choice(['red apple', 'fox', 'car', 'fish'])}",
            "steps": rng.choice(steps),
            "seed": rng.randrange(2**32),
            "sampler": "ddim",
            "guidance": rng.choice([None, {"preset": "laion", "cutouts": 8}]),
        }
        for _ in range(count)
    ]


def measure(
    server: Server, python: str, threads: int, rates: list[float], requests: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Start a server, and let the requests come at each rate in turn."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        port, busy_file, log = free_port("127.0.0.1"), Path(folder) / "busy", Path(folder) / "log"
        busy_file.write_text("0")
        env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": str(threads),
            "LODESTAR_THREADS": str(threads),
            "LODESTAR_MAX_QUEUED": "10000",
            FILE: str(busy_file),
        }
        with log.open("w") as said:
            process = subprocess.Popen(
                server.command(python, port, Path(folder) / "data"),
                cwd=folder,
                env=env,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            return asyncio.run(_measure(server, process, port, busy_file, rates, requests))
        except Exception as error:
            raise RuntimeError(
                f"{server.name} failed; the end of its log:\n{log.read_text()[-2000:]}"
            ) from error
        finally:
            _end(process)


async def _measure(
    server: Server,
    process: "subprocess.Popen[bytes]",
    port: int,
    busy_file: Path,
    rates: list[float],
    requests: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", timeout=FOR_EVER_S, limits=limits, trust_env=False
    ) as http:
        await _until_it_answers(server, process, http)
        # Sizes of batches are seen for the first time, and adaptive ones adapt.
        await asyncio.gather(*(server.send(http, {**fields, "steps": 2}) for fields in requests[:16]))
        return [asdict(await _load(server, http, busy_file, rate, requests)) for rate in rates]


async def _until_it_answers(
    server: Server, process: "subprocess.Popen[bytes]", http: httpx.AsyncClient
) -> None:
    end = time.monotonic() + START_S
    while True:
        try:
            await server.send(http, {"prompt": "a fox", "steps": 1})
            return
        except (httpx.HTTPError, KeyError) as error:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("it does not answer") from error
            await asyncio.sleep(0.5)


async def _load(
    server: Server, http: httpx.AsyncClient, busy_file: Path, rate: float, requests: list[dict[str, Any]]
) -> Load:
    """Poisson arrivals that do not wait for answers; the same arrivals for every server."""
    rng = random.Random(1)
    latencies: list[float] = []

    async def one(fields: dict[str, Any], at: float) -> None:
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        with suppress(httpx.HTTPError, KeyError):
            await server.send(http, fields)
            latencies.append(time.perf_counter() - at)

    began, busy_before = time.perf_counter(), float(busy_file.read_text())
    at, arrivals = began, []
    for fields in requests:
        at += rng.expovariate(rate)
        arrivals.append(one(fields, at))
    await asyncio.gather(*arrivals)
    seconds = time.perf_counter() - began
    busy_s = float(busy_file.read_text()) - busy_before
    latencies.sort()
    return Load(
        arrivals_per_s=rate,
        requests=len(requests),
        failed=len(requests) - len(latencies),
        answers_per_s=len(latencies) / seconds,
        p50_s=_quantile(latencies, 0.5),
        p99_s=_quantile(latencies, 0.99),
        busy_share=busy_s / seconds,
    )


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else float("nan")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a server and all that it started."""
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(20)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def interpreter(given: Path | None) -> str:
    """The interpreter that has the other servers; our own if none is given."""
    return str(given) if given else sys.executable
