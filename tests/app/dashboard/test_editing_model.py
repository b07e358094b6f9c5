"""The form for a model that edits, in a real browser: its picture is the one to edit."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app.api.settings import ApiSettings
from tests.app.dashboard.filling import CHOOSE, FILE, open_options, submitted
from tests.app.editor import with_editor

pytestmark = pytest.mark.timeout(600)

STRENGTH = "[id='field-init.strength']"
SCALE = "[id='field-edit.image_cfg_scale']"


@pytest.fixture
def settings(settings: ApiSettings, tmp_path: Path) -> ApiSettings:
    return with_editor(settings, tmp_path)


def test_a_picture_is_edited_by_a_model_that_edits_and_started_from_by_another(page: Page) -> None:
    page.goto("/")
    page.fill("#prompt", "make the background blue")
    open_options(page)
    page.select_option("#field-model", "editor")
    hint = page.locator("[id='field-init.image-hint']")
    expect(hint).to_have_text("to edit, or drop or paste one here.")
    page.click("#generate")
    error = page.locator("[id='field-init.image-error']")
    expect(error).to_contain_text("edits a picture as the prompt says")
    page.set_input_files(CHOOSE, FILE)
    expect(page.locator(".thumb img")).to_be_visible()
    expect(error).to_have_text("")
    expect(page.locator(STRENGTH)).to_be_hidden()
    expect(page.locator(SCALE)).to_have_attribute("placeholder", "1.7")
    page.fill(SCALE, "2")
    request = submitted(page)
    assert "init" not in request
    assert request["edit"].keys() == {"image", "image_cfg_scale"}
    assert (request["model"], request["edit"]["image_cfg_scale"]) == ("editor", 2)

    page.reload()  # the draft is there again
    expect(page.locator(".thumb img")).to_be_visible()
    assert submitted(page) == request

    open_options(page)
    page.select_option("#field-model", "pocket")
    expect(page.locator(STRENGTH)).to_be_visible()
    other = submitted(page)
    assert "edit" not in other
    assert other["init"]["image"] == request["edit"]["image"]
