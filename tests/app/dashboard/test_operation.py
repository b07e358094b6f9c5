"""What an operator sees in a real browser: timelines, heartbeats, lost workers, the last hour."""

from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest
from playwright.sync_api import Page, expect
from redis import Redis

from app.api.settings import ApiSettings
from jobs.db.scripts import PREFIX
from jobs.errors import LodestarError
from jobs.queue.leases import Leases
from jobs.queue.workers import WorkerRegistry
from tests.app.dashboard.test_dashboard_page import announce
from tests.app.played_worker import PlayedWorker
from tests.browser import overflow_px, violations

pytestmark = pytest.mark.timeout(600)


def test_the_timeline_of_a_job_tells_that_its_worker_was_lost(
    page: Page, ask: Callable[..., str], redis: Redis, settings: ApiSettings, worker: PlayedWorker
) -> None:
    job_id = ask()
    PlayedWorker(redis, settings.artifacts_url, name="doomed", lease_s=1).claim(job_id)
    page.goto(f"/#/jobs/{job_id}")
    turns = page.locator(".timeline li > span:nth-child(2)")
    expect(turns.nth(1)).to_have_text("Started on doomed")
    expect(page.locator(".badge")).to_contain_text("queued")  # its lease has ended, and it waits again
    worker.succeed(job_id)
    expect(turns).to_have_text(
        [
            "Queued",
            "Started on doomed",
            "Its worker was lost: it was heard of no more. Queued again",
            "Started on played, attempt 2",
            "Done",
        ]
    )
    expect(page.locator(".timeline li").nth(1)).to_contain_text("ran ")
    assert violations(page) == []
    redis.delete(f"{PREFIX}events:{job_id}")  # as their expiry does
    page.reload()
    expect(page.locator(".results img")).to_be_visible()
    expect(page.locator(".timeline")).to_be_hidden()


def test_a_worker_without_a_heartbeat_and_one_that_was_lost_are_told(
    page: Page, redis: Redis, ask: Callable[..., str]
) -> None:
    job_id = ask()
    announce(redis, job_id)
    page.goto("/#/workers")
    expect(page.locator(".heartbeat")).to_contain_text("Heard of")
    (info,) = WorkerRegistry(redis).alive()
    late = info.heartbeat_at - timedelta(seconds=12)
    WorkerRegistry(redis).announce(info.model_copy(update={"heartbeat_at": late}))
    page.reload()
    expect(page.locator(".heartbeat.late")).to_contain_text("No heartbeat for 1")
    expect(page.locator("#workers")).to_contain_text("1 worker · no heartbeat for 10 s")
    assert violations(page) == []
    WorkerRegistry(redis).announce(info.model_copy(update={"name": "tidy"}))
    WorkerRegistry(redis).leave("tidy")
    redis.delete(f"{PREFIX}worker:played")  # as its expiry does
    page.reload()
    expect(page.locator(".gone li")).to_have_count(2)
    expect(page.locator(".gone .lost")).to_contain_text("played (cpu) was lost")
    said = ['{"event": "loaded", "level": "info", "id": "pocket"}', "MemoryError"]
    WorkerRegistry(redis).bury("here", 1, "was killed by SIGKILL", said)
    page.reload()
    expect(page.locator(".gone .lost")).to_contain_text("played (cpu) was killed by SIGKILL")
    page.get_by_text("The end of its log").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("The end of the log of played")).to_have_text(
        "info loaded id=pocket\nMemoryError"
    )
    expect(page.locator(".gone .lost a")).to_have_attribute("href", f"#/jobs/{job_id}")
    assert violations(page) == []


def test_a_job_that_stands_still_says_so_and_foresees_no_end(
    page: Page, ask: Callable[..., str], worker: PlayedWorker
) -> None:
    lease = worker.claim(ask())
    worker.report(lease, step=5, steps=20, eta_s=8)
    page.clock.install()
    page.goto("/")
    expect(page.locator("#jobs .advance")).to_contain_text("5 of 20 steps, about 8 s left")
    page.clock.run_for(13_000)
    expect(page.locator("#jobs .advance")).to_contain_text("5 of 20 steps, none for 1")
    worker.report(lease, step=6, steps=20, eta_s=7)
    page.clock.run_for(2_000)
    expect(page.locator("#jobs .advance")).to_contain_text("6 of 20 steps, about 7 s left")


def test_a_worker_is_drained_and_resumed_by_keyboard(
    page: Page, redis: Redis, ask: Callable[..., str]
) -> None:
    announce(redis)
    waits = ask()
    page.goto("/#/workers")
    page.get_by_role("button", name="Drain").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Resume")).to_be_focused()
    expect(page.locator(".drained")).to_contain_text("It takes no more jobs, and can be stopped.")
    expect(page.locator("#workers")).to_contain_text("1 worker · draining · idle")
    assert Leases(redis, worker="played").claim_next() is None
    assert violations(page) == []
    page.goto("/#/")
    expect(page.locator("#note")).to_contain_text("Every worker is drained, so jobs wait.")
    page.goto("/#/workers")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Drain")).to_be_visible()
    lease = Leases(redis, worker="played").claim_next()
    assert lease is not None
    assert lease.job_id == waits


def test_the_head_tells_how_full_the_queue_is(page: Page, redis: Redis, ask: Callable[..., str]) -> None:
    page.goto("/")
    expect(page.locator("#workers")).to_have_text("no worker")
    for _ in range(4):  # of the 5 that it takes
        ask()
    # What started this API is not known to it.
    expect(page.locator("#note")).to_contain_text(
        "lodestar worker, and the LODESTAR_REDIS_URL of this service"
    )
    announce(redis)
    expect(page.locator("#workers")).to_have_text("1 worker · idle · 4 waiting · queue 80 % full")
    expect(page.locator("#workers.full")).to_be_visible()
    assert violations(page) == []


def test_the_overview_shows_the_last_hour(
    page: Page, live: httpx.Client, ask: Callable[..., str], worker: PlayedWorker
) -> None:
    for _ in range(2):
        worker.succeed(ask())
    broken = ask()
    worker.fail(broken, LodestarError("it broke"))
    ask()
    page.goto("/")
    page.keyboard.press("o")
    expect(page.locator("#page h2")).to_have_text("Overview")
    facts = page.locator(".overview .list > div")
    for words in ("Succeeded2", "Failed1", "Waiting1 job: the queue is 20 % full, of 5"):
        expect(facts.filter(has_text=words)).to_have_count(1)
    chart = page.get_by_role("img", name="2 succeeded, 1 failed, 0 canceled in the last hour")
    expect(chart.locator("rect").first).to_be_attached()
    page.get_by_role("link", name="See the latest").click()
    expect(page.locator(".job-page .reason")).to_contain_text("It broke")
    page.go_back()
    page.locator(".overview .failures").wait_for()
    assert violations(page) == []
    assert overflow_px(page) <= 0
