"""The gallery and the comparison in a real browser."""

import io
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest
from playwright.sync_api import Page, expect

from app.api.settings import ApiSettings
from jobs.requests.tasks import EmbeddingTask, Place
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.segments import Segment, Segments
from tests.app.played_worker import PlayedWorker
from tests.browser import overflow_px, violations

pytestmark = pytest.mark.timeout(600)

AXES = ("red apple", "green pear", "blue plum")


@pytest.fixture
def models_file(models_file: Path) -> Path:
    """With a text tower, which embeddings are made for."""
    text = models_file.read_text()
    models_file.write_text(
        text.replace('clip = "pocket-m"\n', 'clip = "pocket-m"\ntext_clip = "pocket-s"\n', 1)
    )
    return models_file


@pytest.fixture
def kept(ask: Callable[..., str], worker: PlayedWorker, settings: ApiSettings) -> list[str]:
    """Three finished jobs, whose pictures lie along three axes and get better scores from one to the next."""
    jobs = []
    for axis, prompt in enumerate(AXES):
        lease = worker.claim(ask(prompt=prompt, seed=7, labels=["fruit"] if axis else []))
        scored = tuple(
            image.model_copy(update={"clip_score": 0.1 * (axis + 1)}) for image in worker.store(lease)
        )
        worker.leases.succeed(lease, scored)
        row = [float(place == axis) for place in range(4)]
        segments = Segments(ArtifactStore(settings.artifacts_url), "pocket-m")
        segments.write(*segments.encode(Segment.of(lease.job_id, lease.fence, {0: row})))
        jobs.append(lease.job_id)
    return jobs


@contextmanager
def answering(worker: PlayedWorker, vector: tuple[float, ...]) -> Iterator[None]:
    """A worker that answers queries with this place."""
    stop = threading.Event()

    def serve() -> None:
        while not stop.wait(0.02):
            while (lease := worker.leases.claim_next()) is not None:
                worker.leases.answer(lease, Place(clip="pocket-m", vector=vector))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def captions(page: Page) -> list[str]:
    return page.locator(".gallery .caption").all_text_contents()


def test_pictures_are_found_by_a_text_and_by_another_picture(
    page: Page, kept: list[str], worker: PlayedWorker
) -> None:
    page.goto("/#/gallery")
    expect(page.locator(".gallery li")).to_have_count(3)
    assert captions(page) == ["blue plum", "green pear", "red apple"]
    with answering(worker, (0.6, 0.8, 0, 0)):
        page.get_by_role("searchbox", name="Search the pictures by a text").fill("mostly / 50% a pear?")
        page.keyboard.press("Enter")
        expect(page.locator(".gallery-page .line [role=status]")).to_contain_text(
            "The nearest to “mostly / 50% a pear?”, as pocket-m"
        )
        assert captions(page) == ["green pear", "red apple", "blue plum"]
        expect(page.locator(".gallery li").first).to_contain_text("similarity 0.800")
        expect(page.get_by_role("searchbox")).to_have_value("mostly / 50% a pear?")
        assert violations(page) == []
        page.locator(".gallery li").first.locator("> a").click()
        expect(page.get_by_role("dialog", name="Picture")).to_contain_text("1 of 3 · seed")
        page.keyboard.press("ArrowLeft")
        expect(page.get_by_role("dialog", name="Picture")).to_contain_text("3 of 3 · seed")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("o")
        expect(page.locator(".job-page h2")).to_have_text("green pear")
        page.go_back()  # to what was found
        expect(page.locator(".gallery .caption").first).to_have_text("green pear")
    with answering(worker, (0, 0, 1, 0)):
        page.get_by_role("link", name="More like this: picture 1 of red apple").click()
        expect(page.locator(".gallery .caption").first).to_have_text("blue plum")
    page.get_by_role("link", name="Show all").click()
    expect(page.locator(".gallery .caption").first).to_have_text("blue plum")
    expect(page.locator(".gallery li")).to_have_count(3)
    assert overflow_px(page) <= 0


def test_pictures_are_sorted_liked_and_kept_by_label(page: Page, kept: list[str], live: httpx.Client) -> None:
    page.goto("/#/gallery")
    page.get_by_label("Order").select_option("Highest CLIP first")
    assert captions(page) == ["blue plum", "green pear", "red apple"]
    gallery = page.locator("#page")
    gallery.get_by_label("Guidance", exact=True).select_option("Guided")
    expect(page.locator(".gallery li")).to_have_count(0)
    gallery.get_by_label("Guidance", exact=True).select_option("Not guided")
    gallery.get_by_label("Size", exact=True).select_option("64 × 64")
    expect(page.locator(".gallery li")).to_have_count(3)
    page.get_by_role("button", name="Favourite: picture 1 of red apple").click()
    page.get_by_role("button", name="★ Favourites").click()
    expect(page.locator(".gallery .caption")).to_have_text(["red apple"])
    page.reload()
    page.get_by_label("Order").select_option("Newest first")
    expect(page.locator(".gallery li")).to_have_count(3)
    page.locator("#page").get_by_label("Label", exact=True).fill("fruit")
    page.keyboard.press("Enter")
    expect(page.locator(".gallery .caption")).to_have_text(["blue plum", "green pear"])
    page.get_by_role("button", name="★ Favourites").click()
    expect(page.locator(".gallery .caption")).to_have_text(["red apple"])
    live.delete(f"/v1/jobs/{kept[0]}")
    page.reload()
    expect(page.locator(".gallery li")).to_have_count(2)
    page.get_by_role("button", name="★ Favourites").click()
    expect(page.locator(".gallery li")).to_have_count(0)
    expect(page.locator(".gallery-page .empty")).to_be_visible()


