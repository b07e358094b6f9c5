"""Tabs of a real browser on the real API, and a worker that this process plays."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, Page
from redis import Redis

from app.api.main import create_app
from app.api.settings import ApiSettings
from tests.app.conftest import serving
from tests.app.played_worker import PlayedWorker
from tests.browser import running_browser

_DOCUMENTS: dict[str, str] = {}


def described(settings: ApiSettings) -> FastAPI:
    """An API whose document, of which the form is made, was made for another of its sort: that takes half a second."""
    app = create_app(settings)
    auth = app.state.services.auth
    if auth not in _DOCUMENTS:
        _DOCUMENTS[auth] = json.dumps(app.openapi())
    app.openapi_schema = json.loads(_DOCUMENTS[auth])
    return app


@pytest.fixture
def live(settings: ApiSettings) -> Iterator[httpx.Client]:
    """A client of an API behind real HTTP."""
    with serving(described(settings)) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for these tests; alone, because playwright keeps an event loop of its own in this thread."""
    with running_browser() as browser:
        yield browser


@pytest.fixture
def open_tab(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open an empty tab; the test fails if a script in one does."""
    tabs: list[Page] = []
    errors: list[str] = []

    def open_one(url: object, width: int = 1280, **options: Any) -> Page:
        still = {
            "reduced_motion": "reduce",
            **options,
        }  # or a running job has the whole page painted again and again
        tab = browser.new_page(base_url=str(url), viewport={"width": width, "height": 900}, **still)
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tabs.append(tab)
        return tab

    yield open_one
    for tab in tabs:
        tab.close()
    assert errors == []


@pytest.fixture
def page(live: httpx.Client, open_tab: Callable[..., Page]) -> Page:
    """An empty tab. It is closed before its server is stopped, which would wait for the stream of events otherwise."""
    return open_tab(live.base_url)


@pytest.fixture
def worker(redis: Redis, settings: ApiSettings) -> PlayedWorker:
    """A worker whose leases outlast a slow browser."""
    return PlayedWorker(redis, settings.artifacts_url, lease_s=120)


@pytest.fixture
def ask(live: httpx.Client) -> Callable[..., str]:
    """Submit a job of these fields; its id."""

    def submit(**fields: Any) -> str:
        answer = live.post("/v1/jobs", json={"prompt": "a red apple", "steps": 20, **fields})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    return submit
