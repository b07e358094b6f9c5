"""Photograph the dashboard: ``python -m docs.make_screenshots`` writes ``docs/images/dashboard-*.webp``.

It starts the whole service on the pocket model in a folder of its own, has pictures made, and looks at the pages in a
headless Chromium. With the argument ``finished`` it leaves out what runs, waits or is edited: half of the time.
"""

import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from PIL import Image
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from app.stack.preflight import free_port
from app.stack.stack import StackOptions, running_stack
from jobs.requests.request import GenerateRequest
from lodestar.client import Client

ROOT = Path(__file__).parent.parent
IMAGES = Path(__file__).parent / "images"
PATIENCE_MS = 120_000
MOST_BYTES = 60_000
WAYS = (
    (1.0, 80),
    (1.0, 65),
    (0.75, 75),
    (0.6, 75),
    (0.5, 70),
    (0.5, 50),
    (0.4, 50),
)  # share of the size, and quality
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
NIGHT_HOURS = 0.01
SWEEP = "sweep-00000007:steps,guidance.preset"

EDITED = "noto green pear on a light blue background"
STROKE = ((0.2, 0.22), (0.8, 0.22), (0.8, 0.36), (0.2, 0.36))  # shares of the picture

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
            photograph(client, browser, only_finished="finished" in sys.argv[1:])


@contextmanager
def running_browser() -> Iterator[Browser]:
    """A headless Chromium: the system's, else the one that playwright brought along."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        yield browser
        browser.close()


def photograph(client: Client, browser: Browser, *, only_finished: bool) -> None:
    """Have pictures made, and look at every page, or only at those of what is finished."""
    if not only_finished:
        photograph_work(client, browser)
    for preset, steps in product((None, "fast", "SIMPLE"), (5, 10, 25)):
        finish(client, prompt=RUNS, seed=7, steps=steps, guidance=preset, labels=[SWEEP])
    for prompt in FINISHED:
        guided = finish(client, prompt=prompt, seed=7, guidance={"trace": True})
        plain = finish(client, prompt=prompt, seed=7) if prompt == FINISHED[-1] else None
    pages: tuple[tuple[str, str, Scheme, tuple[int, int]], ...] = (
        ("job", f"/#/jobs/{guided}", "dark", WIDE),
        ("compare", f"/#/compare/{plain}/{guided}", "light", WIDE),
        ("workers", "/#/workers", "dark", WIDE),
        ("gallery", "/#/gallery", "light", WIDE),
        ("sweep", f"/#/sets/{quote(SWEEP)}", "light", WIDE),
        ("overview", "/#/overview", "dark", WIDE),
        ("phone", "/", "dark", PHONE),
    )
    for name, address, scheme, size in pages:
        with opened(browser, client.url, scheme, size) as page:
            page.goto(address)
            save(page, name)
    with opened(browser, client.url, "dark", PHONE) as page:
        paint(page)
        save(page, "mask-phone")
    photograph_a_night(client, browser)


def photograph_a_night(client: Client, browser: Browser) -> None:
    """Let a night pass; last, since its pictures fill the gallery."""
    night = client.nights.begin(
        FINISHED[-1], hours=NIGHT_HOURS, keep=6, upscale=False, steps=10, guidance="fast"
    )
    client.nights.wait(night.id)
    with opened(browser, client.url, "light", WIDE) as page:
        page.goto(f"/#/nights/{night.id}")
        save(page, "night")


def photograph_work(client: Client, browser: Browser) -> None:
    """Look at what runs and waits, at an edit and at candidates."""
    for prompt in FINISHED[3:]:
        finish(client, prompt=prompt, seed=7, guidance={})
    best = finish(client, prompt=FINISHED[1], seed=7, select={"candidates": 9, "keep": 2})
    with opened(browser, client.url, "light", WIDE) as page:
        photograph_an_edit(page)
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
    with opened(browser, client.url, "light", WIDE) as page:
        photograph_the_queue(client, page)
        page.goto(f"/#/jobs/{best}")
        save(page, "candidates", page.locator("section", has=page.locator(".candidates")).last)


def photograph_the_queue(client: Client, page: Page) -> None:
    """Let jobs of some callers wait, and select three of them in the table; they are canceled in the end."""
    for number, prompt in enumerate(FINISHED * 2):
        priority = ("normal", "high", "low")[number % 3]
        client.call(
            "POST",
            "/v1/jobs",
            json={"prompt": prompt, "priority": priority},
            headers={"X-Forwarded-User": f"caller {number % 4}"},
        )
    page.set_viewport_size({"width": 1520, "height": 720})
    page.goto("/?status=queued&view=table")
    boxes = page.locator(".job-table tbody input")
    boxes.nth(2).click()
    boxes.nth(4).click(modifiers=["Shift"])
    save(page, "table")
    client.call("POST", "/v1/jobs/cancel", json={"status": ["queued", "running"]})


def photograph_an_edit(page: Page) -> None:
    """Paint a mask over a picture of the gallery, and have the edit made."""
    paint(page)
    save(page, "mask", page.locator(".painter"))
    page.get_by_role("button", name="Use this mask").click()
    page.locator(".thumb canvas").wait_for()
    page.fill("#prompt", EDITED)
    save(page, "form", page.locator("#form"))
    page.get_by_role("button", name="Generate", exact=True).click()
    page.locator("#jobs .prompt-text", has_text=EDITED).get_by_role("link").click()
    compared = page.locator(".before-after")
    compared.locator(".compare img").nth(1).wait_for()
    save(page, "before-after", compared)


def paint(page: Page) -> None:
    """Use a picture of the gallery as input, and paint over its upper half."""
    page.goto("/#/gallery")
    page.get_by_role("button", name=f"Use as input: picture 1 of {FINISHED[-1]}").first.click()
    page.get_by_role("button", name="Paint a mask").click()
    canvas = page.locator(".canvas canvas")
    box = canvas.bounding_box()
    assert box is not None
    for number, (right, down) in enumerate(STROKE):
        page.mouse.move(box["x"] + right * box["width"], box["y"] + down * box["height"], steps=8)
        if number == 0:
            page.mouse.down()
    page.mouse.up()


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


def save(page: Page, name: str, part: Locator | None = None) -> None:
    """Write what the page shows, or a part of it, once everything has come."""
    page.locator("#workers").wait_for()
    page.wait_for_load_state("load")
    page.wait_for_timeout(1500)
    path = IMAGES / f"dashboard-{name}.webp"
    with Image.open(io.BytesIO((part or page).screenshot())) as shot:
        for share, quality in WAYS:  # the best that is small enough
            size = round(shot.width * share), round(shot.height * share)
            shot.resize(size, Image.Resampling.LANCZOS).save(path, "WEBP", quality=quality, method=6)
            if path.stat().st_size <= MOST_BYTES:
                break
    print(f"{path} ({path.stat().st_size // 1000} kB: {share:.0%} of its size, quality {quality})")


if __name__ == "__main__":
    main()