def test_selected_pictures_are_downloaded_made_a_taste_and_deleted(
    page: Page, kept: list[str], live: httpx.Client, worker: PlayedWorker
) -> None:
    page.goto("/#/gallery")
    expect(page.locator(".gallery li")).to_have_count(3)
    page.locator(".gallery li > a").first.focus()
    page.keyboard.press("x")
    page.get_by_role("checkbox").nth(2).click(modifiers=["Shift"])
    expect(page.locator(".selection [role=status]")).to_have_text("3 pictures selected")
    page.get_by_role("checkbox").nth(1).click()
    expect(page.locator(".selection [role=status]")).to_have_text("2 pictures selected")
    assert violations(page) == []
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as zip").click()
    with ZipFile(io.BytesIO(download.value.path().read_bytes())) as folder:
        assert folder.namelist() == [f"{kept[2]}-0.png", f"{kept[0]}-0.png"]
    page.get_by_label("Name of a new aesthetic embedding").fill("fruity")
    page.keyboard.press("Enter")
    expect(page.locator(".job-page h2")).to_have_text("Make the aesthetic embedding fruity")
    job_id = page.url.split("/")[-1]
    task = worker.claim(job_id).request
    assert isinstance(task, EmbeddingTask)
    assert len(task.pictures) == 2
    page.goto("/#/gallery")
    page.get_by_role("checkbox").first.click()
    for word in ("Delete 1 job", "Delete 1 job and all their pictures: sure?"):
        page.get_by_role("button", name=word, exact=True).click()
    expect(page.locator(".gallery .caption")).to_have_text(["green pear", "red apple"])
    expect(page.locator(".selection")).to_be_hidden()
    assert live.get(f"/v1/jobs/{kept[2]}").status_code == 404


def test_any_two_pictures_are_compared_in_four_ways(page: Page, kept: list[str]) -> None:
    page.emulate_media(reduced_motion="no-preference")
    page.goto("/#/gallery")
    for number in (1, 2):
        page.get_by_role("checkbox").nth(number).click()
    page.get_by_role("link", name="Compare", exact=True).click()
    compare = page.locator(".compare")
    expect(compare.locator("img")).to_have_count(2)
    assert page.url.endswith(f"#/compare/{kept[1]}%2F0/{kept[0]}%2F0")
    expect(page.locator(".sides .card").nth(1)).to_contain_text("CLIP 0.100 (−0.100)")
    page.get_by_text("What was asked differently").click()
    expect(page.locator(".differences tbody tr")).to_have_text(
        [re.compile("^prompt *green pear *red apple$")]
    )
    first, second = compare.locator(".frame").all()
    page.get_by_role("button", name="Side by side").click()
    left, right = first.bounding_box(), second.bounding_box()
    assert left is not None
    assert right is not None
    assert left["x"] + left["width"] < right["x"]
    assert violations(page) == []
    page.get_by_role("button", name="Difference").click()
    expect(compare.locator("input")).to_be_hidden()
    assert second.evaluate("node => getComputedStyle(node).mixBlendMode") == "difference"
    page.get_by_role("button", name="Flicker").click()
    hidden = "node => getComputedStyle(node).visibility === 'hidden'"
    seen = {tuple(side.evaluate(hidden) for side in (first, second)) for _ in range(2)}
    page.emulate_media(reduced_motion="reduce")
    page.get_by_role("button", name="Flicker").click()
    before = second.evaluate(hidden)
    page.get_by_role("button", name="Show the other one").click()
    assert second.evaluate(hidden) is not before
    page.wait_for_timeout(1000)
    assert second.evaluate(hidden) is not before
    assert seen <= {(True, False), (False, True)}


def test_two_pictures_of_a_set_are_chosen_to_be_compared(
    page: Page, ask: Callable[..., str], worker: PlayedWorker
) -> None:
    first, second = (ask(seed=7, steps=steps, labels=["mine"]) for steps in (5, 10))
    for job_id in (first, second):
        worker.succeed(job_id)
    page.goto("/#/sets/mine")
    expect(page.locator("thead th").nth(1)).to_have_text("5")
    page.get_by_role("button", name="Compare two").click()
    page.get_by_role("link", name="steps 5: succeeded").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".picked")).to_have_count(1)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator(".compare img")).to_have_count(2)
    assert page.url.endswith(f"#/compare/{first}/{second}")


def test_on_a_phone_no_choice_of_the_gallery_is_cut(page: Page, kept: list[str]) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/#/gallery")
    expect(page.locator(".gallery li")).to_have_count(3)
    lacks_px = page.locator(".sorting select").evaluate_all(
        "(all) => all.map((one) => { const is = one.offsetWidth; one.style.flex = 'none';"
        " one.style.width = 'max-content'; const wants = one.offsetWidth; one.removeAttribute('style');"
        " return wants - is; })"
    )
    assert len(lacks_px) == 4
    assert max(lacks_px) <= 0
    assert overflow_px(page) <= 0
