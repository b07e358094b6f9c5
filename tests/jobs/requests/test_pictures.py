"""Pictures in requests: the forms in which they are named, and the walk that finds them."""

import base64
import json

import pytest
from pydantic import BaseModel, ValidationError

from jobs.requests.objectives import ImageObjective
from jobs.requests.pictures import (
    MAX_URL_CHARS,
    MaskPicture,
    OfJob,
    Picture,
    Thumbnail,
    pictures_in,
    with_pictures,
)
from jobs.requests.request import GenerateRequest
from jobs.wire import Wire
from tests.brought_pictures import encoded, scene

DIGEST = "0123456789abcdef" * 4
JOB = "01a203967d75b0c90aa928ee9db4"
FILE = encoded(scene())


class Inner(Wire):
    image: Picture
    strength: float = 0.5


class Outer(Wire):
    init: Inner | None = None
    mask: MaskPicture | None = None
    many: tuple[Thumbnail | Inner, ...] = ()
    by_name: dict[str, Picture] | None = None
    text: str = "sha256:" + DIGEST


def read(text: str) -> Picture:
    return Inner.model_validate({"image": text}).image


@pytest.mark.parametrize(
    "text",
    [
        f"sha256:{DIGEST}",
        f" SHA256:{DIGEST.upper()}\n",
        f"/v1/uploads/sha256:{DIGEST}",
        f"/v1/files/sha256:{DIGEST}",
    ],
)
def test_a_stored_picture_is_named_by_its_digest(text: str) -> None:
    picture = read(text)
    assert picture == f"sha256:{DIGEST}"
    assert (picture.digest, picture.of_job, picture.url) == (DIGEST, None, None)


@pytest.mark.parametrize(
    "text",
    [
        f"{JOB}/3",
        f"/v1/jobs/{JOB}/images/3",
        f"{JOB}/images/3",
        f"/v1/jobs/{JOB}/images/3.png",
        f" {JOB}/003\n",
    ],
)
def test_a_picture_of_a_job_is_named_by_the_job_and_its_number(text: str) -> None:
    picture = read(text)
    assert picture == f"{JOB}/3"
    assert picture.of_job == OfJob(JOB, 3)
    assert (picture.digest, picture.url) == (None, None)


@pytest.mark.parametrize(
    "url", ["https://example.com/a.png", "http://127.0.0.1:1/", "HTTPS://example.com/a b"]
)
def test_an_address_is_kept_as_it_is(url: str) -> None:
    picture = read(f" {url} ")
    assert (picture, picture.url, picture.digest, picture.of_job) == (url, url, None, None)


def test_an_address_has_a_limit() -> None:
    start = "https://example.com/"
    assert read(start + "a" * (MAX_URL_CHARS - len(start))).url
    with pytest.raises(ValidationError, match=f"at most {MAX_URL_CHARS} characters"):
        read(start + "a" * MAX_URL_CHARS)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_file_is_read_in_base64_and_never_taken_for_a_name(form: str) -> None:
    file = encoded(scene(1, 1), form)
    for text in (
        base64.b64encode(file).decode(),
        f"data:image/{form};base64,{base64.b64encode(file).decode()}",
    ):
        picture = read(text)
        assert picture.data == file
        assert (picture.digest, picture.of_job, picture.url) == (None, None, None)


@pytest.mark.parametrize(
    "text", ["a cat!", "file:///etc/passwd", "ftp://example.com/a", "sha256:0", f"{JOB}:1"]
)
def test_what_is_none_of_these_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match=r"neither the id of an upload, nor JOB/INDEX .* not base64"):
        read(text)


REQUEST = Outer.model_validate(
    {
        "init": {"image": f"{JOB}/0"},
        "mask": f"sha256:{DIGEST}",
        "many": [base64.b64encode(FILE).decode(), {"image": "https://example.com/a.png"}],
        "by_name": {"a": f"{JOB}/1"},
    }
)


def test_every_picture_of_a_request_is_found_wherever_it_is() -> None:
    found = pictures_in(REQUEST)
    assert {".".join(map(str, place)): type(picture) for place, picture in found.items()} == {
        "init.image": Picture,
        "mask": MaskPicture,
        "many.0": Thumbnail,
        "many.1.image": Picture,
        "by_name.a": Picture,
    }
    assert pictures_in(Outer()) == {}
    assert pictures_in(GenerateRequest(prompt=f"sha256:{DIGEST}")) == {}


def test_pictures_are_renamed_in_place_and_all_else_stays() -> None:
    names = {place: f"sha256:{index:064x}" for index, place in enumerate(pictures_in(REQUEST))}
    renamed = with_pictures(REQUEST, names)
    assert {place: str(picture) for place, picture in pictures_in(renamed).items()} == names
    assert [type(each) for each in pictures_in(renamed).values()] == [
        type(each) for each in pictures_in(REQUEST).values()
    ]
    assert renamed.model_fields_set == REQUEST.model_fields_set
    assert (renamed.init and renamed.init.strength, renamed.text) == (0.5, REQUEST.text)
    assert type(renamed.many) is tuple
    untouched = GenerateRequest(prompt="x")
    assert with_pictures(untouched, {}) is untouched


def test_a_renamed_request_is_stored_and_read_as_any_other() -> None:
    renamed = with_pictures(REQUEST, dict.fromkeys(pictures_in(REQUEST), f"sha256:{DIGEST}"))
    again = Outer.model_validate_json(renamed.model_dump_json())
    assert again == renamed
    assert list(pictures_in(again)) == list(pictures_in(renamed))
    assert json.loads(renamed.model_dump_json())["mask"] == f"sha256:{DIGEST}"


def test_a_picture_is_a_text_in_the_schema() -> None:
    class Named(BaseModel):
        image: Picture

    assert Named.model_json_schema()["properties"]["image"]["type"] == "string"
    assert ImageObjective.model_json_schema()["properties"]["image"]["type"] == "string"
