"""Adapters, controls and image prompts in the form, in a real browser."""

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from app.api.settings import ApiSettings
from tests.app.dashboard.filling import FILE, open_options, submitted
from tests.app.dashboard.test_form import field, with_options
from tests.browser import overflow_px, violations

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def settings(settings: ApiSettings, tmp_path: Path) -> ApiSettings:
    """An API whose catalog has adapters and a ControlNet; only a worker would read their files."""
    text, folder = settings.models_file.read_text(), settings.models_file.parent.absolute()
    added = f"""
[adapters.ink]
path = "{tmp_path / "ink.safetensors"}"
description = "Drawings in ink."
triggers = ["ink drawing", "hatching"]
weight = 0.8

[adapters.large]
path = "{tmp_path / "large.safetensors"}"
base = ["big"]

[controls.edges]
path = "{tmp_path / "edges"}"
preprocess = "canny"

[models.xl]
hub = "example/xl"
revision = "0123456789012345678901234567890123456789"
family = "sdxl"
clip = "pocket-s"
width = 1024
height = 1024
min_px = 512
max_px = 2048

[models.fine]
hub = "example/fine"
revision = "0123456789012345678901234567890123456789"
family = "sdxl-refiner"
clip = "pocket-s"
width = 1024
height = 1024
min_px = 512
max_px = 2048

[image_prompts.look]
path = "{tmp_path / "look.safetensors"}"
clip = "pocket-s"
weight = 0.9
"""
    file = tmp_path / "catalog.toml"
    file.write_text(text.replace('"models/', f'"{folder}/models/') + added)
    return settings.model_copy(update={"models_file": file})


def test_sizes_and_a_refiner_are_offered_with_models_that_take_them(page: Page) -> None:
    with_options(page)
    expect(page.locator(field("sizes"))).to_be_hidden()
    expect(page.locator(field("refiner"))).to_be_hidden()
    page.select_option(field("model"), label="xl")
    page.check(field("refiner"))
    page.select_option(field("refiner.model"), label="fine")
    page.check(field("sizes"))
    original = page.get_by_role("group", name="Original")
    original.get_by_label("Width").fill("640")
    page.get_by_role("group", name="Crop").get_by_label("Top").fill("8")
    page.click("#generate")
    expect(page.locator("[id='field-sizes.original-error']")).to_contain_text("sizes.original.height: ")
    expect(original.get_by_label("Width")).to_be_focused()
    original.get_by_label("Height").fill("480")
    request = submitted(page)
    assert request["sizes"] == {"original": {"width": 640, "height": 480}, "crop": {"top": 8}}
    assert request["refiner"] == {"model": "fine"}
    assert violations(page) == []
    page.reload()  # the draft is there again
    open_options(page)
    expect(original.get_by_label("Height")).to_have_value("480")


def test_adapters_are_chosen_with_their_weights_and_their_words_put_into_the_prompt(
    page: Page, live: httpx.Client
) -> None:
    with_options(page)
    page.select_option(field("adapters"), "ink")
    entry = page.get_by_role("group", name="ink", exact=True)
    weight = entry.get_by_label("Weight", exact=True)
    expect(weight).to_be_focused()
    expect(weight).to_have_attribute("placeholder", "0.8")
    weight.fill("0.5")
    entry.get_by_role("button", name="Put hatching into the prompt").click()
    expect(page.locator("#prompt")).to_have_value("a red apple, hatching")
    entry.get_by_text("More", exact=True).click()
    entry.get_by_label("Start", exact=True).fill("0.2")
    expect(page.locator(f"{field('adapters')} option[value=large]")).to_be_disabled()
    assert violations(page) == []
    page.reload()
    open_options(page)
    expect(entry.get_by_label("Weight", exact=True)).to_have_value("0.5")
    sent = submitted(page)
    assert sent["adapters"] == [{"name": "ink", "weight": 0.5, "start": 0.2}]
    (job,) = live.get("/v1/jobs").json()["data"]
    assert job["request"]["adapters"][0]["text_weight"] == 0.5
    entry.get_by_label("Weight", exact=True).fill("9")
    page.click("#generate")
    expect(page.locator(field("adapters-error"))).to_contain_text("adapters.0.weight")
    page.select_option("#field-model", label="big")
    page.select_option(field("adapters"), "large")
    page.select_option("#field-model", label="pocket")
    expect(page.get_by_role("group", name="large", exact=True)).to_contain_text(
        "large is made for big, not for pocket."
    )
    page.get_by_role("button", name="Remove large").click()
    page.get_by_role("button", name="Remove ink").click()
    expect(page.locator(field("adapters"))).to_be_focused()
    assert "adapters" not in submitted(page)


