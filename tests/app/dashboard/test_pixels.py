"""Small pictures in a real browser: squares of one size, or smoothed; the same before and after a job's end."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.app.played_worker import PlayedWorker, picture

pytestmark = pytest.mark.timeout(600)

WIDTH_PX = 48  # of which 128 and the width of a tile are no multiples


def factor(shown: Locator) -> float:
    box = shown.bounding_box()
    assert box is not None
    return box["width"] / WIDTH_PX


def rendering(shown: Locator) -> str:
    return str(shown.evaluate("(one) => getComputedStyle(one).imageRendering"))


def test_a_picture_is_enlarged_by_whole_factors_wherever_it_is_shown(
    page: Page, ask: Callable[..., str], worker: PlayedWorker
) -> None:
    job_id = ask(width=WIDTH_PX, height=96)
    worker.succeed(job_id)
    for address, place in (
        ("/", "#jobs img.small"),
        ("/#/gallery", ".gallery img.small"),
        (f"/#/jobs/{job_id}", ".results img.small"),
    ):
        page.goto(address)
        shown = page.locator(place).first
        expect(shown).to_be_visible()
        assert factor(shown) == pytest.approx(round(factor(shown)), abs=0.01), address
        assert factor(shown) >= 2


def test_a_preview_and_the_finished_picture_are_drawn_alike(
    page: Page, ask: Callable[..., str], worker: PlayedWorker
) -> None:
    job_id = ask(preview_every_steps=5, num_images=9)
    lease = worker.claim(job_id)
    page.goto(f"/#/jobs/{job_id}")
    expect(page.locator(".badge")).to_have_text("running")
    for index in range(9):
        worker.leases.preview(lease, index, 5, picture(64, 64, tint=80))
    previews = page.locator(".stage img.preview.small")
    expect(previews).to_have_count(9)
    boxes = previews.evaluate_all("(all) => all.map((one) => one.getBoundingClientRect().top)")
    assert len(set(boxes)) == 3  # three by three
    drawn = rendering(previews.first)
    worker.leases.succeed(lease, worker.store(lease))
    expect(page.locator(".results img")).to_have_count(9)
    assert rendering(page.locator(".results img").first) == drawn == "pixelated"


def test_who_wants_them_smooth_has_them_so_on_every_page(
    page: Page, ask: Callable[..., str], worker: PlayedWorker
) -> None:
    worker.succeed(ask())
    page.goto("/#/gallery")
    shown = page.locator(".gallery img.small")
    expect(shown).to_be_visible()
    assert rendering(shown) == "pixelated"
    smooth = page.get_by_role("button", name="Smooth")
    smooth.focus()
    page.keyboard.press("Enter")
    expect(smooth).to_have_attribute("aria-pressed", "true")
    page.goto("/")
    page.reload()
    expect(page.locator("#jobs img.small")).to_be_visible()
    assert rendering(page.locator("#jobs img.small")) == "auto"
