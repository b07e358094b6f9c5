"""The process that serves the API."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from starlette.testclient import TestClient

from app.api.main import create_app, serve
from app.api.settings import ApiSettings
from jobs.errors import ConfigurationError

SERVE = "from app.api.main import serve; from app.api.settings import ApiSettings; serve(ApiSettings())"


@contextmanager
def process(
    settings: ApiSettings, *, script: str = SERVE, **changes: object
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The API in a process of its own, set by its environment; with its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    values = (
        settings.model_dump(mode="json", exclude_unset=True) | {"port": port, "log_format": "json"} | changes
    )
    environment = os.environ | {f"LODESTAR_{name.upper()}": str(value) for name, value in values.items()}
    running = subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stderr=subprocess.PIPE, text=True
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(url, running)
        yield running, url
    finally:
        running.kill()
        running.communicate()


def _wait_for(url: str, running: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        try:
            httpx.get(f"{url}/healthz")
            return
        except httpx.TransportError:
            assert running.poll() is None
            time.sleep(0.05)
    raise AssertionError("the API did not start")


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_signal_ends_the_process_soon_even_with_a_client_waiting(
    settings: ApiSettings, stop: signal.Signals
) -> None:
    with process(settings, stop_timeout_s=20) as (running, url), ThreadPoolExecutor() as clients:
        headers = {"Prefer": "wait=60"}
        body = {"prompt": "a red apple"}
        waiting = clients.submit(httpx.post, f"{url}/v1/jobs", json=body, headers=headers, timeout=60)
        while httpx.get(f"{url}/v1/queue").json()["jobs"]["queued"] == 0:
            time.sleep(0.05)
        running.send_signal(stop)
        _, log = running.communicate(timeout=30)
        # It is not cut off: it gets the job as it stands.
        assert waiting.result(timeout=30).json()["status"] == "queued"
    assert running.returncode in {0, -stop}
    assert "Traceback" not in log
    assert '"event": "stopped"' in log


LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300)); " + SERVE


def test_more_idle_clients_than_descriptors_keep_nobody_out_and_fill_no_log(
    settings: ApiSettings, tmp_path: Path
) -> None:
    with process(settings, script=LIMITED) as (running, url), ExitStack() as stack:
        address = httpx.URL(url)
        for _ in range(350):
            stack.enter_context(socket.create_connection((address.host, address.port or 80), timeout=30))
        # Before any of them is closed for doing nothing.
        for _ in range(20):
            assert httpx.get(f"{url}/healthz", timeout=10).status_code == 200
        busy = psutil.Process(running.pid).cpu_times()
        time.sleep(2)
        later = psutil.Process(running.pid).cpu_times()
        assert later.user + later.system - busy.user - busy.system < 1.0
        running.terminate()
        _, log = running.communicate(timeout=60)
    assert len(log.splitlines()) < 100, log[:2000]
    assert "too many connections" in log


def test_serves_without_redis_and_says_that_it_is_not_ready(settings: ApiSettings) -> None:
    with process(settings, redis_url="redis://127.0.0.1:1") as (_, url):
        assert httpx.get(f"{url}/healthz").status_code == 200
        assert httpx.get(f"{url}/readyz", timeout=20).status_code == 503


def test_a_port_in_use_is_one_clear_line(settings: ApiSettings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"127.0.0.1:{port}: Address already in use"):
            serve(settings.model_copy(update={"port": port}))


def test_an_address_of_another_host_is_one_clear_line(settings: ApiSettings) -> None:
    with pytest.raises(ConfigurationError, match=r"192\.0\.2\.1:0: "):
        serve(settings.model_copy(update={"host": "192.0.2.1", "port": 0, "auth": "none"}))


def test_a_missing_catalog_is_one_clear_line(settings: ApiSettings) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml does not exist"):
        create_app(settings.model_copy(update={"models_file": Path("nowhere.toml")}))


def test_an_app_that_is_stopped_while_it_still_connects_stops(settings: ApiSettings) -> None:
    async def run_for(seconds: float) -> None:
        app = create_app(settings)
        async with asyncio.timeout(30), app.router.lifespan_context(app):
            await asyncio.sleep(seconds)

    for milliseconds in (0, 0, 0, 1, 2, 5, 10, 20):
        asyncio.run(run_for(milliseconds / 1000))


def test_what_is_long_is_compressed_and_what_happens_is_told_at_once(client: TestClient) -> None:
    assert client.get("/openapi.json").headers["content-encoding"] == "gzip"
    plain = client.get("/openapi.json", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    job = client.post("/v1/jobs", json={"prompt": "a red apple"})
    assert "content-encoding" not in job.headers
    client.post(job.json()["urls"]["cancel"])
    assert "content-encoding" not in client.get(job.json()["urls"]["events"]).headers
