"""Who comes when and what it takes, in a real browser: priorities of waiting jobs, and the jobs of one caller."""

from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.app.played_worker import PlayedWorker
from tests.browser import overflow_px, violations

pytestmark = pytest.mark.timeout(600)


def lines(page: Page) -> list[str]:
    return page.locator(".job-table .col-prompt a").all_text_contents()


def test_waiting_jobs_get_another_priority_in_the_table_and_one_on_its_page(
    page: Page, ask: Callable[..., str], live: httpx.Client, worker: PlayedWorker
) -> None:
    for number in range(4):
        ask(prompt=f"job {number}")
    page.goto("/?status=queued&view=table")
    expect(page.locator(".job-table tbody tr")).to_have_count(4)
    assert lines(page) == ["job 0", "job 1", "job 2", "job 3"]
    for number in (2, 3):
        page.get_by_role("checkbox", name=f"Select: job {number}").check()
    chosen = page.get_by_role("group", name="Selected jobs")
    expect(chosen.get_by_role("button", name="Normal")).to_have_attribute("aria-pressed", "true")
    assert violations(page) == []
    chosen.get_by_role("button", name="High").focus()
    page.keyboard.press("Enter")
    expect(chosen.get_by_role("status")).to_have_text("2 jobs now of priority high.")
    expect(page.locator(".job-table .col-prompt a").first).to_have_text("job 2")
    assert lines(page) == ["job 2", "job 3", "job 0", "job 1"]
    expect(page.locator(".job-table tbody .col-priority").first).to_have_text("high")
    page.get_by_role("link", name="job 3").click()
    head = page.locator(".job-page").get_by_role("group", name="Priority")
    expect(head.get_by_role("button", name="High")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".job-page .badge")).to_have_text("queued · 2nd")
    head.get_by_role("button", name="Low").focus()
    page.keyboard.press("Space")
    expect(head.get_by_role("button", name="Low")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".timeline li").last).to_contain_text("priority changed from high to low")
    assert violations(page) == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert overflow_px(page) <= 0
    job_id = page.url.rpartition("/")[2]
    assert live.get(f"/v1/jobs/{job_id}").json()["request"]["priority"] == "low"
    worker.claim(job_id)
    expect(page.locator(".job-page .badge")).to_have_text("running")
    expect(head).to_be_hidden()


def test_the_jobs_of_one_caller_are_listed_and_their_work_is_added_up(
    page: Page, live: httpx.Client, worker: PlayedWorker
) -> None:
    def submit(prompt: str, caller: str | None) -> str:
        headers = {"X-Forwarded-User": caller} if caller else {}
        answer = live.post("/v1/jobs", json={"prompt": prompt}, headers=headers)
        return str(answer.json()["id"])

    worker.succeed(submit("it is done", "studio"))
    submit("it waits", "studio")
    submit("another's", None)
    page.goto("/?status=queued&view=table")
    expect(page.locator(".job-table tbody tr")).to_have_count(2)
    page.locator("tr", has_text="it waits").locator(".col-caller a").click()
    expect(page.locator(".job-table tbody tr")).to_have_count(1)
    assert lines(page) == ["it waits"]
    page.reload()
    expect(page.locator(".job-table tbody tr")).to_have_count(1)
    page.locator("#filters").get_by_role("button", name="all").click()
    expect(page.locator(".job-table tbody tr")).to_have_count(2)
    assert violations(page) == []
    page.get_by_role("button", name="Show the jobs of every caller").click()
    expect(page.locator(".job-table tbody tr")).to_have_count(3)
    page.goto("/#/overview")
    row = page.locator(".callers tbody tr")
    expect(row).to_have_count(1)
    expect(row.locator("td").first).to_have_text("1")
    assert violations(page) == []
    row.get_by_role("link").click()
    expect(page.locator(".job-table tbody tr, #jobs > li")).to_have_count(2)
