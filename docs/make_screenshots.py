"""Photograph the dashboard: ``python -m docs.make_screenshots`` writes ``docs/images/dashboard-*.webp``.

It starts the whole service on the pocket model in a folder of its own, has pictures made, and looks at the pages in a
headless Chromium.
"""

import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from app.stack.preflight import free_port
from app.stack.stack import StackOptions, running_stack
from jobs.requests.request import GenerateRequest
from lodestar.client import Client

ROOT = Path(__file__).parent.parent
IMAGES = Path(__file__).parent / "images"
PATIENCE_MS = 120_000
WIDE, PHONE = (1280, 880), (390, 780)
FINISHED = (
    "twemoji rocket on a dark blue background",
    "noto pizza",
    "fluent sunflower on a green background",
    "flat soccer ball on a yellow background",
    "twemoji green apple on a pink background",
    "noto red apple on a light blue background",
)
RUNS = "fluent house with a garden on a light blue background"
WAITS = "noto cat on a yellow background"

Scheme = Literal["light", "dark"]


def main() -> None:
    """Start, ask for pictures, look, stop."""
    os.environ["LODESTAR_CAPACITY"] = "1"  # so that something waits
    host = "127.0.0.1"
    with tempfile.TemporaryDirectory(prefix="lodestar-") as folder:
        options = StackOptions(host, free_port(host), Path(folder), ROOT / "models.toml")
        with (
            running_stack(options, say=print) as supervisor,
            Client(options.url, sleep=supervisor.sleep) as client,
            running_browser() as browser,
        ):
            photograph(client, browser)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """A headless Chromium: the system's, else the one that playwright brought along."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        yield browser
        browser.close()


def photograph(client: Client, browser: Browser) -> None:
    """Have pictures made, and look at every page."""
    for prompt in FINISHED:
        guided = finish(client, prompt=prompt, seed=7, guidance={"trace": True})
        plain = finish(client, prompt=prompt, seed=7) if prompt == FINISHED[-1] else None
    with opened(browser, client.url, "light", WIDE) as page:
        client.submit(
            request(prompt=RUNS, seed=7, num_images=4, steps=100, guidance={}, preview_every_steps=4)
        )
        client.submit(request(prompt=WAITS, guidance={}))
        page.goto("/")
        page.fill("#prompt", "a lighthouse on a dark blue background")
        page.locator("img.preview").nth(3).wait_for()
        page.wait_for_timeout(500)
        save(page, "jobs")
    pages: tuple[tuple[str, str, Scheme, tuple[int, int]], ...] = (
        ("job", f"/#/jobs/{guided}", "dark", WIDE),
        ("compare", f"/#/compare/{plain}/{guided}", "light", WIDE),
        ("workers", "/#/workers", "dark", WIDE),
        ("gallery", "/#/gallery", "light", WIDE),
        ("phone", "/", "dark", PHONE),
    )
    for name, address, scheme, size in pages:
        with opened(browser, client.url, scheme, size) as page:
            page.goto(address)
            save(page, name)


def finish(client: Client, **fields: Any) -> str:
    """Id of a job of these fields that is over."""
    job_id = client.submit(request(**fields)).id
    return client.jobs.wait(job_id).id


def request(**fields: Any) -> GenerateRequest:
    """A request of these fields."""
    return GenerateRequest.model_validate(fields)


@contextmanager
def opened(browser: Browser, url: str, scheme: Scheme, size: tuple[int, int]) -> Iterator[Page]:
    """A tab, twice as sharp as its pixels."""
    page = browser.new_page(
        base_url=url,
        color_scheme=scheme,
        viewport={"width": size[0], "height": size[1]},
        device_scale_factor=2,
    )
    page.set_default_timeout(PATIENCE_MS)
    yield page
    page.close()


def save(page: Page, name: str) -> None:
    """Write what the page shows, once everything has come."""
    page.locator("#workers").wait_for()
    page.wait_for_load_state("load")
    page.wait_for_timeout(1500)
    path = IMAGES / f"dashboard-{name}.webp"
    with Image.open(io.BytesIO(page.screenshot())) as shot:
        shot.save(path, "WEBP", quality=80, method=6)
    print(f"{path} ({path.stat().st_size // 1000} kB)")


if __name__ == "__main__":
    main()
