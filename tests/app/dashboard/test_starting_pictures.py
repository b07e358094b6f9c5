"""Pictures as inputs, in a real browser: they are brought, masked, used again, and submitted with the form."""

import base64
import io
from collections.abc import Callable

import httpx
import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Page, Route, expect

from app.api.settings import ApiSettings
from tests.app.conftest import MakeKey, serving
from tests.app.dashboard.conftest import described
from tests.app.dashboard.filling import CHOOSE, FILE, submitted, with_picture
from tests.app.played_worker import PlayedWorker, picture
from tests.browser import overflow_px, violations

pytestmark = pytest.mark.timeout(600)

STRENGTH = "[id='field-init.strength']"
BRING = """([kind, name, type, data, text]) => {
    const transfer = new DataTransfer();
    if (text) transfer.setData("text/plain", text);
    transfer.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name, { type }));
    const given = kind === "paste" ? { clipboardData: transfer } : { dataTransfer: transfer };
    const Kind = kind === "paste" ? ClipboardEvent : DragEvent;
    document.querySelector("#prompt").dispatchEvent(new Kind(kind, { ...given, bubbles: true, cancelable: true }));
}"""


def bring(page: Page, kind: str, name: str = "pear.png", mime: str = "image/png", text: str = "") -> None:
    """Drop or paste a file, and a text with it."""
    page.evaluate(BRING, [kind, name, mime, base64.b64encode(FILE["buffer"]).decode(), text])


def painted(live: httpx.Client, name: str) -> Image.Image:
    """A mask that was uploaded."""
    return Image.open(io.BytesIO(live.get(f"/v1/uploads/{name}/content").raise_for_status().content))


def open_painter(page: Page, words: str = "Paint a mask") -> None:
    """Open it, and wait until it takes keys."""
    page.get_by_role("button", name=words).click()  # twice: see test_presses.py
    expect(page.locator(".canvas canvas")).to_be_focused()


def share_painted(page: Page) -> float:
    """Of the layer in the painter."""
    share: float = page.locator(".canvas canvas").evaluate(
        """(canvas) => {
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            return data.filter((level, index) => index % 4 === 3 && level).length / (data.length / 4);
        }"""
    )
    return share


@pytest.mark.parametrize("way", ["choose", "drop", "paste"])
def test_a_picture_that_is_brought_starts_the_run(page: Page, live: httpx.Client, way: str) -> None:
    page.goto("/")
    page.fill("#prompt", "a red apple")
    if way == "choose":
        page.set_input_files(CHOOSE, FILE)
    else:
        bring(page, way)
    expect(page.locator(".thumb img")).to_have_attribute("alt", "The picture to start from, 96 × 64 pixels")
    page.fill(STRENGTH, "0.6")
    expect(page.locator(".start .strength")).to_contain_text("Keeps the rough layout")
    sent = submitted(page)
    (upload,) = live.get("/v1/uploads").json()["data"]
    assert sent["init"] == {"image": upload["id"], "strength": 0.6}
    (job,) = live.get("/v1/jobs").json()["data"]
    assert (job["request"]["width"], job["request"]["height"]) != (64, 64)


def test_a_text_that_is_pasted_with_a_picture_of_itself_stays_a_text(page: Page, live: httpx.Client) -> None:
    page.goto("/")
    bring(page, "paste", text="a red apple")
    bring(page, "paste", name="seen.png")  # what comes later comes later
    expect(page.locator(".thumb img")).to_be_visible()
    assert len(live.get("/v1/uploads").json()["data"]) == 1
    assert page.evaluate("performance.getEntriesByName(location.origin + '/v1/uploads').length") == 1


def test_a_picture_can_be_removed_again(page: Page) -> None:
    with_picture(page)
    page.get_by_role("button", name="Remove the picture").click()
    expect(page.locator(".thumb")).to_be_hidden()
    expect(page.locator(CHOOSE)).to_be_focused()
    sent = submitted(page)
    assert "init" not in sent
    assert "mask" not in sent


def test_what_is_no_picture_is_refused_at_its_place(page: Page) -> None:
    page.goto("/")
    error = page.locator("[id='field-init.image-error']")
    bring(page, "drop", "notes.txt", "text/plain")
    expect(error).to_contain_text("notes.txt is not a picture")
    broken = FilePayload(name="broken.png", mimeType="image/png", buffer=b"no PNG")
    page.set_input_files(CHOOSE, broken)
    expect(error).to_contain_text("no PNG, JPEG or WebP file")
    expect(page.locator(".thumb")).to_be_hidden()
    page.set_input_files(CHOOSE, FILE)
    expect(page.locator(".thumb img")).to_be_visible()
    expect(error).to_be_empty()


