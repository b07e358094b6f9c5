"""Sweeps in a real browser: from the form to the grid, and labels in the list."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from app.api.settings import ApiSettings
from jobs.errors import LodestarError
from tests.app.dashboard.test_form import with_options
from tests.app.played_worker import PlayedWorker
from tests.browser import overflow_px, violations

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def settings(redis_url: str, models_file: Path, tmp_path: Path) -> ApiSettings:
    """Settings of an API whose queue has room for a sweep."""
    artifacts = str(tmp_path / "artifacts")
    return ApiSettings(redis_url=redis_url, models_file=models_file, artifacts_url=artifacts, max_queued=12)


def jobs_of(live: httpx.Client) -> list[dict[str, Any]]:
    """All jobs, oldest first."""
    found: list[dict[str, Any]] = live.get("/v1/jobs").json()["data"]
    return found[::-1]


@pytest.fixture
def swept(page: Page) -> Page:
    """A form whose sweep is open."""
    with_options(page)
    page.click("#options > summary")
    page.locator("#sweep > summary").click()
    expect(page.locator("#sweep-across option")).not_to_have_count(1)
    return page


def test_two_fields_make_a_grid_of_jobs_that_shows_its_pictures_as_they_come(
    swept: Page, live: httpx.Client, worker: PlayedWorker
) -> None:
    page = swept
    page.select_option("#sweep-across", "guidance.scale")
    page.fill("#sweep-across-values", "0.1, 0.2, 0.5")
    page.select_option("#sweep-down", "guidance.preset")
    down = page.get_by_role("group", name="Down: values of guidance.preset")
    for name in ("fast", "laion", "disco", "unguided"):
        down.get_by_role("checkbox", name=re.compile(f"^{name} ?\\(|^{name}$")).check()
    # Without guidance, its scale says nothing.
    expect(page.locator("#sweep > summary")).to_have_text("Sweep (10 jobs)")
    assert violations(page) == []
    page.get_by_role("button", name="Make 10 jobs").click()
    expect(page.locator("#page h2")).to_have_text("Sweep of guidance.scale and guidance.preset")
    made = jobs_of(live)
    (label,) = {label for job in made for label in job["request"]["labels"]}
    assert re.fullmatch("sweep-[0-9a-f]{8}:guidance.scale,guidance.preset", label)
    asked = [job["request"] for job in made]
    assert len({request["seed"] for request in asked}) == 1
    assert asked[0]["guidance"] is None
    values = {(request["guidance"]["scale"], request["guidance"]["preset"]) for request in asked[1:]}
    assert values == {(scale, preset) for preset in ("fast", "laion", "disco") for scale in (0.1, 0.2, 0.5)}
    heads, sides = page.locator("thead tr:last-child th"), page.locator("tbody th")
    expect(heads).to_have_text(["guidance.preset ↓", "0.1", "0.2", "0.5"])
    expect(sides).to_have_text(["unguided", "laion", "disco", "fast"])
    cells = page.locator("tbody td")
    expect(cells).to_have_count(12)
    expect(cells.locator("a")).to_have_count(10)
    (chosen,) = (
        job["id"]
        for job in made[1:]
        if (job["request"]["guidance"]["scale"], job["request"]["guidance"]["preset"]) == (0.2, "laion")
    )
    worker.succeed(chosen)
    middle = page.get_by_role("link", name="guidance.scale 0.2, guidance.preset laion: succeeded, CLIP 0.250")
    expect(middle.locator("img")).to_be_visible()
    expect(cells.nth(4).locator("img")).to_be_visible()
    expect(page.locator(".set-page .line [role=status]")).to_contain_text("1 of 10 jobs done")
    worker.report(worker.claim(made[0]["id"]), step=5, steps=20)
    expect(cells.first).to_contain_text("5 of 20")
    assert violations(page) == []
    assert overflow_px(page) <= 0
    middle.focus()
    page.keyboard.press("ArrowDown")
    expect(cells.nth(7).locator("a")).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(cells.nth(8).locator("a")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".job-page h2")).to_have_text("a red apple")


def test_a_sweep_is_made_by_keyboard_and_the_rest_of_it_canceled(
    page: Page, live: httpx.Client, worker: PlayedWorker
) -> None:
    page.goto("/")
    expect(page.locator("#field-steps")).to_be_attached()
    page.fill("#prompt", "a red apple")
    page.locator("#sweep > summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("steps")
    page.keyboard.press("Tab")
    page.keyboard.type("5 10,20")
    page.locator("#generate").focus()
    page.keyboard.press("Enter")
    expect(page.locator("tbody td")).to_have_count(3)
    assert [job["request"]["steps"] for job in jobs_of(live)] == [5, 10, 20]
    worker.fail(jobs_of(live)[0]["id"], LodestarError("it broke"))
    expect(page.locator("tbody td").first).to_contain_text("failed")
    for word in ("Cancel the rest", "Cancel 2 jobs: sure?"):
        page.get_by_role("button", name=word).focus()
        page.keyboard.press("Enter")
    expect(page.locator(".set-page .line [role=status]")).to_contain_text("1 failed, 2 canceled")
    for word in ("Run the failed ones again", "Run 3 jobs again: sure?"):
        page.get_by_role("button", name=word).focus()
        page.keyboard.press("Enter")
    expect(page.locator("tbody td").first).to_contain_text("queued")
    expect(page.locator("tbody td")).to_have_count(3)


def test_a_wrong_value_makes_no_job_and_a_full_queue_is_gone_on_with(
    swept: Page, live: httpx.Client, worker: PlayedWorker, ask: Callable[..., str]
) -> None:
    page = swept
    page.select_option("#sweep-across", "cfg_scale")
    expect(page.locator("#generate")).to_have_text("Make the sweep")  # and not: Make 0 jobs
    page.fill("#sweep-across-values", "1, much")
    page.click("#generate")
    expect(page.locator("#sweep-across-error")).to_have_text("much is not a number.")
    expect(page.locator("#sweep-across-values")).to_be_focused()
    page.select_option("#sweep-across", "width")
    page.fill("#sweep-across-values", "64, 65")
    page.click("#generate")
    expect(page.locator("#form-error")).to_contain_text("With width 65:")
    assert jobs_of(live) == []
    waiting = [ask() for _ in range(10)]
    page.fill("#sweep-across-values", "48, 64, 80")
    page.click("#generate")
    expect(page.locator("#form-error")).to_contain_text("2 of 3 jobs are made.")
    worker.succeed(waiting[0])
    page.click("#generate")
    expect(page.locator("tbody td")).to_have_count(3)
    sizes = [job["request"]["width"] for job in jobs_of(live) if job["request"]["labels"]]
    assert sizes == [48, 64, 80]


def test_jobs_of_one_label_are_listed_and_shown_as_pictures(
    page: Page, ask: Callable[..., str], worker: PlayedWorker
) -> None:
    for prompt in ("one", "two"):
        worker.succeed(ask(prompt=prompt, seed=7, labels=["client a"]))
    ask(prompt="of nobody")
    page.goto("/")
    expect(page.locator("#jobs > li")).to_have_count(3)
    page.get_by_role("link", name="#client a").first.click()
    expect(page.locator("#jobs > li .prompt-text")).to_have_text(["two", "one"])
    expect(page.get_by_label("Label", exact=True)).to_have_value("client a")
    expect(page.get_by_role("button", name="Delete all found")).to_be_visible()
    page.reload()
    expect(page.locator("#jobs > li")).to_have_count(2)
    page.get_by_role("button", name="failed").click()
    expect(page.locator("#empty")).to_contain_text("No failed jobs with the label client a")
    assert violations(page) == []
    page.get_by_role("link", name="As pictures").click()
    expect(page.locator("thead th").last).to_have_text("two")  # they differ in their prompts alone
    expect(page.locator("tbody img")).to_have_count(2)
    page.get_by_role("link", name="As a list").click()
    expect(page.locator("#jobs > li")).to_have_count(2)
    page.get_by_label("Label", exact=True).fill("")
    page.keyboard.press("Enter")
    expect(page.locator("#jobs > li")).to_have_count(3)
