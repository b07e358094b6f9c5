"""The dashboard in a real browser, on the real API; a worker that this process plays."""

import io
import json
import re
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Page, Response, Route, expect
from redis import Redis

from app.api.settings import ApiSettings
from app.stack.preflight import free_port
from jobs.catalog.catalog import Catalog
from jobs.errors import LodestarError
from jobs.queue.queue import JobQueue
from jobs.queue.workers import WorkerRegistry
from jobs.requests.request import GenerateRequest
from jobs.resolve.request import resolve
from jobs.status.job import GuidedStep
from jobs.status.workers import WorkerInfo
from tests.app.conftest import serving
from tests.app.dashboard.conftest import described
from tests.app.dashboard.filling import open_options
from tests.app.played_worker import PlayedWorker
from tests.browser import overflow_px, violations

pytestmark = pytest.mark.timeout(600)

AWKWARD = 'it\'s "50%" | $HOME <b>`ls`</b>\\'
FIRST_LOAD_BYTES = 250_000


def announce(redis: Redis, *jobs: str) -> None:
    now = datetime.now(UTC)
    info = WorkerInfo(
        name="played",
        host="here",
        pid=1,
        device="cpu",
        dtype="fp32",
        attention="sdpa",
        threads=1,
        models=("pocket",),
        jobs=jobs,
        room=1,
        busy_share=0.75,
        memory_used_bytes=2**30,
        memory_total_bytes=8 * 2**30,
        started_at=now,
        heartbeat_at=now,
    )
    WorkerRegistry(redis).announce(info)


def jpeg() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(out, "JPEG")
    return out.getvalue()


def row(page: Page, prompt: str) -> Any:
    return page.locator("#jobs > li", has_text=prompt)


def test_a_job_is_followed_from_the_form_to_its_picture(
    page: Page, live: httpx.Client, worker: PlayedWorker
) -> None:
    page.goto("/")
    expect(page.locator("#empty")).to_contain_text("No jobs yet")
    page.fill("#prompt", "a green pear")
    page.click("#generate")
    expect(row(page, "a green pear").locator(".badge")).to_have_text("queued, next")
    (job,) = live.get("/v1/jobs").json()["data"]
    assert job["request"]["preview_every_steps"] == 5
    lease = worker.claim(job["id"])
    worker.report(lease, step=10, steps=25)
    expect(row(page, "a green pear").locator(".advance")).to_contain_text("10 of 25 steps")
    worker.leases.preview(lease, 0, 10, jpeg())
    expect(row(page, "a green pear").locator("img.preview")).to_be_visible()
    page.reload()
    expect(row(page, "a green pear").locator("img.preview")).to_be_visible()
    worker.leases.succeed(lease, worker.store(lease))
    expect(row(page, "a green pear").locator(".badge")).to_have_text("succeeded")
    expect(row(page, "a green pear").locator("img.small")).to_be_visible()


def test_a_preview_that_comes_while_the_page_looks_for_one_is_shown(
    page: Page, ask: Callable[..., str], worker: PlayedWorker
) -> None:
    lease = worker.claim(ask(preview_every_steps=5))
    worker.report(lease, step=10, steps=20)
    looks: list[str] = []

    def answer(route: Route) -> None:
        looks.append(route.request.url)
        if len(looks) > 1:
            route.continue_()
            return
        worker.leases.preview(lease, 0, 10, jpeg())
        time.sleep(1)  # the page is told of it meanwhile
        route.fulfill(status=404)

    page.route("**/previews/0*", answer)
    page.goto("/")
    expect(row(page, "a red apple").locator("img.preview")).to_be_visible()
    assert len(looks) >= 2


