"""The form of the dashboard in a real browser: its controls, its help, and where it stands."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from app.api.settings import ApiSettings
from tests.app.conftest import serving
from tests.app.dashboard.conftest import described
from tests.app.dashboard.filling import CHOOSE, FILE, open_options, submitted, with_picture
from tests.browser import overflow_px, violations

pytestmark = pytest.mark.timeout(600)
ROOT = Path(__file__).parents[3]


def field(path: str) -> str:
    return f"[id='field-{path}']"


def with_options(page: Page, prompt: str = "a red apple") -> None:
    """Open the form and all options."""
    page.goto("/")
    page.fill("#prompt", prompt)
    open_options(page)


def test_what_is_painted_around_a_picture_is_set_beside_it(page: Page, live: httpx.Client) -> None:
    with_picture(page)
    page.get_by_text("Paint around it").click()
    page.get_by_label("Right").fill("32")
    expect(page.locator(".around")).to_contain_text("96 × 64 becomes 128 × 64 pixels")
    frame, seen = (page.locator(part).bounding_box() for part in (".thumb", ".thumb img"))
    assert frame is not None
    assert seen is not None
    assert seen["width"] / frame["width"] == pytest.approx(0.75, abs=0.02)
    open_options(page)
    page.fill(field("mask.blur"), "3")  # of what is added
    assert violations(page) == []
    page.fill(field("mask.blur"), "")
    page.reload()
    expect(page.locator(".around")).to_contain_text("96 × 64 becomes 128 × 64 pixels")
    sent = submitted(page)
    assert (sent["outpaint"], "mask" in sent) == ({"right": 32}, False)
    (job,) = live.get("/v1/jobs").json()["data"]
    assert (job["request"]["width"], job["request"]["height"]) == (128, 64)
    page.get_by_label("Above").fill("5000")
    page.click("#generate")
    expect(page.locator(field("outpaint.up-error"))).to_contain_text("less than or equal to 4096")
    page.set_input_files(CHOOSE, FILE)  # another picture has another room around it
    expect(page.get_by_label("Above")).to_have_value("")
    assert "outpaint" not in submitted(page)


def test_a_second_pass_and_variations_of_the_seed_have_their_controls(page: Page) -> None:
    with_options(page)
    page.get_by_role("checkbox", name="Draw twice, the second time larger").check()
    size = page.locator(field("hires.scale-note"))
    expect(size).to_have_text("First 64 × 64, then 128 × 128 pixels.")
    page.fill(field("hires.scale"), "3")
    expect(size).to_contain_text("more than the 128 that this model can draw")
    page.fill(field("hires.scale"), "1.5")
    expect(size).to_have_text("First 64 × 64, then 96 × 96 pixels.")
    page.select_option(field("hires.upscaler"), label="x4plus-anime")
    page.fill(field("hires.strength"), "0.4")
    expect(page.locator(field("hires.strength-hint"))).to_contain_text("Draws details anew")
    page.fill(field("hires.steps"), "9")
    page.get_by_role("checkbox", name="Variations of the seed").check()
    expect(page.locator(field("variation.strength-hint"))).to_have_text("Nearly the picture of the seed.")
    page.fill(field("variation.seed"), "100")
    assert violations(page) == []
    sent = submitted(page)
    assert sent["hires"] == {"scale": 1.5, "upscaler": "x4plus-anime", "strength": 0.4, "steps": 9}
    assert sent["variation"] == {"seed": 100, "strength": 0.1}


def test_a_choice_says_what_the_model_takes_by_itself_and_offers_what_can_be(page: Page) -> None:
    with_options(page)
    expect(page.locator("#field-schedule option").first).to_have_text("auto (default)")
    karras = page.locator("#field-schedule option", has_text=re.compile("^karras$"))
    expect(karras).to_be_disabled()
    expect(page.locator("#field-schedule-note")).to_have_text("The sampler ddim has this one alone.")
    page.select_option("#field-sampler", label="euler")
    expect(karras).to_be_enabled()
    preset = page.locator(field("guidance.preset"))
    expect(preset.locator("option").first).to_have_text("auto (fast (1.3 × time, +0.033))")
    expect(page.locator("#guidance-hint")).to_contain_text("With fast, a step takes 1.3 times as long.")
    page.select_option(field("guidance.preset"), label="laion (7.5 × time, +0.026)")
    expect(page.locator("#guidance-hint")).to_contain_text("With laion, a step takes 7.5 times as long.")
    expect(page.locator(field("guidance.cutouts"))).to_have_attribute("placeholder", "48")
    page.select_option("#field-model", label="pocket")
    sent = submitted(page)
    assert (sent["model"], sent["guidance"]["preset"]) == ("pocket", "laion")


def test_what_was_sent_is_near_the_button_and_the_button_keeps_the_focus(
    live: httpx.Client, open_tab: Callable[..., Page]
) -> None:
    for width, columns in ((1280, 2), (390, 1)):
        page = open_tab(live.base_url, width)
        with_options(page)
        generate = page.locator("#generate")
        expect(generate).to_be_in_viewport(ratio=1)
        generate.focus()
        page.keyboard.press("Enter")
        expect(page.locator("#accepted")).to_be_in_viewport(ratio=1)
        expect(generate).to_be_focused()
        row = page.locator("#jobs > li").first
        if columns == 1:
            expect(row).not_to_be_in_viewport()
            page.get_by_role("link", name="See it").click()
            expect(page.locator("#jobs-title")).to_be_focused()
        expect(row).to_be_in_viewport()
        assert overflow_px(page) <= 0


def test_an_error_of_an_outage_goes_with_it(page: Page) -> None:
    page.goto("/")
    page.fill("#prompt", "a red apple")
    expect(page.locator("#empty")).to_be_visible()
    page.route("**/v1/**", lambda route: route.abort())
    page.click("#generate")
    expect(page.locator("#form-error")).to_contain_text("could not be reached")
    page.unroute("**/v1/**")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # which asks at once
    expect(page.locator("#form-error")).to_be_empty()
    submitted(page)


def test_what_was_done_before_the_fields_came_stays(page: Page) -> None:
    held: list[Route] = []
    page.route("**/openapi.json", lambda route: held.append(route))
    page.goto("/")
    page.click("#generate")
    expect(page.locator("#prompt-error")).to_contain_text("Say what")
    page.uncheck("#guidance")
    held[0].continue_()
    page.click("#options > summary")
    expect(page.locator("#field-width")).to_be_visible()
    expect(page.locator("#prompt-error")).to_contain_text("Say what")
    expect(page.locator("#guidance")).not_to_be_checked()


@pytest.fixture
def knowing(settings: ApiSettings, open_tab: Callable[..., Page]) -> Iterator[Page]:
    """A tab on the API with the models of this repository, one of which says what it knows."""
    own = settings.model_copy(update={"models_file": ROOT / "models.toml"})
    with serving(described(own), timeout_graceful_shutdown=0) as url:
        page = open_tab(url)
        page.goto("/")
        yield page
        page.goto("about:blank")


def test_a_newcomer_gets_examples_and_the_names_that_the_model_knows(knowing: Page) -> None:
    page, prompt = knowing, knowing.locator("#prompt")
    chips, note = page.locator(".chip"), page.locator("#vocabulary [role=status]")
    expect(chips).to_have_count(4)
    chips.first.click()
    expect(prompt).to_have_value("noto red apple on a light blue background")
    expect(prompt).to_be_focused()
    prompt.fill("")
    prompt.press_sequentially("noto ROC")
    expect(chips).to_have_text(["rocket"])
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(prompt).to_have_value("noto rocket")
    page.keyboard.press("Control+z")
    expect(prompt).to_have_value("noto ROC")
    prompt.fill("two Rockets, please")
    expect(note).to_be_empty()
    prompt.fill("an apple")
    expect(note).to_contain_text("pocket knows 238 names, and none is in this prompt")
    expect(chips).to_have_text(["green apple", "red apple"])
    prompt.fill("the tax office")
    expect(page.get_by_role("group", name="Examples, in place of this").locator(".chip")).to_have_count(4)
    page.get_by_text("What it knows").click()
    expect(page.locator(".names")).to_contain_text("abacus, accordion")
    assert violations(page) == []
    assert overflow_px(page) <= 0


def test_scores_are_weighed_and_a_shape_is_chosen_by_keyboard(page: Page) -> None:
    page.goto("/")
    page.fill("#prompt", "a red apple")
    open_options(page)
    page.get_by_role("checkbox", name="Best of n").check()
    page.fill("[id='field-select.candidates']", "4")
    page.fill("[id='field-select.keep']", "1")
    clip, aesthetic = (page.locator(f"[id='field-select.by.{name}']") for name in ("clip", "aesthetic"))
    clip.focus()
    page.keyboard.press("Home")
    page.click("#generate")
    expect(page.locator("[id='field-select.by-error']")).to_have_text("At least one weight must not be 0.")
    expect(clip).to_be_focused()
    aesthetic.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("[id='field-select.by-hint']")).to_contain_text("The most beautiful")
    page.get_by_role("button", name="Landscape").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Landscape")).to_have_attribute("aria-pressed", "true")
    assert violations(page) == []
    page.reload()  # the draft has it
    expect(aesthetic).to_have_value("0.05")
    with page.expect_request(
        lambda request: request.method == "POST" and request.url.endswith("/v1/jobs")
    ) as sent:
        page.click("#generate")
    asked = json.loads(sent.value.post_data or "")
    # The catalog of these tests has no aesthetic score, which is said at the sliders.
    expect(page.locator("[id='field-select.by-error']")).to_contain_text("no CLIP of the catalog")
    assert asked["select"] == {"candidates": 4, "keep": 1, "by": {"clip": 0, "aesthetic": 0.05}}
    assert (asked["width"], "height" in asked) == (96, True)
    page.get_by_role("button", name="Square").click()
    page.click("#reset")
    asked = submitted(page)
    assert "select" not in asked
    assert "width" not in asked
