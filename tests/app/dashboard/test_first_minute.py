"""What people do in their first minutes in a real browser: on a phone, with the form's tools, in a full queue."""

from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from app.api.settings import ApiSettings
from jobs.errors import DeadlineExceededError
from tests.app.conftest import serving
from tests.app.dashboard.conftest import described
from tests.app.dashboard.filling import submitted
from tests.app.dashboard.test_form import ROOT
from tests.app.played_worker import PlayedWorker
from tests.browser import overflow_px, violations

pytestmark = pytest.mark.timeout(600)

LEAST_TARGET_PX = 44  # of what a finger hits, as Apple's and WCAG 2.5.5's


@pytest.fixture
def phone(settings: ApiSettings, open_tab: Callable[..., Page]) -> Iterator[Page]:
    """A phone's tab on an API with the models of this repository."""
    own = settings.model_copy(update={"models_file": ROOT / "models.toml"})
    with serving(described(own), timeout_graceful_shutdown=0) as url:
        page = open_tab(url, 390, has_touch=True, is_mobile=True)
        page.goto("/")
        yield page
        page.goto("about:blank")


def test_the_first_minute_on_a_phone(phone: Page, worker: PlayedWorker) -> None:
    page = phone
    page.locator(".chip").first.tap()
    expect(page.locator("#prompt")).to_have_value("noto red apple on a light blue background")
    page.locator("#options > summary").tap()
    expect(page.get_by_label("Explain the fields")).not_to_be_checked()
    assert page.locator("#options").evaluate("(one) => one.getBoundingClientRect().height") < 1200
    assert overflow_px(page) <= 0
    small = page.locator("button, summary, select, nav a").evaluate_all(
        "(all, least) => all.filter((one) => one.checkVisibility() && one.getBoundingClientRect().height < least)"
        ".map((one) => one.outerHTML)",
        LEAST_TARGET_PX - 8,  # the browser's own choice of a font decides some
    )
    assert small == []
    page.locator("#generate").tap()
    page.get_by_role("link", name="See it").tap()
    (job,) = page.request.get("/v1/jobs").json()["data"]
    worker.succeed(job["id"])
    page.locator("#jobs img.small").tap()
    expect(page.locator(".results img")).to_be_visible()
    page.get_by_text("Every field").tap()
    narrow = page.locator(".details-of .list > div").evaluate_all(
        "(all) => all.filter((one) => one.firstChild.getBoundingClientRect().height > 30).length"
    )
    assert narrow == 0  # each name on a line
    assert overflow_px(page) <= 0
    assert violations(page) == []


def test_options_fold_and_a_seed_is_kept_and_given_up(page: Page, live: httpx.Client) -> None:
    page.goto("/")
    page.fill("#prompt", "a red apple")
    sent = submitted(page)
    assert "seed" not in sent
    page.get_by_role("button", name="Keep its seed").click()
    (job,) = live.get("/v1/jobs").json()["data"]
    unpin = page.get_by_role("button", name=f"Seed {job['request']['seed']}: draw a new one")
    expect(unpin).to_be_visible()
    page.locator("#options > summary").click()
    expect(page.locator("#set-count")).to_have_text("(1 set)")
    expect(page.locator("[id='field-guidance.scale']")).to_be_hidden()
    page.get_by_text("Guidance", exact=True).first.focus()
    page.locator("#fields .tier > summary").first.focus()
    page.keyboard.press("Enter")
    page.fill("[id='field-guidance.scale']", "0.3")
    expect(page.locator("#fields .tier > summary").first).to_have_text("Guidance (1 set)")
    page.get_by_label("Explain the fields").uncheck()
    expect(page.locator("#field-steps-hint")).to_be_hidden()
    assert violations(page) == []
    assert submitted(page)["seed"] == job["request"]["seed"]
    unpin.click()
    expect(page.locator("#generate")).to_be_focused()
    assert "seed" not in submitted(page)
    page.get_by_role("button", name="Reset all").click()
    expect(page.locator("#set-count")).to_be_empty()
    expect(page.locator("#prompt")).to_have_value("a red apple")


def test_earlier_prompts_are_recalled_by_the_up_arrow_and_kept(page: Page, ask: Callable[..., str]) -> None:
    for asked in ("the oldest", "twice", "twice", "the newest"):
        ask(prompt=asked)
    page.goto("/")
    prompt = page.locator("#prompt")
    prompt.focus()
    for key, words in (
        ("ArrowUp", "the newest"),
        ("ArrowUp", "twice"),
        ("ArrowUp", "the oldest"),
        ("ArrowUp", "the oldest"),
        ("ArrowDown", "twice"),
    ):
        page.keyboard.press(key)
        expect(prompt).to_have_value(words)
    page.keyboard.type("!")
    page.keyboard.press("ArrowUp")  # the prompt is somebody's own now
    expect(prompt).to_have_value("twice!")
    page.get_by_text("Recent prompts").click()
    page.get_by_role("button", name="Keep the prompt: the oldest").click()
    page.reload()
    page.get_by_text("Recent prompts").click()
    expect(page.locator(".recent .chip")).to_have_text(["the oldest", "the newest", "twice"])
    assert violations(page) == []
    page.locator(".recent .chip").first.click()
    expect(prompt).to_have_value("the oldest")


def test_a_job_for_which_the_queue_has_no_room_is_sent_once_there_is(
    page: Page, live: httpx.Client, ask: Callable[..., str]
) -> None:
    ids = [ask(prompt=f"job {number}") for number in range(5)]  # all that it takes
    page.goto("/")
    page.fill("#prompt", "it comes late")
    page.click("#generate")
    expect(page.locator(".room")).to_contain_text("The queue is full: 5 jobs are waiting already")
    assert violations(page) == []
    live.post(f"/v1/jobs/{ids[0]}/cancel")
    expect(page.locator("#jobs .prompt-text").first).to_have_text("it comes late")
    expect(page.locator(".room")).to_be_hidden()
    page.fill("#prompt", "it is given up")
    page.click("#generate")
    page.get_by_role("button", name="Do not send it").click()
    expect(page.locator(".room")).to_be_hidden()
    assert "it is given up" not in live.get("/v1/jobs").text


def test_single_keys_can_be_turned_off_and_a_late_job_gets_more_time(
    page: Page, live: httpx.Client, ask: Callable[..., str], worker: PlayedWorker
) -> None:
    job_id = ask(timeout_s=2)
    worker.fail(job_id, DeadlineExceededError("the job ran longer than its timeout_s of 2 s"))
    page.goto(f"/#/jobs/{job_id}")
    expect(page.locator(".reason strong")).to_have_text("Timed out after 2 s")
    page.get_by_role("button", name="List of keys").click()
    page.get_by_label("Single keys work").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.get_by_role("button", name="Run again with 20 s").click()
    expect(page.locator("#page .badge")).to_have_text("queued, next")  # and the gallery was not opened
    assert live.get("/v1/jobs").json()["data"][0]["request"]["timeout_s"] == 20
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete the job and its pictures: sure?").click()
    expect(page.locator("#jobs > li")).to_have_count(1)
    page.get_by_role("button", name="List of keys").click()
    page.get_by_label("Single keys work").check()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    expect(page.locator("#page h2", has_text="Gallery")).to_be_visible()