def test_jobs_are_canceled_and_tried_again(
    page: Page, live: httpx.Client, ask: Callable[..., str], worker: PlayedWorker
) -> None:
    waits, runs = ask(prompt="it waits"), ask(prompt="it runs")
    lease = worker.claim(runs)
    worker.report(lease, step=1, steps=20)
    page.goto("/")
    row(page, "it waits").get_by_role("button", name="Cancel").click()
    expect(row(page, "it waits").locator(".badge")).to_have_text("canceled")
    assert live.get(f"/v1/jobs/{waits}").json()["status"] == "canceled"
    row(page, "it runs").get_by_role("button", name="Cancel").click()
    expect(row(page, "it runs").locator(".badge")).to_have_text("canceling")
    worker.leases.cancel(lease)
    expect(row(page, "it runs").locator(".badge")).to_have_text("canceled")
    row(page, "it waits").get_by_role("button", name="Retry").click()
    expect(row(page, "it waits")).to_have_count(2)
    again, first = (
        job["request"]
        for job in live.get("/v1/jobs").json()["data"]
        if job["request"]["prompt"] == "it waits"
    )
    assert again == first


def test_the_page_survives_a_restart_of_the_api(
    open_tab: Callable[..., Page], settings: ApiSettings, worker: PlayedWorker
) -> None:
    port = free_port("127.0.0.1")
    page = open_tab(f"http://127.0.0.1:{port}")
    with serving(described(settings), port=port, timeout_graceful_shutdown=0) as url:
        page.goto("/")
        job_id = httpx.post(f"{url}/v1/jobs", json={"prompt": "a long one"}).json()["id"]
        lease = worker.claim(job_id)
        expect(row(page, "a long one").locator(".badge")).to_have_text("running")
    expect(page.locator("#banner")).to_contain_text("cannot be reached")
    expect(row(page, "a long one")).to_be_visible()
    worker.leases.succeed(lease, worker.store(lease))
    with serving(described(settings), port=port, timeout_graceful_shutdown=0):
        expect(row(page, "a long one").locator(".badge")).to_have_text("succeeded")
        expect(page.locator("#banner")).to_be_hidden()


def test_without_the_stream_the_page_asks(page: Page, ask: Callable[..., str], worker: PlayedWorker) -> None:
    page.route("**/v1/events*", lambda route: route.fulfill(status=503, body=""))
    page.goto("/")
    job_id = ask(prompt="no stream")
    expect(row(page, "no stream").locator(".badge")).to_have_text("queued, next")
    worker.succeed(job_id)
    expect(row(page, "no stream").locator(".badge")).to_have_text("succeeded")


def test_every_field_of_a_request_can_be_set_and_is_sent_as_it_was_entered(
    page: Page, live: httpx.Client
) -> None:
    page.goto("/")
    open_options(page)
    schema = GenerateRequest.model_json_schema()
    schema["properties"].pop("cfg_embedded")  # which nobody chooses: it follows from the model
    for name, field in schema["properties"].items():
        nested = next((part["$ref"] for part in field.get("anyOf", []) if "$ref" in part), None)
        inner = schema["$defs"][nested.split("/")[-1]].get("properties") if nested else None
        paths = [f"{name}.{part}" for part in inner] if inner else [name]
        for path in paths:
            shown = (
                "init.image" if path == "edit.image" else path
            )  # one picture, for whichever the model does
            ids = [f"field-{shown}", shown]
            assert page.locator(", ".join(f"[id='{one}']" for one in ids)).count() == 1, path
    page.fill("#prompt", AWKWARD)
    for field, value in {
        "negative_prompt": "blurry",
        "width": "80",
        "steps": "7",
        "cfg_scale": "2.5",
        "seed": "11",
        "labels": "sweep-7, client a",
        "guidance\\.cutouts": "8",
    }.items():
        page.fill(f"#field-{field}", value)
    page.select_option("#field-sampler", label="euler")
    page.select_option("#field-schedule", label="karras")
    page.select_option("#field-priority", label="high")
    with page.expect_request("**/v1/jobs") as sent:
        page.click("#generate")
    assert json.loads(sent.value.post_data or "") == {
        "prompt": AWKWARD,
        "negative_prompt": "blurry",
        "width": 80,
        "steps": 7,
        "cfg_scale": 2.5,
        "sampler": "euler",
        "schedule": "karras",
        "seed": 11,
        "guidance": {"cutouts": 8, "trace": True},
        "preview_every_steps": 5,
        "priority": "high",
        "labels": ["sweep-7", "client a"],
    }
    expect(page.locator("#jobs > li .prompt-text")).to_have_text(AWKWARD)


