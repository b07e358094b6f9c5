"""A mask that is painted in the dashboard, down to the bytes of the picture that comes of it."""

import io
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.browser import PATIENCE_MS, running_browser
from tests.integration.stack import Stack

STEPS = 6


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for this test."""
    with running_browser() as browser:
        yield browser


def pixels(stack: Stack, path: str) -> NDArray[np.uint8]:
    """A picture of the service."""
    answer = httpx.get(f"{stack.url}{path}").raise_for_status()
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))


def generate(page: Page, prompt: str) -> str:
    """Submit the form, and wait for the job's pictures; its id."""
    page.fill("#prompt", prompt)
    with page.expect_response(
        lambda answer: answer.request.method == "POST" and "/v1/jobs" in answer.url
    ) as sent:
        page.get_by_role("button", name="Generate", exact=True).click()
    job_id: str = sent.value.json()["id"]
    page.goto(f"/#/jobs/{job_id}")
    expect(page.locator(".results img")).to_be_visible(timeout=5 * PATIENCE_MS)
    return job_id


def paint_a_stroke(page: Page) -> None:
    """Across the upper half of the picture, with the mouse."""
    page.get_by_role("button", name="Paint a mask").click()
    canvas = page.locator(".canvas canvas")
    expect(canvas).to_be_focused()
    box = canvas.bounding_box()
    assert box is not None
    height = box["y"] + box["height"] * 0.3
    page.mouse.move(box["x"] + box["width"] * 0.2, height)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, height, steps=10)
    page.mouse.up()
    page.get_by_role("button", name="Use this mask").click()
    expect(page.locator(".thumb canvas")).to_be_visible()


@pytest.mark.parametrize(("guided", "model"), [(False, "pocket"), (True, "pocket-inpaint")])
def test_outside_the_painted_mask_every_byte_is_the_inputs(
    stack: Stack, browser: Browser, guided: bool, model: str
) -> None:
    page = browser.new_page(base_url=stack.url)
    page.goto("/")
    page.set_checked("#guidance", guided)
    page.click("#options > summary")
    page.fill("#field-steps", str(STEPS))
    before = generate(page, "noto red apple on a light blue background")
    page.get_by_role("button", name="Use as input").click()
    page.select_option("#field-model", label=model)
    paint_a_stroke(page)
    after = generate(page, "noto sunflower on a green background")
    request = httpx.get(f"{stack.url}/v1/jobs/{after}").json()["request"]
    mask = pixels(stack, f"/v1/jobs/{after}/inputs/{request['mask']['image']}")[..., 0] == 255
    old, new = (pixels(stack, f"/v1/jobs/{job_id}/images/0") for job_id in (before, after))
    assert 0.05 < mask.mean() < 0.5
    assert mask[: len(mask) // 2].sum() == mask.sum()  # in the upper half, where the mouse was
    assert np.array_equal(new[~mask], old[~mask])
    assert (new[mask] != old[mask]).any(axis=-1).mean() > 0.9
    assert (request["guidance"] is not None) == guided
    assert request["model"] == model
    expect(page.locator(".before-after .compare img")).to_have_count(2)
    page.close()
