"""The intake of pictures, for every kind of field that takes one."""

import base64
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi import Request
from PIL import Image
from starlette.testclient import TestClient

from app.api.main import create_app
from app.api.pictures.brought_pictures import bring_pictures
from app.api.settings import ApiSettings
from jobs.pictures.reader import KEPT_PIXELS
from jobs.requests.pictures import MaskPicture, Picture, Thumbnail
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.job_files import input_key
from jobs.wire import Wire
from tests.app.conftest import LocalClient
from tests.brought_pictures import encoded, scene

JOB = "a" * 28


class Start(Wire):
    image: Picture


class Asked(Wire):
    start: Start
    mask: MaskPicture | None = None
    looks: tuple[Thumbnail, ...] = ()


@pytest.fixture
def trial(settings: ApiSettings) -> Iterator[TestClient]:
    """An API with a route that does nothing but bring the pictures of a request."""
    app = create_app(settings)

    async def bring(request: Request) -> dict[str, Any]:
        asked = Asked.model_validate(await request.json())
        stored, brought = await bring_pictures(request, JOB, asked, "")
        facts = {name: [known.width, known.height, known.levels] for name, known in brought.facts.items()}
        return {"stored": stored, "facts": facts, "bytes": brought.files.inputs_bytes}

    app.post("/trial")(bring)
    with LocalClient(app) as client:
        yield client


def clear() -> Image.Image:
    """A large picture, half of it more transparent than the other."""
    picture = scene(700, 600).convert("RGBA")
    picture.putalpha(
        Image.fromarray(np.repeat(np.array([[10, 200]], np.uint8), 350, axis=1).repeat(600, axis=0))
    )
    return picture


def opened(artifacts: ArtifactStore, name: str) -> Image.Image:
    return Image.open(io.BytesIO(artifacts.get(input_key(JOB, name.removeprefix("sha256:")))))


def test_each_field_keeps_of_a_picture_what_its_type_says(
    trial: TestClient, artifacts: ArtifactStore
) -> None:
    answer = trial.post("/v1/uploads", content=encoded(clear()), headers={"Content-Type": "image/png"})
    kept = answer.json()["data"][0]["id"]
    brought = trial.post(
        "/trial", json={"start": {"image": kept}, "mask": kept, "looks": [kept, kept]}
    ).json()
    start, mask = brought["stored"]["start"]["image"], brought["stored"]["mask"]
    assert mask == kept
    assert opened(artifacts, mask).tobytes() == clear().tobytes()
    on_white = Image.alpha_composite(Image.new("RGBA", (700, 600), "white"), clear()).convert("RGB")
    with opened(artifacts, start) as shown:
        assert (shown.mode, shown.size) == ("RGB", (700, 600))
        assert np.abs(np.asarray(shown).astype(int) - np.asarray(on_white).astype(int)).max() <= 1
    first, second = brought["stored"]["looks"]
    assert first == second
    with opened(artifacts, first) as shown:
        assert shown.mode == "RGB"
        assert 0.9 * KEPT_PIXELS < shown.width * shown.height <= KEPT_PIXELS
    assert len(artifacts.keys(JOB)) == 3
    assert brought["bytes"] == sum(len(artifacts.get(key)) for key in artifacts.keys(JOB))


def test_what_is_known_of_a_picture_is_its_upright_size_and_its_levels(trial: TestClient) -> None:
    image = Image.new("RGB", (30, 20), (0, 10, 255))
    image.paste((7, 10, 255), (0, 0, 5, 5))
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = base64.b64encode(encoded(image, exif=exif)).decode()
    brought = trial.post("/trial", json={"start": {"image": lying}, "mask": lying}).json()
    (name,) = brought["facts"]  # opaque, so one file is both
    assert brought["stored"]["start"]["image"] == brought["stored"]["mask"] == name
    assert brought["facts"][name] == [20, 30, [[0, 7], [10, 10], [255, 255]]]
    see_through = base64.b64encode(encoded(clear())).decode()
    brought = trial.post("/trial", json={"start": {"image": lying}, "mask": see_through}).json()
    assert brought["facts"][brought["stored"]["mask"]][2][3] == [10, 200]


@pytest.mark.parametrize("place", ["start.image", "mask", "looks.1"])
def test_an_error_names_the_field_wherever_it_is(trial: TestClient, place: str) -> None:
    good, bad = (base64.b64encode(file).decode() for file in (encoded(scene()), b"no picture"))
    named = {"start.image": good, "mask": good, "looks.0": good, "looks.1": good, place: bad}
    answer = trial.post(
        "/trial",
        json={
            "start": {"image": named["start.image"]},
            "mask": named["mask"],
            "looks": [named["looks.0"], named["looks.1"]],
        },
    )
    assert (answer.status_code, answer.json()["type"]) == (422, "/errors/invalid_file")
    assert [error["field"] for error in answer.json()["errors"]] == [place]