def test_what_the_api_refuses_is_said_at_its_field(page: Page) -> None:
    page.goto("/")
    page.click("#generate")
    expect(page.locator("#prompt-error")).to_contain_text("Say what")
    page.fill("#prompt", "a red apple")
    open_options(page)
    page.fill("#field-guidance\\.cutouts", "9999")
    page.evaluate("document.querySelectorAll('#form details').forEach((one) => (one.open = false))")
    page.click("#generate")
    expect(page.locator("[id='field-guidance.cutouts-error']")).to_contain_text("less than or equal to 256")
    expect(page.locator("[id='field-guidance.cutouts']")).to_be_focused()
    assert page.locator("[id='field-guidance.cutouts']").get_attribute("aria-invalid") == "true"
    page.fill("#field-guidance\\.cutouts", "")
    page.fill("#field-width", "61")
    page.click("#generate")
    expect(page.locator("#field-width-error")).not_to_be_empty()


def test_the_form_survives_a_reload(page: Page) -> None:
    page.goto("/")
    page.fill("#prompt", "half a thought")
    page.uncheck("#guidance")
    page.click("#options > summary")
    page.fill("#field-steps", "9")
    page.reload()
    page.click("#options > summary")
    expect(page.locator("#prompt")).to_have_value("half a thought")
    expect(page.locator("#field-steps")).to_have_value("9")
    expect(page.locator("#guidance")).not_to_be_checked()


def test_the_page_of_a_job_shows_and_repeats_it(
    page: Page, live: httpx.Client, ask: Callable[..., str], worker: PlayedWorker
) -> None:
    job_id = ask(prompt=AWKWARD, seed=7, num_images=2, guidance={"cutouts": 8})
    worker.succeed(job_id)
    page.goto(f"/#/jobs/{job_id}")
    expect(page.locator(".results img")).to_have_count(2)
    expect(page.locator(".results figcaption").first).to_contain_text("seed 7 · 64 × 64 · CLIP 0.250")
    assert page.title().startswith("✓ it's")
    command = page.locator(".code pre").first.inner_text()
    answer = subprocess.run(["sh", "-c", command], capture_output=True, check=True, timeout=60).stdout
    asked = live.get(f"/v1/jobs/{job_id}").json()["request"]
    assert json.loads(answer)["request"] == asked
    for source in page.evaluate(
        "[...document.querySelectorAll('.code pre')].slice(1, 3).map((code) => code.textContent)"
    ):
        compile(source, "snippet", "exec")
    page.get_by_role("button", name="New variation").click()
    expect(page.locator(".badge")).to_have_text(re.compile("queued"))
    newest = live.get("/v1/jobs").json()["data"][0]["request"]
    assert newest["seed"] != 7
    assert {**newest, "seed": 7} == asked
    page.goto(f"/#/jobs/{job_id}")
    page.get_by_role("button", name="Vary slightly: picture 2 of").click()
    expect(page.locator(".badge")).to_have_text(re.compile("queued"))
    varied = live.get("/v1/jobs").json()["data"][0]["request"]
    assert (varied["seed"], varied["num_images"], varied["variation"]["strength"]) == (8, 4, 0.1)
    page.goto(f"/#/jobs/{job_id}")
    page.get_by_text("What the scores mean").click()
    expect(page.locator(".scores-help")).to_contain_text("as pocket-m sees it")
    page.get_by_role("button", name="Edit in the form").click()
    expect(page.locator("#prompt")).to_have_value(AWKWARD)
    expect(page.locator("[id='field-guidance.cutouts']")).to_have_value("8")


def test_the_page_of_a_job_shows_no_empty_parts_before_the_job_has_come(
    page: Page, ask: Callable[..., str]
) -> None:
    job_id = ask()
    held: list[Route] = []
    comes = threading.Event()

    def hold(route: Route) -> None:
        if comes.is_set():
            route.continue_()
        else:
            held.append(route)

    page.route(f"**/v1/jobs/{job_id}", hold)
    page.goto(f"/#/jobs/{job_id}")
    expect(page.locator(".job-page h2")).to_have_text("Job")
    expect(page.locator(".job-page .badge").first).to_be_hidden()
    expect(page.locator(".details-of")).to_be_hidden()
    comes.set()
    for route in held:
        route.continue_()
    expect(page.locator(".details-of")).to_be_visible()
    expect(page.locator(".job-page .badge").first).to_have_text("queued, next")


