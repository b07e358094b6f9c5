"""The cost of quotas, and what tenants at their limits notice of each other.

``python -m benchmarks.quotas [--quick] [--json FILE] [--tenants N] [--per-minute N]``. On a private Valkey that syncs
every write: submissions a second without quotas and with all of them, by turns; then one API process with keys, and the
time of one tenant's submissions, alone and while every tenant submits at its limit. No worker runs.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from app.stack.preflight import free_port
from benchmarks.load.server import server
from benchmarks.load.simulation import percentile
from benchmarks.places import CATALOG, ROOT
from benchmarks.queue import REQUEST, rate
from jobs.callers.keys import KeyStore
from jobs.callers.payer import Account, Payer
from jobs.callers.quota import Quota
from jobs.callers.record import TenantRecord, new_record
from jobs.callers.scopes import SCOPES_OF, Role
from jobs.callers.secret import draw_key
from jobs.callers.tenants import TenantStore
from jobs.db.connection import connect
from jobs.queue.queue import JobQueue
from jobs.status.view import View

# Limits of every kind that nothing here reaches.
WIDE = Quota(
    requests_per_minute=10**9,
    units_per_second=1e9,
    max_waiting=10**9,
    units_per_month=10**14,
    burst_units=10**12,
)
BODY = {"prompt": "a red apple", "seed": 7}
START_S = 60


def submission_rates(url: str, count: int, rounds: int) -> dict[str, float]:
    """Submissions a second of a tenant without quotas, and with all of them for it and for its caller: the medians."""
    redis = connect(url, patient=False)
    payers = {
        "without quotas": Payer((Account("studio", "tenant"),)),
        "with quotas": Payer((Account("studio", "tenant", WIDE), Account("studio/a", "caller", WIDE))),
    }
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for threads in (1, 8):
            for name, payer in payers.items():
                queue = JobQueue(redis, max_queued=10**9)
                jobs = queue.seen_by(View("studio", is_whole=False), lambda payer=payer: payer)  # type: ignore[misc]
                figures = found.setdefault(f"{name}, {threads} threads", [])
                figures.append(rate(lambda jobs=jobs: jobs.submit(REQUEST), count, threads))  # type: ignore[misc]
                redis.flushall()
    redis.close()
    return {name: statistics.median(figures) for name, figures in found.items()}


@contextmanager
def serving(url: str, folder: Path) -> Iterator[str]:
    """Address of one API process that asks for keys."""
    port = free_port("127.0.0.1")
    env = {
        **os.environ,
        "LODESTAR_REDIS_URL": url,
        "LODESTAR_ARTIFACTS_URL": str(folder / "artifacts"),
        "LODESTAR_MODELS_FILE": str(CATALOG),
        "LODESTAR_PORT": str(port),
        "LODESTAR_AUTH": "keys",
        "LODESTAR_MAX_QUEUED": "1000000",
        "LODESTAR_LOG_LEVEL": "warning",
    }
    process = subprocess.Popen([sys.executable, "-m", "app", "serve"], env=env, cwd=ROOT)
    try:
        address, until = f"http://127.0.0.1:{port}", time.monotonic() + START_S
        while not _is_ready(address):
            if time.monotonic() > until or process.poll() is not None:
                raise RuntimeError("the API has not started")
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait()


def _is_ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz", timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False


def keyed_tenants(url: str, number: int, per_minute: int) -> list[str]:
    """Keys of as many tenants, each with this limit among wide ones."""
    redis = connect(url, patient=False)
    texts = []
    for index in range(number):
        key, tenant = draw_key(), f"tenant-{index}"
        quota = WIDE.model_copy(update={"requests_per_minute": per_minute})
        TenantStore(redis).put(TenantRecord(name=tenant, quota=quota))
        scopes = tuple(SCOPES_OF[Role.CLIENT])
        KeyStore(redis).add(new_record(key, tenant=tenant, name="client", scopes=scopes, quota=WIDE))
        texts.append(str(key))
    redis.close()
    return texts


async def submitting(
    http: httpx.AsyncClient, key: str, pause_s: float, count: int
) -> list[tuple[int, float]]:
    """Statuses and milliseconds of one tenant's submissions, a pause apart, from a random moment on."""
    found = []
    due = time.perf_counter() + random.uniform(0, pause_s)
    for _ in range(count):
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        begun = time.perf_counter()
        answer = await http.post("/v1/jobs", json=BODY, headers={"Authorization": f"Bearer {key}"})
        found.append((answer.status_code, 1000 * (time.perf_counter() - begun)))
        due += pause_s
    return found


async def tenants_together(
    address: str, keys: Sequence[str], per_minute: int, seconds: float
) -> dict[str, Any]:
    """Times of one tenant alone, and of all while each submits as often as its limit grants."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=address, timeout=60, limits=limits, trust_env=False) as http:
        for key in keys:  # connections, and what processes remember of keys
            await http.get("/v1/usage", headers={"Authorization": f"Bearer {key}"})
        # Each for a moment, since one alone would take minutes within its limit.
        alone = [(await submitting(http, key, 0.05, 2)) for key in keys]
        pause_s = 60 / per_minute
        count = max(1, round(seconds / pause_s))
        together = await asyncio.gather(*(submitting(http, key, pause_s, count) for key in keys))
    return {"alone": _figures(alone), "together": _figures(together)}


def _figures(found: Sequence[Sequence[tuple[int, float]]]) -> dict[str, float]:
    """Of all tenants' submissions, and of the tenant that fared worst."""
    times = [[taken for _, taken in each] for each in found]
    every = [taken for each in times for taken in each]
    return {
        "submissions": len(every),
        "refused": sum(status == 429 for each in found for status, _ in each),
        "p50_ms": statistics.median(every),
        "p99_ms": percentile(every, 99),
        "worst_median_ms": max(statistics.median(each) for each in times),
    }


def measure(*, quick: bool, tenants: int, per_minute: int) -> dict[str, Any]:
    """Measure everything."""
    with server() as url:
        rates = submission_rates(url, 100 if quick else 300, 1 if quick else 7)
        keys = keyed_tenants(url, tenants, per_minute)
        with tempfile.TemporaryDirectory(prefix="lodestar-") as folder, serving(url, Path(folder)) as address:
            seconds = 10 if quick else 60
            found = asyncio.run(tenants_together(address, keys, per_minute, seconds))
    return {"submissions_a_second": rates, "tenants": tenants, "per_minute": per_minute, **found}


def main() -> None:
    """Measure, print tables, and write JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke test of two minutes")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--tenants", type=int, default=200)
    parser.add_argument(
        "--per-minute", type=int, default=6, help="submissions that each tenant's quota grants"
    )
    options = parser.parse_args()
    results = measure(quick=options.quick, tenants=options.tenants, per_minute=options.per_minute)
    for name, figure in results["submissions_a_second"].items():
        Console().print(f"{name}: {figure:,.0f} submissions a second")
    table = Table("tenants", *results["alone"])
    for name, figures in (("one", results["alone"]), (str(options.tenants), results["together"])):
        table.add_row(name, *(f"{figure:,.1f}" for figure in figures.values()))
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
