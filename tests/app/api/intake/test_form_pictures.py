"""Pictures as files of forms."""

import base64
import io

import pytest
from starlette.datastructures import UploadFile

from app.api.intake import form_pictures
from app.api.intake.form_pictures import picture_fields, with_pictures_as_text
from jobs.errors import InvalidRequestError
from jobs.requests.pictures import MaskPicture, Picture
from jobs.wire import Wire
from tests.brought_pictures import encoded, scene


class Start(Wire):
    image: Picture
    strength: float = 1.0


class Asked(Wire):
    prompt: str
    init: Start | None = None
    mask: MaskPicture | None = None


FILE = encoded(scene())


def read(name: str, data: bytes = FILE) -> list[tuple[str, str]]:
    items: list[tuple[str, str | UploadFile]] = [("prompt", "x"), (name, UploadFile(io.BytesIO(data)))]
    return list(with_pictures_as_text(items, Asked))


def test_the_fields_that_take_a_picture_are_known_by_their_type() -> None:
    assert picture_fields(Asked) == {"init.image", "mask"}


@pytest.mark.parametrize("name", ["init.image", "mask"])
def test_a_file_is_the_base64_of_its_field(name: str) -> None:
    assert read(name) == [("prompt", "x"), (name, base64.b64encode(FILE).decode())]


@pytest.mark.parametrize("name", ["prompt", "init.strength", "init", "other"])
def test_a_file_for_a_field_that_takes_none_is_refused_with_those_that_do(name: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"these fields take one: init\.image, mask") as refusal:
        read(name)
    assert refusal.value.field == name


def test_a_long_file_is_refused_with_the_way_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(form_pictures, "MAX_FILE_BYTES", len(FILE))
    read("mask")
    with pytest.raises(InvalidRequestError, match="/v1/uploads") as refusal:
        read("mask", FILE + b"0")
    assert refusal.value.field == "mask"
