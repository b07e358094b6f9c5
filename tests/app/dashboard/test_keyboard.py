"""The ways through the dashboard that most people take, without a mouse or a finger."""

import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect
from redis import Redis

from app.api.settings import ApiSettings
from jobs.errors import JobFailedError
from jobs.queue.queue import JobQueue
from jobs.status.job import JobStatus
from tests.app.dashboard import test_gallery
from tests.app.dashboard.test_gallery import answering
from tests.app.played_worker import PlayedWorker
from tests.browser import overflow_px, violations
from tests.jobs.samples import RESOLVED

pytestmark = pytest.mark.timeout(600)

kept = test_gallery.kept  # three finished jobs, whose pictures a search finds
Ask = Callable[..., str]


@pytest.fixture
def models_file(models_file: Path) -> Path:
    """With a text tower, which a search needs."""
    text = models_file.read_text()
    models_file.write_text(
        text.replace('clip = "pocket-m"\n', 'clip = "pocket-m"\ntext_clip = "pocket-s"\n', 1)
    )
    return models_file


@pytest.fixture
def settings(redis_url: str, models_file: Path, tmp_path: Path) -> ApiSettings:
    """Settings of an API whose queue has room for a sweep."""
    artifacts = str(tmp_path / "artifacts")
    return ApiSettings(redis_url=redis_url, models_file=models_file, artifacts_url=artifacts, max_queued=12)


def reach(page: Page, name: str | re.Pattern[str], *, most: int = 40, backwards: bool = False) -> None:
    """Press Tab until something of this name has the focus, as someone does who sees where it is."""
    seen = []
    for _ in range(most):
        page.keyboard.press("Shift+Tab" if backwards else "Tab")
        told = page.evaluate(
            "(one => one.ariaLabel || (one.labels?.[0] ?? one).textContent.trim())(document.activeElement)"
        )
        if re.search(name, told):
            return
        seen.append(told)
    pytest.fail(f"{name} is not among {seen}")


def test_jobs_are_gone_through_opened_and_canceled_by_single_keys(
    page: Page, ask: Ask, worker: PlayedWorker, live: httpx.Client
) -> None:
    done = ask(prompt="the first")
    worker.succeed(done)
    waits = ask(prompt="the second")
    page.goto("/")
    links = page.locator("#jobs .prompt-text a")
    expect(links).to_have_text(["the second", "the first"])
    for key, focused in (("j", 0), ("j", 1), ("j", 1), ("k", 0), ("k", 0)):
        page.keyboard.press(key)
        expect(links.nth(focused)).to_be_focused()
    page.keyboard.press("c")
    expect(page.locator("#jobs .badge").first).to_have_text("canceled")
    assert live.get(f"/v1/jobs/{waits}").json()["status"] == "canceled"
    page.keyboard.press("j")
    page.keyboard.press("c")  # of a job that has ended: nothing
    page.keyboard.press("Enter")
    expect(page.locator(".job-page h2")).to_have_text("the first")
    page.keyboard.press("j")
    expect(page.locator(".results a").first).to_be_focused()
    page.keyboard.press("h")
    expect(page.locator("#jobs-title")).to_be_focused()


def test_lines_of_the_table_are_gone_through_and_canceled_by_single_keys(
    page: Page, ask: Ask, live: httpx.Client
) -> None:
    for number in range(3):
        ask(prompt=f"job {number}")
    page.goto("/?status=queued&view=table")
    lines = page.locator(".job-table tbody tr")
    expect(lines).to_have_count(3)
    page.keyboard.press("k")
    expect(lines.nth(2).locator(".col-prompt a")).to_be_focused()
    page.keyboard.press("k")
    page.keyboard.press("x")
    expect(page.locator(".chosen-jobs [role=status]")).to_have_text("1 job selected")
    page.keyboard.press("c")
    expect(lines).to_have_count(2)
    statuses = [job["status"] for job in live.get("/v1/jobs").json()["data"]]
    assert statuses == ["queued", "canceled", "queued"]


