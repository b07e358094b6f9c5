"""A best-of-n job in a real browser: its pictures as they come, and one that is kept after all."""

import re
from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.app.played_worker import PlayedWorker
from tests.browser import overflow_px, violations

pytestmark = pytest.mark.timeout(600)


def test_the_best_of_16_have_a_ring_and_another_one_is_kept_too(
    page: Page, live: httpx.Client, ask: Callable[..., str], worker: PlayedWorker
) -> None:
    job_id = ask(seed=0, select={"candidates": 16, "keep": 3})
    lease = worker.claim(job_id)
    made = [image.model_copy(update={"clip_score": 0.01 * image.index}) for image in worker.store(lease)]
    page.goto(f"/#/jobs/{job_id}")
    tiles = page.locator(".candidates li")
    for image in made[:9]:
        worker.leases.show(lease, image)
    expect(tiles).to_have_count(9)
    expect(page.get_by_text("9 of 16 made")).to_be_visible()
    expect(tiles.first.locator("img.small")).to_be_visible()
    for image in made[9:]:
        worker.leases.show(lease, image)
    expect(tiles).to_have_count(16)
    assert worker.leases.succeed(lease, tuple(made[:-4:-1])) == "succeeded"
    worker.leases.reject(lease, [image.key for image in made[:-3]])
    page.reload()
    expect(page.locator(".candidates .kept")).to_have_count(3)
    expect(tiles.first).to_contain_text(re.compile("seed 15 .* kept"))
    expect(page.locator(".results img")).to_have_count(3)
    assert violations(page) == []
    assert overflow_px(page) <= 0
    page.get_by_role("button", name="Keep this too: picture 5 of").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".candidates .kept")).to_have_count(4)
    expect(page.locator(".results img")).to_have_count(4)
    job = live.get(f"/v1/jobs/{job_id}").json()
    assert [image["index"] for image in job["images"]] == [15, 14, 13, 4]
    assert live.post(f"/v1/jobs/{job_id}/candidates/4/keep").json()["images"] == job["images"]