def test_a_control_takes_a_picture_and_says_what_makes_its_map(page: Page, live: httpx.Client) -> None:
    with_options(page)
    page.select_option(field("controls"), "edges")
    entry = page.get_by_role("group", name="edges", exact=True)
    entry.get_by_role("button", name="Show the map").click()
    expect(entry).to_contain_text("Choose a picture first.")
    page.click("#generate")
    expect(page.locator(field("controls-error"))).to_have_text("Choose a picture.")
    entry.locator("input[type=file]").set_input_files(FILE)
    expect(entry.locator("img")).to_be_visible()
    expect(entry.get_by_label("Preprocess").locator("option").first).to_have_text("auto (canny)")
    entry.get_by_role("button", name="Show the map").click()
    shown = entry.get_by_role("img", name="The map that the control reads")
    expect(shown).to_be_visible()
    assert shown.evaluate("({ width, height }) => [width, height]") == [64, 64]
    entry.get_by_label("Preprocess").select_option("invert")
    entry.get_by_label("Weight", exact=True).fill("0.7")
    entry.get_by_text("More", exact=True).click()
    entry.get_by_label("End", exact=True).fill("0.6")
    entry.get_by_label("Mode", exact=True).select_option("prompt")
    assert violations(page) == []
    assert overflow_px(page) <= 0
    (control,) = submitted(page)["controls"]
    assert control.pop("image").startswith("sha256:")
    assert control == {"model": "edges", "preprocess": "invert", "weight": 0.7, "end": 0.6, "mode": "prompt"}
    page.locator("#jobs .prompt-text a").first.click()
    page.get_by_role("button", name="Edit in the form").click()
    expect(entry.get_by_label("Weight", exact=True)).to_have_value("0.7")
    expect(entry.locator("img")).to_be_visible()


def test_pictures_say_what_to_draw_with_a_weight_each_and_need_no_prompt(
    page: Page, live: httpx.Client
) -> None:
    with_options(page)
    page.fill("#prompt", "")
    page.click("#generate")
    expect(page.locator("#prompt-error")).to_have_text("Say what the picture should show.")
    for _ in range(2):
        page.select_option(field("image_prompts"), "look")
    first, second = page.get_by_role("group", name="look", exact=True).all()
    page.click("#generate")
    expect(page.locator(field("image_prompts-error"))).to_have_text("Choose a picture.")
    for entry in (first, second):
        entry.locator("input[type=file]").set_input_files(FILE)
        expect(entry.locator("img")).to_be_visible()
    expect(first.get_by_label("Weight", exact=True)).to_have_attribute("placeholder", "0.9")
    second.get_by_label("Weight", exact=True).fill("0.4")
    assert violations(page) == []
    assert overflow_px(page) <= 0
    page.uncheck("#guidance")  # which would have no target
    sent = submitted(page)
    assert sent["prompt"] == ""
    pictures = sent["image_prompts"]
    assert pictures[0].pop("image") == pictures[1].pop("image")
    assert pictures == [{"adapter": "look"}, {"adapter": "look", "weight": 0.4}]
    (job,) = live.get("/v1/jobs").json()["data"]
    assert [each["weight"] for each in job["request"]["image_prompts"]] == [0.9, 0.4]
    page.locator("#jobs .prompt-text a").first.click()
    page.get_by_role("button", name="Edit in the form").click()
    expect(second.get_by_label("Weight", exact=True)).to_have_value("0.4")
    expect(second.locator("img")).to_be_visible()