def test_the_best_of_16_are_ordered_enlarged_and_rescued_by_keyboard(
    page: Page, ask: Ask, worker: PlayedWorker
) -> None:
    job_id = ask(seed=0, select={"candidates": 16, "keep": 3})
    lease = worker.claim(job_id)
    made = [
        image.model_copy(update={"clip_score": 0.01 * image.index, "aesthetic_score": 7 - 0.1 * image.index})
        for image in worker.store(lease)
    ]
    for image in made:
        worker.leases.show(lease, image)
    assert worker.leases.succeed(lease, tuple(made[:-4:-1])) == "succeeded"
    worker.leases.reject(lease, [image.key for image in made[:-3]])
    page.goto(f"/#/jobs/{job_id}")
    tiles = page.locator(".candidates li")
    expect(tiles.first).to_contain_text("seed 15 ")
    page.get_by_role("heading", name="Candidates").scroll_into_view_if_needed()
    page.locator(".job-page h2").focus()
    reach(page, "^Aesthetic$")
    page.keyboard.press("Enter")
    expect(tiles.first).to_contain_text("seed 0 ")
    page.keyboard.press("Tab")  # into the first of them
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Picture")
    expect(dialog).to_contain_text("1 of 16 · seed 0 · 64 × 64 · CLIP 0.000 · aesthetic 7.00")
    assert dialog.locator("img").evaluate("(one) => one.width % 64") == 0
    expect(dialog.get_by_role("link", name="Compare with the next")).to_be_hidden()  # neither was kept
    for key in ("ArrowRight", "j", "k"):
        page.keyboard.press(key)
    expect(dialog).to_contain_text("2 of 16 · seed 1")
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    reach(page, "^Keep this too: picture 1 of")
    page.keyboard.press("Enter")
    expect(page.locator(".candidates .kept")).to_have_count(4)
    expect(page.locator(".results img")).to_have_count(4)


def test_pictures_are_searched_selected_and_enlarged_by_keyboard(
    page: Page, kept: list[str], worker: PlayedWorker
) -> None:
    page.goto("/")
    page.keyboard.press("g")
    expect(page.locator(".gallery li")).to_have_count(3)
    expect(page.locator("#page h2")).to_be_focused()
    with answering(worker, (0.6, 0.8, 0, 0)):
        reach(page, "Search the pictures by a text")
        page.keyboard.type("a pear")
        page.keyboard.press("Enter")
        expect(page.locator(".gallery .caption").first).to_have_text("green pear")
    expect(page.locator("#page h2")).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator(".selection [role=status]")).to_have_text("2 pictures selected")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Picture")
    expect(dialog).to_contain_text("1 of 3 · seed")
    page.keyboard.press("p")
    expect(dialog.get_by_role("button", name="Smooth")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("o")
    expect(page.locator(".job-page h2")).to_have_text("green pear")


def test_a_killed_worker_is_found_in_the_timeline_by_keyboard(
    page: Page, ask: Ask, redis: Redis, settings: ApiSettings, worker: PlayedWorker
) -> None:
    job_id = ask(prompt="it was lost")
    PlayedWorker(redis, settings.artifacts_url, name="doomed", lease_s=1).claim(job_id)
    page.goto("/")
    expect(page.locator("#jobs .badge")).to_contain_text("queued")  # its lease has ended, and it waits again
    worker.succeed(job_id)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator(".timeline [data-kind=lost]")).to_contain_text("Its worker was lost")
    expect(page.locator(".timeline li").last).to_contain_text("Done")
    expect(page.locator(".job-page h2")).to_be_focused()


def test_the_first_minute_on_a_narrow_screen_by_keyboard(
    page: Page, live: httpx.Client, worker: PlayedWorker
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/")
    expect(page.locator("#field-steps")).to_be_attached()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the jobs")).to_be_focused()
    page.keyboard.press("n")
    expect(page.locator("#prompt")).to_be_focused()
    page.keyboard.type("a red apple")
    reach(page, "^Options")
    page.keyboard.press("Enter")
    reach(page, "^Portrait$")
    page.keyboard.press("Enter")
    reach(page, "^Generate$", most=150)
    covered = page.evaluate(
        "(one => { const box = one.getBoundingClientRect();"
        " return !one.contains(document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2)); })"
        "(document.activeElement)"
    )
    assert not covered
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="See it")).to_be_visible()
    reach(page, "^See it$")
    page.keyboard.press("Enter")
    (job,) = live.get("/v1/jobs").json()["data"]
    assert (job["request"]["width"], job["request"]["height"]) == (64, 96)
    worker.succeed(job["id"])
    expect(page.locator("#jobs .badge")).to_have_text(JobStatus.SUCCEEDED)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator(".results img")).to_be_visible()
    assert overflow_px(page) <= 0