def test_a_picture_is_enlarged_by_whole_factors_and_leads_to_its_neighbours(
    page: Page, ask: Callable[..., str], worker: PlayedWorker
) -> None:
    job_id = ask(seed=7, num_images=2)
    worker.succeed(job_id)
    page.goto(f"/#/jobs/{job_id}")
    page.get_by_alt_text("Picture 2 of 2").click()
    dialog = page.get_by_role("dialog", name="Picture")
    expect(dialog).to_contain_text("2 of 2 · seed 8 · 64 × 64")
    box = dialog.get_by_role("img").bounding_box()
    assert box is not None
    assert (box["width"], box["height"]) == (768, 768)  # 12 times 64, of the 770 pixels that there are
    page.keyboard.press("ArrowRight")
    expect(dialog).to_contain_text("1 of 2 · seed 7")
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.locator(".results figure > a").nth(1)).to_be_focused()


def test_the_candidates_of_a_choice_are_ranked_while_they_come(
    page: Page, live: httpx.Client, ask: Callable[..., str], worker: PlayedWorker
) -> None:
    job_id = ask(seed=7, select={"candidates": 3, "keep": 1})
    lease = worker.claim(job_id)
    made = [
        image.model_copy(update={"clip_score": clip_score, "aesthetic_score": 5.5})
        for image, clip_score in zip(worker.store(lease), (0.1, 0.3, 0.2), strict=True)
    ]
    page.goto(f"/#/jobs/{job_id}")
    lines = page.locator(".candidates li")
    expect(page.locator(".badge")).to_contain_text("running")
    expect(page.locator(".candidates")).to_be_hidden()
    for image in made[:2]:
        worker.leases.show(lease, image)
    expect(lines).to_have_count(2)
    expect(lines.first).to_contain_text("seed 8 · CLIP 0.300 · aesthetic 5.50 · score 1.00")
    expect(lines.locator("a")).to_have_count(2)
    worker.leases.show(lease, made[2])
    expect(lines).to_have_count(3)
    worker.leases.succeed(lease, (made[1],))
    expect(lines.first).to_contain_text(re.compile("seed 8 .* kept"))
    expect(lines.locator("a")).to_have_count(1)  # the others are deleted
    expect(page.locator(".results figcaption")).to_contain_text("CLIP 0.300 · aesthetic 5.50")
    expect(page.get_by_alt_text("Picture 1 of 1")).to_be_visible()
    assert live.get(lines.locator("a").get_attribute("href") or "").status_code == 200
    assert violations(page) == []
    assert overflow_px(page) <= 0


def test_a_job_that_failed_says_why_and_what_to_do(
    page: Page, ask: Callable[..., str], worker: PlayedWorker
) -> None:
    class TooLargeError(LodestarError):
        type = "out_of_memory"

    job_id = ask()
    worker.fail(job_id, TooLargeError("the batch of 1 does not fit"))
    page.goto(f"/#/jobs/{job_id}")
    expect(page.locator(".reason")).to_contain_text("The batch of 1 does not fit out_of_memory")
    expect(page.locator(".reason")).to_contain_text("smaller size")
    page.goto("/#/jobs/nothing")
    expect(page.locator("#page")).to_contain_text("There is no such job")


