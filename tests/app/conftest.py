"""The API as its clients see it, and a worker that this process plays."""

import asyncio
import io
import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
import uvicorn
from fastapi import FastAPI
from redis import Redis
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from app.api.main import create_app
from app.api.operation.logs import configure_logs
from app.api.server.connections import Patience
from app.api.server.descriptors import MOST_CONNECTIONS
from app.api.server.listener import listening, url_of
from app.api.server.server import Server, configured
from app.api.settings import ApiSettings
from app.cli import main as cli
from jobs.callers.keys import KeyStore
from jobs.callers.record import new_record
from jobs.callers.scopes import SCOPES_OF, Role, Scope
from jobs.callers.secret import draw_key
from jobs.db import connection
from jobs.storage.artifacts import ArtifactStore
from tests.app.played_worker import PlayedWorker

Run = Callable[..., int]
MakeKey = Callable[..., str]


@pytest.fixture
def settings(redis_url: str, models_file: Path, tmp_path: Path) -> ApiSettings:
    """Settings of an API on an empty database."""
    return ApiSettings(
        redis_url=redis_url, models_file=models_file, artifacts_url=str(tmp_path / "artifacts"), max_queued=5
    )


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up sooner on a Redis that is away: how soon that is, without this, is for ``tests/jobs/db``."""
    monkeypatch.setattr(connection, "HASTE_S", 0.2)


@pytest.fixture
def without_redis(settings: ApiSettings, hasty: None) -> ApiSettings:
    """Settings of an API whose Redis is away."""
    return settings.model_copy(update={"redis_url": "redis://127.0.0.1:1"})


@pytest.fixture
def artifacts(settings: ApiSettings) -> ArtifactStore:
    """The artifact store of the same."""
    return ArtifactStore(settings.artifacts_url)


class LocalClient(TestClient):
    """A client in this process that calls the API by a name that is its own, as people do."""

    def __init__(self, app: FastAPI, **options: Any) -> None:
        super().__init__(app, **{"base_url": "http://localhost", "client": ("127.0.0.1", 50000), **options})


@pytest.fixture
def client(settings: ApiSettings) -> Iterator[TestClient]:
    """A client of an API whose lifespan runs."""
    with LocalClient(create_app(settings)) as client:
        yield client


@pytest.fixture
def make_key(redis: Redis) -> MakeKey:
    """Make a key; its text."""

    def make(
        *scopes: Scope,
        role: Role = Role.CLIENT,
        tenant: str = "default",
        name: str = "farm",
        expires_in: timedelta | None = None,
    ) -> str:
        key = draw_key()
        wanted = tuple(scopes or SCOPES_OF[role])
        KeyStore(redis).add(new_record(key, tenant=tenant, name=name, scopes=wanted, expires_in=expires_in))
        return str(key)

    return make


@pytest.fixture
def operator(settings: ApiSettings, make_key: MakeKey) -> Iterator[TestClient]:
    """A client with an operator's key."""
    headers = {"Authorization": f"Bearer {make_key(role=Role.OPERATOR, name='boss')}"}
    with LocalClient(create_app(settings), headers=headers) as client:
        yield client


@pytest.fixture
def worker(redis: Redis, settings: ApiSettings) -> PlayedWorker:
    """A worker on the same queue and artifact store; it does what a test tells it."""
    return PlayedWorker(redis, settings.artifacts_url)


@pytest.fixture
def submit(client: TestClient) -> Callable[..., str]:
    """Submit a job of these fields; its id."""

    def submit_fields(**fields: object) -> str:
        answer = client.post("/v1/jobs", json={"prompt": "a red apple", **fields})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    return submit_fields


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command line in an empty folder; its exit code."""
    monkeypatch.chdir(tmp_path)

    def run_line(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["lodestar", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        code = ended.value.code
        return code if isinstance(code, int) else 0

    return run_line


class _Hasty:
    """asyncio for uvicorn's server, whose pauses of 0.1 s would make up most of a short test: it takes them shorter."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 10)


@contextmanager
def serving(
    app: ASGIApp,
    port: int = 0,
    *,
    host: str = "127.0.0.1",
    most_connections: int = MOST_CONNECTIONS,
    patience: Patience | None = None,
    **options: Any,
) -> Iterator[str]:
    """Serve an app over real HTTP in a thread, as the process does; its address.

    Args:
        app: to serve.
        port: to listen on.
        host: likewise.
        most_connections: of ``Server``.
        patience: likewise.
        options: of ``configured``.
    """
    config = configured(app, **options)
    with listening(host, port) as sockets, pytest.MonkeyPatch.context() as patch:
        patch.setattr(uvicorn.server, "asyncio", _Hasty())
        server = Server(config, most_connections=most_connections, patience=patience)
        thread = threading.Thread(target=server.run, kwargs={"sockets": sockets})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            yield url_of(host, sockets[0].getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def json_logs() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """The log lines so far, as the process writes them with ``log_format="json"``."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    configure_logs("json", "info", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level


@pytest.fixture
def live(settings: ApiSettings) -> Iterator[httpx.Client]:
    """A client of an API behind real HTTP."""
    with serving(create_app(settings)) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client