def test_a_request_does_not_leave_without_the_picture_that_is_on_its_way(page: Page) -> None:
    held: list[Route] = []
    page.route("**/v1/uploads", lambda route: held.append(route))
    page.goto("/")
    page.fill("#prompt", "a red apple")
    page.set_input_files(CHOOSE, FILE)
    expect(page.locator(".choose")).to_contain_text("Sending the picture")
    page.click("#generate")
    expect(page.locator("[id='field-init.image-error']")).to_contain_text("still on its way")
    held[0].continue_()
    expect(page.locator(".thumb img")).to_be_visible()
    assert "image" in submitted(page)["init"]


def test_a_strength_that_runs_no_step_is_said_at_the_slider(page: Page) -> None:
    with_picture(page)
    page.fill(STRENGTH, "0.01")
    page.click("#generate")
    expect(page.locator("[id='field-init.strength-error']")).to_contain_text("step")
    expect(page.locator(STRENGTH)).to_be_focused()


def test_a_mask_is_painted_with_the_mouse_and_sent_white_on_black(page: Page, live: httpx.Client) -> None:
    with_picture(page)
    open_painter(page)
    box = page.locator(".canvas canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=8)
    page.mouse.up()
    expect(page.locator(".painter [role=status]")).to_contain_text("% of the picture is painted")
    page.get_by_role("button", name="Use this mask").click()
    expect(page.get_by_role("button", name="Edit the mask")).to_be_focused()
    expect(page.locator(".thumb canvas")).to_be_visible()
    mask = painted(live, submitted(page)["mask"]["image"])
    assert (mask.size, mask.mode) == ((96, 64), "RGB")
    grey = mask.convert("L")
    assert {level for _, level in grey.getcolors() or []} == {0, 255}
    assert [grey.getpixel(point) for point in ((24, 32), (47, 32), (10, 32), (62, 32), (36, 8))] == [
        255,
        255,
        0,
        0,
        0,
    ]


def test_every_tool_of_the_painter_is_used_by_keyboard(page: Page, live: httpx.Client) -> None:
    with_picture(page)
    page.get_by_role("button", name="Paint a mask").focus()
    page.keyboard.press("Enter")
    canvas = page.locator(".canvas canvas")
    expect(canvas).to_be_focused()
    page.keyboard.press("Space")
    dab = share_painted(page)
    assert 0 < dab < 0.1
    page.keyboard.press("Shift+ArrowRight")
    line = share_painted(page)
    assert line > dab
    page.keyboard.press("Control+z")
    assert share_painted(page) == dab
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("]")
    page.keyboard.press("Space")
    assert share_painted(page) > line
    page.keyboard.press("e")
    expect(page.get_by_role("button", name="Erase")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Space")
    assert share_painted(page) == 0
    for name, share in (("Invert", 1), ("Undo", 0), ("Invert", 1), ("Clear", 0), ("Undo", 1)):
        page.get_by_role("button", name=name).focus()
        page.keyboard.press("Enter")
        assert share_painted(page) == share, name
    page.get_by_role("button", name="Use this mask").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Edit the mask")).to_be_focused()
    assert painted(live, submitted(page)["mask"]["image"]).getextrema() == ((255, 255),) * 3


def test_the_focus_goes_through_the_painter_in_the_order_of_what_is_seen(page: Page) -> None:
    with_picture(page)
    open_painter(page)
    said = []
    for _ in range(9):
        said.append(
            page.evaluate(
                "document.activeElement.ariaLabel || document.activeElement.textContent || document.activeElement.id"
            )
        )
        page.keyboard.press("Tab")
    assert said == [
        "The picture, to paint on",
        "Paint",
        "Erase",
        "brush-size",
        "Undo",
        "Invert",
        "Clear",
        "Cancel",
        "Use this mask",
    ]


def test_one_press_of_escape_loses_no_mask(page: Page) -> None:
    with_picture(page)
    open_painter(page)
    page.keyboard.press("Space")
    page.keyboard.press("Escape")
    expect(page.locator(".painter [role=status]")).to_contain_text("Press Escape again")
    page.keyboard.press("Escape")
    expect(page.locator(".painter")).to_have_count(0)
    expect(page.get_by_role("button", name="Paint a mask")).to_be_focused()
    assert "mask" not in submitted(page)


def test_a_mask_is_edited_further_and_goes_with_its_picture(page: Page) -> None:
    with_picture(page)
    open_painter(page)
    page.keyboard.press("Space")
    dab = share_painted(page)
    page.get_by_role("button", name="Use this mask").click()
    open_painter(page, "Edit the mask")
    assert share_painted(page) == dab
    page.get_by_role("button", name="Clear").click()
    page.get_by_role("button", name="Use this mask").click()
    expect(page.get_by_role("button", name="Paint a mask")).to_be_focused()
    open_painter(page)
    page.keyboard.press("Space")
    page.get_by_role("button", name="Use this mask").click()
    expect(page.get_by_role("button", name="Edit the mask")).to_be_visible()
    other = FilePayload(name="b.png", mimeType="image/png", buffer=picture(64, 64, tint=9))
    page.set_input_files(CHOOSE, other)
    expect(page.locator(".thumb img")).to_have_attribute("alt", "The picture to start from, 64 × 64 pixels")
    assert "mask" not in submitted(page)


def test_pictures_in_the_form_survive_a_reload(page: Page) -> None:
    with_picture(page)
    open_painter(page)
    page.keyboard.press("Space")
    page.get_by_role("button", name="Use this mask").click()
    expect(page.locator(".thumb canvas")).to_be_visible()
    before = submitted(page)
    page.reload()
    expect(page.locator(".thumb canvas")).to_be_visible()
    assert submitted(page) == before


@pytest.mark.parametrize("where", ["/#/gallery", "/#/jobs/{}"])
def test_every_picture_can_be_the_next_input(
    page: Page, live: httpx.Client, ask: Callable[..., str], worker: PlayedWorker, where: str
) -> None:
    job_id = ask(prompt="a green pear", num_images=2)
    worker.succeed(job_id)
    page.goto(where.format(job_id))
    page.get_by_role("button", name="Use as input: picture 2 of a green pear").click()
    expect(page.locator(".thumb img")).to_be_visible()
    expect(page.locator("#prompt")).to_have_value("a green pear")
    expect(page.get_by_role("button", name="Paint a mask")).to_be_focused()
    assert submitted(page)["init"] == {"image": f"{job_id}/1"}
    expect(page.locator("#jobs > li .facts").first).to_contain_text("from a picture, strength 0.8")
    newest = live.get("/v1/jobs").json()["data"][0]["request"]
    assert newest["init"]["image"].startswith("sha256:")


def test_a_job_shows_before_and_after_and_goes_back_into_the_form(
    page: Page, live: httpx.Client, ask: Callable[..., str], worker: PlayedWorker
) -> None:
    mask = io.BytesIO()
    Image.linear_gradient("L").resize((96, 64)).save(mask, "PNG")
    given = [base64.b64encode(data).decode() for data in (FILE["buffer"], mask.getvalue())]
    job_id = ask(
        num_images=2,
        init={"image": given[0], "strength": 0.333, "fit": "pad"},
        mask={"image": given[1], "grow": 2},
    )
    worker.succeed(job_id)
    page.goto(f"/#/jobs/{job_id}")
    sides = page.locator(".before-after .compare img")
    expect(sides).to_have_count(2)
    for shown in (*sides.all(), page.locator(".before-after .mask img")):
        expect(shown).not_to_have_js_property("naturalWidth", 0)
    page.get_by_role("slider").focus()
    page.keyboard.press("Home")
    assert page.locator(".compare").evaluate("node => node.style.getPropertyValue('--share')") == "0%"
    page.get_by_role("button", name="Picture 2", exact=True).click()
    expect(sides.last).to_have_attribute("src", f"/v1/jobs/{job_id}/images/1")
    assert violations(page) == []
    assert overflow_px(page) <= 0
    assert live.get("/v1/uploads").json()["data"] == []
    page.get_by_role("button", name="Edit in the form").click()
    expect(page.locator(".thumb canvas")).to_be_visible()
    expect(page.locator("#prompt")).to_be_focused()
    submitted(page)
    again, first = (job["request"] for job in live.get("/v1/jobs").json()["data"])
    assert {**again, "seed": first["seed"]} == first


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_mask_is_painted_with_a_finger_on_a_phone(
    live: httpx.Client, open_tab: Callable[..., Page], scheme: str
) -> None:
    page = open_tab(live.base_url, 390, has_touch=True, is_mobile=True, color_scheme=scheme)
    with_picture(page)
    assert violations(page) == []
    assert overflow_px(page) <= 0
    page.get_by_role("button", name="Paint a mask").tap()
    canvas = page.locator(".canvas canvas")
    box = canvas.bounding_box()
    assert box is not None
    assert box["width"] > 300
    page.touchscreen.tap(box["x"] + 40, box["y"] + 40)
    assert 0 < share_painted(page) < 0.2
    assert violations(page) == []
    keep = page.get_by_role("button", name="Use this mask")
    expect(keep).to_be_in_viewport(ratio=1)
    keep.tap()
    expect(page.locator(".thumb canvas")).to_be_visible()
    assert "image" in submitted(page)["mask"]


def test_pictures_are_brought_with_a_session_too(
    settings: ApiSettings, make_key: MakeKey, open_tab: Callable[..., Page]
) -> None:
    with serving(described(settings.model_copy(update={"auth": "keys"})), timeout_graceful_shutdown=0) as url:
        page = open_tab(url)
        page.goto("/login")
        page.get_by_label("Key", exact=True).fill(make_key())
        page.get_by_role("button", name="Log in").click()
        expect(page.locator("#empty")).to_be_visible()
        with_picture(page)
        open_painter(page)
        page.keyboard.press("Space")
        page.get_by_role("button", name="Use this mask").click()
        expect(page.locator(".thumb canvas")).to_be_visible()
        sent = submitted(page)
        assert set(sent["init"]) | set(sent["mask"]) == {"image"}
        page.goto("about:blank")