def test_guided_and_unguided_lie_over_each_other(
    page: Page, live: httpx.Client, ask: Callable[..., str], worker: PlayedWorker
) -> None:
    guided = ask(seed=7, guidance={})
    worker.succeed(guided)
    page.goto(f"/#/jobs/{guided}")
    page.get_by_role("button", name="Compare with unguided").click()
    expect(page.locator(".compare")).to_be_visible()
    other = live.get("/v1/jobs").json()["data"][0]
    assert (other["request"]["seed"], other["request"]["guidance"]) == (7, None)
    assert page.url.endswith(f"#/compare/{other['id']}/{guided}")
    worker.succeed(other["id"])
    expect(page.locator(".compare img")).to_have_count(2)
    page.locator(".compare input").focus()
    page.keyboard.press("Home")
    assert page.locator(".compare").evaluate("node => node.style.getPropertyValue('--share')") == "0%"
    page.go_back()
    page.get_by_role("button", name="Compare with unguided").click()
    expect(page.locator(".compare img")).to_have_count(2)
    assert len(live.get("/v1/jobs").json()["data"]) == 2


def test_the_page_is_used_by_keyboard(page: Page, ask: Callable[..., str]) -> None:
    ask(prompt="the only one")
    page.goto("/")
    expect(page.locator("#jobs > li")).to_have_count(1)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Gallery")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("g")
    expect(page.locator("#page h2", has_text="Gallery")).to_be_visible()
    page.keyboard.press("n")
    expect(page.locator("#prompt")).to_be_focused()
    page.keyboard.type("a wing, not a page")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#jobs > li .prompt-text").first).to_have_text("a wing, not a page")


def test_a_key_pressed_in_the_moment_that_the_list_of_keys_closes_is_heard(page: Page) -> None:
    page.goto("/")
    expect(page.locator("#prompt")).to_be_visible()
    page.keyboard.press("?")
    page.locator("#keys-close").focus()
    press = """() => {
        const inside = document.activeElement;
        document.getElementById("keys").close();
        inside.dispatchEvent(new KeyboardEvent("keydown", { key: "g", bubbles: true }));
    }"""
    page.evaluate(press)
    expect(page.locator("#page h2", has_text="Gallery")).to_be_visible()


def test_a_filter_is_in_the_address_and_survives_going_back(
    page: Page, ask: Callable[..., str], worker: PlayedWorker
) -> None:
    worker.succeed(ask(prompt="done"))
    ask(prompt="waiting")
    page.goto("/")
    expect(page.locator("#jobs > li")).to_have_count(2)
    page.get_by_role("button", name="succeeded").click()
    expect(page.locator("#jobs > li .prompt-text")).to_have_text(["done"])
    page.locator("#jobs .prompt-text a").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#page h2").first).to_be_focused()
    page.go_back()
    expect(page.locator("#jobs > li .prompt-text")).to_have_text(["done"])
    page.go_back()
    expect(page.locator("#jobs > li")).to_have_count(2)
    page.get_by_role("button", name="failed").click()
    expect(page.locator("#empty")).to_contain_text("No failed jobs")


def test_all_jobs_of_a_status_are_canceled_in_two_clicks_and_run_again(
    page: Page, redis: Redis, catalog: Catalog, live: httpx.Client
) -> None:
    queue = JobQueue(redis, max_queued=500)
    for number in range(201):  # more than one call takes
        queue.submit(resolve(GenerateRequest(prompt=f"job {number}"), catalog))
    page.goto("/?status=queued")
    cancel = page.locator(".bulk").get_by_role("button")
    expect(cancel).to_have_text("Cancel all 201")
    cancel.click()
    expect(cancel).to_have_text("Cancel 201 queued jobs: sure?")
    assert live.get("/v1/queue").json()["jobs"]["queued"] == 201
    cancel.click()
    expect(page.locator(".bulk [role=status]")).to_have_text("201 jobs canceled.")
    expect(page.locator("#empty")).to_contain_text("No queued jobs")
    assert (
        live.get("/v1/queue").json()["jobs"] | {"canceled": 201, "queued": 0}
        == live.get("/v1/queue").json()["jobs"]
    )
    page.get_by_role("button", name="canceled 201").click()
    for word in ("Delete all 201", "Delete 201 canceled jobs: sure?"):
        page.get_by_role("button", name=word).click()
    expect(page.locator(".bulk [role=status]")).to_have_text("201 jobs deleted.")
    assert sum(live.get("/v1/queue").json()["jobs"].values()) == 0


