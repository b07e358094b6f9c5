"""A double click on what opens a dialog; its second press is not meant for the dialog."""

import time

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.app.dashboard.filling import with_picture
from tests.app.played_worker import PlayedWorker

pytestmark = pytest.mark.timeout(600)
DOUBLE_S = 0.5


def press_twice(page: Page, opener: Locator, opened: str) -> None:
    """Press, wait for the dialog, and press again at the same place, which the page is told was soon afterwards."""
    opener.scroll_into_view_if_needed()
    box = opener.bounding_box()
    assert box is not None
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2, "button": "left"}
    browser, begun = page.context.new_cdp_session(page), time.time()

    def tell(kind: str, count: int, after_s: float) -> None:
        told = {**place, "type": kind, "clickCount": count, "timestamp": begun + after_s}
        browser.send("Input.dispatchMouseEvent", told)

    tell("mousePressed", 1, 0)
    tell("mouseReleased", 1, 0.05)
    page.wait_for_selector(opened)
    tell("mousePressed", 2, DOUBLE_S / 2)
    tell("mouseReleased", 2, DOUBLE_S / 2 + 0.05)
    browser.detach()


def test_the_painter_keeps_the_keys_and_is_not_painted_on(page: Page) -> None:
    with_picture(page)
    press_twice(page, page.get_by_role("button", name="Paint a mask"), ".painter:modal canvas:focus")
    expect(page.locator(".canvas canvas")).to_be_focused()
    expect(page.locator(".painter [role=status]")).to_have_text("Nothing is painted yet.")
    page.locator(".painter h2").click()
    page.keyboard.press("e")
    expect(page.get_by_role("button", name="Erase")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.locator(".painter")).to_have_count(0)


def test_an_enlarged_picture_stays_open(page: Page, live: httpx.Client, worker: PlayedWorker) -> None:
    job = live.post("/v1/jobs", json={"prompt": "a pear", "seed": 3}).raise_for_status().json()["id"]
    worker.succeed(job)
    page.goto(f"/#/jobs/{job}")
    press_twice(page, page.get_by_title("Enlarge the picture"), ".lightbox:modal")
    expect(page.locator(".lightbox:modal")).to_be_visible()
    page.mouse.click(2, 2)
    expect(page.locator(".lightbox")).to_have_count(0)