def test_a_finished_job_is_downloaded_and_deleted_from_the_list_by_keyboard(
    page: Page, ask: Ask, worker: PlayedWorker, live: httpx.Client
) -> None:
    one, two = ask(prompt="one"), ask(prompt="two", num_images=2)
    worker.succeed(one)
    worker.succeed(two)
    page.goto("/")
    card = page.locator("#jobs > li").first
    expect(card).to_contain_text("two")
    page.locator("#jobs-title").focus()
    reach(page, "^Download: two$")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == f"{two}.zip"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(card.get_by_role("button", name="Delete: sure?")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#jobs > li")).to_have_count(1)
    assert [job["id"] for job in live.get("/v1/jobs").json()["data"]] == [one]
    expect(card.locator(".prompt-text a")).to_be_focused()  # of the next job
    reach(page, "^Download: one$", backwards=True)
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == f"{one}-0.png"


def press(page: Page, *keys: str) -> None:
    """Press keys one after the other; none of them may lose the place where one is."""
    for key in keys:
        page.keyboard.press(key)
        assert place(page) != "BODY", key


def place(page: Page) -> str:
    """The element that has the focus, as the browser draws the page next: one that went has lost it by then."""
    told: str = page.evaluate(
        "new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(document.activeElement.tagName))))"
    )
    return told


def test_a_grid_of_three_by_three_is_made_looked_at_and_canceled_by_keyboard(
    page: Page, live: httpx.Client, worker: PlayedWorker
) -> None:
    page.goto("/")
    expect(page.locator("#field-steps")).to_be_attached()
    press(page, "n")
    page.keyboard.type("a red apple")
    reach(page, "^Sweep$")
    press(page, "Enter", "Tab")
    page.keyboard.type("guidance.scale")
    press(page, "Tab")
    page.keyboard.type("0.1 0.2 0.5")
    press(page, "Tab")
    page.keyboard.type("steps")
    press(page, "Tab")
    page.keyboard.type("5 10 20")
    reach(page, "^Make 9 jobs$", most=3)
    page.keyboard.press("Enter")
    expect(page.locator("#page h2")).to_have_text("Sweep of guidance.scale and steps")
    expect(page.locator("#page h2")).to_be_focused()
    expect(page.locator("thead tr:last-child th")).to_have_text(["steps ↓", "0.1", "0.2", "0.5"])
    expect(page.locator("tbody th")).to_have_text(["5", "10", "20"])
    cells = page.locator("tbody td a")
    expect(cells).to_have_count(9)
    made = live.get("/v1/jobs").json()["data"][::-1]
    assert [(job["request"]["guidance"]["scale"], job["request"]["steps"]) for job in made] == [
        (scale, steps) for steps in (5, 10, 20) for scale in (0.1, 0.2, 0.5)
    ]
    press(page, "j", "ArrowDown", "ArrowRight")
    expect(cells.nth(4)).to_be_focused()
    worker.succeed(made[4]["id"])
    expect(cells.nth(4).locator("img")).to_be_visible()
    expect(cells.nth(4)).to_be_focused()
    reach(page, "^Cancel the rest$", backwards=True)
    press(page, "Enter")
    expect(page.get_by_role("button", name="Cancel 8 jobs: sure?")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".set-page .line [role=status]")).to_contain_text("1 of 9 jobs done, 8 canceled")
    expect(page.locator(".set-page .line [role=status]")).to_be_focused()
    press(page, "j", "ArrowRight", "ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator(".job-page h2")).to_be_focused()
    expect(page.locator(".results img")).to_be_visible()


def test_a_hundred_waiting_jobs_are_selected_and_canceled_from_the_table_in_seven_presses(
    page: Page, redis: Redis, live: httpx.Client
) -> None:
    queue = JobQueue(redis, max_queued=1000)
    for number in range(100):
        queue.submit(RESOLVED.model_copy(update={"prompt": f"job {number}"}))
    page.goto("/?status=queued&view=table")
    lines = page.locator(".job-table tbody tr")
    expect(lines).to_have_count(50)
    press(page, "k", "Tab", "Tab")  # the last line, its caller, the button below it
    expect(page.get_by_role("button", name="Show more")).to_be_focused()
    press(page, "Enter")
    expect(lines).to_have_count(100)
    expect(lines.nth(50).locator(".col-prompt a")).to_be_focused()
    press(page, "a")
    told = page.locator(".chosen-jobs [role=status]")
    expect(told).to_have_text("100 jobs selected")
    press(page, "c")
    expect(page.get_by_role("button", name="Cancel 100 jobs: sure?")).to_be_focused()
    page.keyboard.press("Enter")
    expect(told).to_have_text("100 jobs canceled.")
    expect(told).to_be_focused()
    assert live.get("/v1/queue").json()["jobs"]["canceled"] == 100


def test_a_line_that_goes_leaves_the_focus_to_the_next_and_the_last_to_the_heading(
    page: Page, ask: Ask, live: httpx.Client
) -> None:
    for number in range(3):
        ask(prompt=f"job {number}")
    page.goto("/?status=queued&view=table")
    lines = page.locator(".job-table tbody tr .col-prompt a")
    expect(lines).to_have_text(["job 0", "job 1", "job 2"])
    press(page, "j", "j", "c")
    expect(lines).to_have_text(["job 0", "job 2"])
    expect(lines.nth(1)).to_be_focused()
    press(page, "c")
    expect(lines).to_have_text(["job 0"])
    expect(lines).to_be_focused()
    press(page, "c")
    expect(lines).to_have_count(0)
    expect(page.locator("#jobs-title")).to_be_focused()
    assert live.get("/v1/queue").json()["jobs"]["canceled"] == 3


def test_failed_jobs_are_run_again_and_chosen_ones_deleted_after_a_question_by_keyboard(
    page: Page, ask: Ask, worker: PlayedWorker, live: httpx.Client
) -> None:
    for prompt in ("one", "two"):
        worker.fail(ask(prompt=prompt), JobFailedError("out of paint"))
    page.goto("/")
    cards = page.locator("#jobs > li")
    expect(cards).to_have_count(2)
    page.locator("#jobs-title").focus()
    reach(page, "^Retry: one$")
    press(page, "Enter")
    expect(cards).to_have_count(3)
    expect(page.get_by_role("button", name="Retry: one")).to_be_focused()
    reach(page, "^Cancel: one$", backwards=True)
    press(page, "Enter")
    expect(cards.first.locator(".badge")).to_have_text("canceled")
    expect(cards.first.locator(".prompt-text a")).to_be_focused()
    reach(page, "^Table$", backwards=True)
    press(page, "Enter")
    lines = page.locator(".job-table tbody tr")
    expect(lines).to_have_count(3)
    press(page, "j", "j", "x")
    reach(page, "^Delete 1$", backwards=True)
    press(page, "Enter")
    expect(page.get_by_role("button", name="Delete 1 job: sure?")).to_be_focused()
    assert len(live.get("/v1/jobs").json()["data"]) == 3
    page.keyboard.press("Enter")
    expect(lines).to_have_count(2)
    expect(page.locator(".chosen-jobs [role=status]")).to_have_text("1 job deleted.")
    expect(page.locator(".chosen-jobs [role=status]")).to_be_focused()
    left = [(job["request"]["prompt"], job["status"]) for job in live.get("/v1/jobs").json()["data"]]
    assert left == [("one", "canceled"), ("one", "failed")]


def test_a_job_is_canceled_run_again_and_deleted_on_its_page_by_keyboard(
    page: Page, ask: Ask, live: httpx.Client
) -> None:
    job_id = ask(prompt="one")
    page.goto(f"/#/jobs/{job_id}")
    title = page.locator(".job-page h2")
    expect(title).to_have_text("one")
    title.focus()
    reach(page, "^Cancel$")
    press(page, "Enter")
    expect(page.locator(".job-page .badge").first).to_have_text("canceled")
    expect(title).to_be_focused()  # the button is gone, and its neighbour is not pressed by mistake
    reach(page, "^Delete$")
    press(page, "Enter")
    expect(page.get_by_role("button", name="Delete the job and its pictures: sure?")).to_be_focused()
    assert live.get(f"/v1/jobs/{job_id}").status_code == 200
    reach(page, "^Run again$", backwards=True)
    page.keyboard.press("Enter")
    expect(page.locator(".job-page .badge").first).to_have_text("queued, next")
    expect(title).to_be_focused()
    (again,) = [job["id"] for job in live.get("/v1/jobs").json()["data"] if job["id"] != job_id]
    page.goto(f"/#/jobs/{job_id}")
    expect(page.locator(".job-page .badge").first).to_have_text("canceled")
    reach(page, "^Delete$")
    press(page, "Enter")
    page.keyboard.press("Enter")
    expect(page.locator("#jobs-title")).to_be_focused()
    expect(page.locator("#jobs > li")).to_have_count(1)
    assert [job["id"] for job in live.get("/v1/jobs").json()["data"]] == [again]
