"""The pages in a real browser, at the root and behind a proxy that serves them under a prefix."""

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from app.api.settings import ApiSettings
from tests.app.conftest import serving
from tests.app.dashboard.conftest import described
from tests.app.played_worker import PlayedWorker
from tests.app.proxy import proxying

pytestmark = pytest.mark.timeout(600)
Opened = tuple[Page, list[str]]


@pytest.fixture
def open_at(browser: Browser) -> Iterator[Callable[[str], Opened]]:
    """Open an address; the tab and what it asks for. Nothing may fail, or come from elsewhere."""
    tabs: list[Page] = []
    troubles: list[str] = []
    asked: list[str] = []

    def open_one(address: str) -> Opened:
        tab = browser.new_page(base_url=address)
        tabs.append(tab)
        tab.on("pageerror", lambda error: troubles.append(str(error)))
        tab.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("response", lambda response: troubles.append(response.url) if response.status >= 400 else None)
        tab.goto(address)
        return tab, asked

    yield open_one
    for tab in tabs:
        tab.close()
    assert troubles == []
    assert len({urlsplit(url).netloc for url in asked if not url.startswith(("data:", "blob:"))}) == 1


@pytest.fixture(params=["", "/sd"], ids=["at the root", "under a prefix"])
def url(request: pytest.FixtureRequest, settings: ApiSettings) -> Iterator[str]:
    """Address of an API."""
    prefix = request.param
    with serving(described(settings), stop_timeout_s=1) as backend:
        if not prefix:
            yield backend
            return
        with proxying(backend, prefix, X_Forwarded_Prefix=prefix) as proxy:
            yield proxy


def test_the_status_page_shows_what_happens(
    url: str, open_at: Callable[[str], Opened], worker: PlayedWorker
) -> None:
    page, asked = open_at(f"{url}/")
    page.locator("#prompt").fill("a red apple")
    page.get_by_role("button", name="Generate", exact=True).click()
    expect(page.locator("#jobs .badge")).to_have_text("queued, next")
    (job,) = httpx.get(f"{url}/v1/jobs").json()["data"]
    lease = worker.claim(job["id"])
    expect(page.locator("#jobs .badge")).to_have_text("running")
    worker.leases.succeed(lease, worker.store(lease))
    picture = page.locator("#jobs img")
    expect(picture).to_be_visible()
    expect(picture).to_have_js_property("complete", True)
    assert picture.evaluate("image => image.naturalWidth") == 64
    assert any(path.endswith("/v1/events") for path in asked)
    expect(page.get_by_role("link", name="Jobs", exact=True)).to_have_attribute("aria-current", "page")
    prefix = urlsplit(url).path
    assert all(urlsplit(path).path.startswith(f"{prefix}/") for path in asked), asked


def test_the_reference_needs_nothing_from_elsewhere_and_tries_a_route_out(
    url: str, open_at: Callable[[str], Opened]
) -> None:
    page, asked = open_at(f"{url}/docs")
    route = page.locator("#operations-operation-getHealth")
    route.click()
    route.get_by_role("button", name="Try it out").click()
    route.get_by_role("button", name="Execute").click()
    expect(route.locator(".live-responses-table .response-col_description pre").first).to_contain_text('"ok"')
    assert f"{url}/healthz" in asked
    assert f"{url}/openapi.json" in asked


def test_no_page_asks_anything_of_another_host(
    url: str, open_at: Callable[[str], Opened], worker: PlayedWorker
) -> None:
    job_id = httpx.post(f"{url}/v1/jobs", json={"prompt": "a red apple"}).json()["id"]
    worker.succeed(job_id)
    page, asked = open_at(f"{url}/")
    for address, part in (
        ("/#/gallery", ".gallery img"),
        ("/#/workers", "article"),
        (f"/#/jobs/{job_id}", ".results img"),
        (f"/#/compare/{job_id}/{job_id}", ".compare img"),
        ("/login", "#key"),
        ("/docs", "#operations-operation-getHealth"),
        ("/errors/invalid_request", "body"),
    ):
        page.goto(f"{url}{address}")
        expect(page.locator(part).first).to_be_visible()
    assert len(asked) > 20  # and the fixture looks at their hosts
