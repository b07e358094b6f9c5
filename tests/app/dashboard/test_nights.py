"""Nights in a real browser: begun by the form, their race, what is kept, their end."""

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from app.api.operation import sweeper
from app.api.settings import ApiSettings
from tests.app.played_worker import PlayedWorker
from tests.browser import overflow_px, violations

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def settings(settings: ApiSettings, monkeypatch: pytest.MonkeyPatch) -> ApiSettings:
    """Settings of an API whose queue has room for a night, and which tends it ten times a second."""
    monkeypatch.setattr(sweeper, "TEND_EVERY_S", 0.1)
    return settings.model_copy(update={"max_queued": 40})


def draw(worker: PlayedWorker, live: httpx.Client, night_id: str, *scores: float) -> dict[str, Any]:
    """Draw pictures with these scores; the night, once they are counted."""
    path = f"/v1/nights/{night_id}"
    wanted = live.get(path).json()["made"] + len(scores)
    left = list(scores)
    while True:
        if left and worker.draw(left[0]) is not None:
            left.pop(0)
        night: dict[str, Any] = live.get(path).json()
        if night["made"] == wanted:
            return night
        time.sleep(0.05)


def test_a_night_is_begun_watched_finished_and_deleted(
    page: Page, live: httpx.Client, worker: PlayedWorker
) -> None:
    page.goto("/#/nights")
    expect(page.locator("#page .empty strong")).to_have_text("No nights yet")
    page.get_by_role("button", name="Begin").click()
    expect(page.locator(".night-form .field-error")).to_be_visible()
    page.locator("#page").get_by_label("Prompt").fill("a red apple")
    page.locator("#page").get_by_label("Keep", exact=True).fill("none")
    page.get_by_role("button", name="Begin").click()
    expect(page.locator(".night-form .field-error")).to_contain_text("a share such as '5%'")
    page.locator("#page").get_by_label("Keep", exact=True).fill("2")
    page.locator("#page").get_by_label("Enlarge").uncheck()
    assert violations(page) == []
    page.get_by_role("button", name="Begin").click()
    expect(page.locator(".night-page h2")).to_have_text("a red apple")
    expect(page.locator(".night-page .badge")).to_contain_text("running, 7 h 59 min left")
    expect(page.locator(".night-page .empty strong")).to_have_text("No picture yet")
    night_id = page.url.rpartition("/")[2]
    night = draw(worker, live, night_id, 0.2, 0.3, 0.1, 0.4)
    assert (night["keep"], night["request"]["guidance"]["preset"]) == (2, "fast")
    tiles = page.locator(".night-page .gallery li")
    expect(tiles).to_have_count(2)
    expect(tiles.first).to_contain_text(f"0.4 · seed {night['kept'][0]['seed']}")
    expect(tiles.first.locator("img")).to_be_visible()
    expect(page.locator(".race circle.made")).to_have_count(2)
    expect(page.locator(".race circle.kept")).to_have_count(2)
    expect(page.locator(".race .read-out")).to_have_text("To be kept, a picture must now exceed 0.3.")
    page.locator(".race svg").focus()
    page.keyboard.press("Home")
    expect(page.locator(".race .read-out")).to_contain_text("Picture 1, after")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".race .read-out")).to_contain_text(": 0.3, kept.")
    assert violations(page) == []
    tiles.first.locator("a").click()
    expect(page.locator(".lightbox")).to_contain_text("1 of 2")
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 390, "height": 800})
    assert overflow_px(page) <= 0
    for name in ("Finish now", "Finish now: sure?"):
        page.locator("#page").get_by_role("button", name=name, exact=True).click()
    expect(page.locator(".night-page .badge")).to_have_text("succeeded")
    expect(page.locator("#page").get_by_role("button", name="Cancel")).to_be_hidden()
    page.get_by_role("link", name="In the gallery").click()
    expect(page.locator(".gallery-page .gallery li")).to_have_count(2)
    page.goto("/#/nights")
    expect(page.locator(".nights li")).to_contain_text(
        "4 pictures made · 2 kept of at most 2, best CLIP score 0.4"
    )
    assert violations(page) == []
    assert overflow_px(page) <= 0
    page.locator(".nights a").click()
    for name in ("Delete", "Delete it with its pictures: sure?"):
        page.locator("#page").get_by_role("button", name=name, exact=True).click()
    expect(page.locator("#page .empty strong")).to_have_text("No nights yet")


def test_what_a_night_waits_for_and_why_it_failed_are_told(
    page: Page, live: httpx.Client, ask: Callable[..., str]
) -> None:
    for _ in range(20):
        ask()
    night_id = live.post("/v1/nights", json={"request": {"prompt": "a fox"}, "hours": 1}).json()["id"]
    page.goto(f"/#/nights/{night_id}")
    expect(page.locator(".night-page .note")).to_contain_text("It waits: half of the queue is full")
    live.post(f"/v1/nights/{night_id}/cancel")
    expect(page.locator(".night-page .badge")).to_have_text("canceled")
    expect(page.locator(".night-page .note")).to_be_hidden()