def test_hundreds_of_jobs_come_in_pages_and_nothing_moves_under_who_reads(
    page: Page, redis: Redis, catalog: Catalog, worker: PlayedWorker
) -> None:
    queue = JobQueue(redis, max_queued=5000)
    ids = [
        queue.submit(resolve(GenerateRequest(prompt=f"job {number}"), catalog)).job.id
        for number in range(200)
    ]
    worker.report(worker.claim(ids[0]), step=1, steps=25)  # the oldest: on the last page, were it not on top
    page.goto("/")
    expect(page.locator("#jobs > li")).to_have_count(51)
    expect(page.locator("#jobs > li .prompt-text").first).to_have_text("job 0")
    for shown in (101, 151):
        page.click("#more")
        expect(page.locator("#jobs > li")).to_have_count(shown)
    page.mouse.wheel(0, 3000)
    while page.evaluate("scrollY") < 2000:
        page.wait_for_timeout(50)
    page.wait_for_function(
        "() => { const was = window.at; window.at = scrollY; return was === window.at }", polling=200
    )  # until the wheel has stopped
    page.evaluate(
        "window.read = [...document.querySelectorAll('#jobs > li')]"
        ".find((row) => row.getBoundingClientRect().bottom > 450)"
    )
    before = page.evaluate("read.getBoundingClientRect().top")
    queue.submit(resolve(GenerateRequest(prompt="a newcomer"), catalog))
    expect(page.locator("#news")).to_have_text("Show 1 new job")
    assert page.evaluate("read.isConnected && read.getBoundingClientRect().top") == pytest.approx(
        before, abs=1
    )
    page.click("#news")
    expect(page.locator("#jobs > li .prompt-text").nth(1)).to_have_text("a newcomer")
    prompts = page.locator("#jobs > li .prompt-text").all_text_contents()
    assert len(set(prompts)) == len(prompts) == 152


def test_what_guidance_did_is_drawn_step_by_step(
    page: Page, ask: Callable[..., str], worker: PlayedWorker
) -> None:
    job_id = ask(guidance={"trace": True})
    lease = worker.claim(job_id)
    losses = [0.9, 0.7, None, 0.4, 0.5]
    trace = tuple(
        GuidedStep(step=step, loss=loss, losses=(loss,), gradient_rms=0.01 * step, skipped=loss is None)
        for step, loss in enumerate(losses)
    )
    worker.leases.succeed(
        lease, tuple(image.model_copy(update={"trace": trace}) for image in worker.store(lease))
    )
    page.goto(f"/#/jobs/{job_id}")
    expect(page.locator(".trace figcaption")).to_have_text("Guidance over 5 steps, 1 of them skipped · CSV")
    loss, gradient = page.locator(".curve").all()
    said = "loss: from 0.9 to 0.5, lowest 0.4, highest 0.9. Arrow keys read it step by step."
    assert loss.get_attribute("aria-label") == said
    read = page.locator(".read-out").first
    expect(read).to_have_text("guided from step 1 to 5 of 20")
    loss.focus()
    for key, words in (
        ("End", "step 5: 0.5"),
        ("ArrowLeft", "step 4: 0.4"),
        ("ArrowLeft", "step 3: skipped"),
    ):
        page.keyboard.press(key)
        expect(read).to_have_text(words)
    loss.hover(position={"x": 60, "y": 30})
    expect(read).to_have_text("step 1: 0.9")
    assert loss.locator("text").all_text_contents()[-1] == "step"
    assert violations(page) == []
    assert loss.locator("polyline").count() == 2  # with a gap at the step that was skipped
    assert gradient.locator("polyline").count() == 1


