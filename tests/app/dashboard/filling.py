"""What tests do with the form of the dashboard."""

import json
from typing import Any

from playwright.sync_api import FilePayload, Page, expect

from tests.app.played_worker import picture

FILE = FilePayload(name="pear.png", mimeType="image/png", buffer=picture(96, 64, tint=80))
CHOOSE = "[id='field-init.image']"


def submitted(page: Page) -> dict[str, Any]:
    """What the form sends."""
    with page.expect_response(lambda answer: answer.url.endswith("/v1/jobs")) as sent:
        page.click("#generate")
    assert sent.value.status == 202, sent.value.text()
    request: dict[str, Any] = json.loads(sent.value.request.post_data or "")
    return request


def open_options(page: Page) -> None:
    """Unfold all options."""
    page.click("#options > summary")
    expect(page.locator("#field-steps")).to_be_visible()
    page.evaluate("document.querySelectorAll('#fields details').forEach((one) => (one.open = true))")


def with_picture(page: Page) -> None:
    """Open the form, and choose a picture."""
    page.goto("/")
    page.fill("#prompt", "a red apple")
    page.set_input_files(CHOOSE, FILE)
    expect(page.locator(".thumb img")).to_be_visible()