def test_workers_tell_how_busy_and_how_full_they_are(
    page: Page, redis: Redis, ask: Callable[..., str]
) -> None:
    job_id = ask()
    announce(redis, job_id)
    page.goto("/#/workers")
    card = page.locator("article", has_text="played")
    for words in (
        "1 of 2 slots taken",
        "Busy 75 % of the last minute",
        "1.0 of 8.0 GiB of memory",
        "pocket",
    ):
        expect(card).to_contain_text(words)
    gauges = card.locator("meter")
    expect(gauges).to_have_count(3)
    # All at once: the page may draw its workers anew in between.
    shares = gauges.evaluate_all(
        "(all) => Object.fromEntries(all.map((one) => [one.getAttribute('aria-label'), one.value / one.max]))"
    )
    assert shares == {"Slots": 0.5, "Busy": 0.75, "Memory": 0.125}
    drawn = Image.open(io.BytesIO(gauges.nth(1).screenshot())).convert("RGB")
    down = [drawn.getpixel((drawn.width // 2, y)) for y in range(1, drawn.height - 1)]
    assert len(set(down)) == 1  # what is filled is as high as the gauge
    assert down[0] != drawn.getpixel((drawn.width * 9 // 10, drawn.height // 2))
    card.get_by_role("link").click()
    expect(page.locator("#page h2", has_text="a red apple")).to_be_visible()


def test_the_first_load_is_small_and_all_of_it_from_here(page: Page, ask: Callable[..., str]) -> None:
    ask()
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer))
    page.goto("/")
    expect(page.locator("#jobs > li")).to_have_count(1)
    expect(page.locator("#field-steps")).to_be_attached()
    # The stream of events does not end, so that its size is not known.
    loaded = [answer for answer in answers if "/v1/events" not in answer.url]
    sizes = [(answer.url, answer.request.sizes()["responseBodySize"]) for answer in loaded]
    assert any(url.endswith("/openapi.json") and size > 0 for url, size in sizes)
    assert sum(size for _, size in sizes) < FIRST_LOAD_BYTES, sizes
    assert {urlsplit(answer.url).netloc for answer in loaded} == {urlsplit(page.url).netloc}


@pytest.mark.slow("axe looks at every state of the page, once for each scheme and width")
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_no_state_of_the_page_fails_axe(
    live: httpx.Client,
    open_tab: Callable[..., Page],
    ask: Callable[..., str],
    redis: Redis,
    worker: PlayedWorker,
    scheme: str,
    width: int,
) -> None:
    page = open_tab(live.base_url, width, color_scheme=scheme)
    found: dict[str, list[str]] = {}

    def check(state: str) -> None:
        page.wait_for_function(
            "() => !document.getAnimations().some((one) => one instanceof CSSTransition)"
        )  # of colours
        found[state] = violations(page)
        assert overflow_px(page) <= 0, state

    page.goto("/")
    expect(page.locator("#empty")).to_be_visible()
    check("empty")
    plain, guided, broken, runs = ask(seed=1), ask(seed=1, guidance={}), ask(), ask(prompt="long " * 60)
    worker.succeed(plain)
    worker.succeed(guided)
    worker.fail(broken, LodestarError("it broke"))
    lease = worker.claim(runs)
    worker.report(lease, step=5, steps=20)
    ask(prompt="it waits")
    expect(page.locator("#jobs > li")).to_have_count(5)
    open_options(page)
    page.fill("#field-steps", "999")
    page.fill("#prompt", "too much")
    page.click("#generate")
    expect(page.locator("#field-steps-error")).not_to_be_empty()
    check("list and form with an error")
    for state, address, awaited in (
        ("running", f"/#/jobs/{runs}", "#page progress"),
        ("finished", f"/#/jobs/{guided}", ".results img"),
        ("failed", f"/#/jobs/{broken}", "#page .reason"),
        ("missing", "/#/jobs/nothing", "#page .empty"),
        ("comparison", f"/#/compare/{plain}/{guided}", ".compare img"),
        ("gallery", "/#/gallery", ".gallery img"),
        ("workers", "/#/workers", "meter"),
    ):
        announce(redis, runs)  # or it is forgotten, and its job given to another
        worker.report(lease, step=5, steps=20)
        page.goto(address)
        expect(page.locator(awaited).first).to_be_visible()
        check(state)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    check("keys")
    page.keyboard.press("Escape")
    page.route("**/v1/**", lambda route: route.abort())
    page.goto("/#/gallery")
    expect(page.locator("#banner")).to_be_visible()
    check("disconnected")
    assert {state: wrong for state, wrong in found.items() if wrong} == {}
