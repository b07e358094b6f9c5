"""What A1111's extras make of a marked picture is marked."""

from base64 import b64decode, b64encode

from starlette.testclient import TestClient

from jobs.pictures.mark import mark_in
from tests.app.played_worker import picture
from tests.app.samples import png


def test_a_resized_picture_keeps_its_mark_and_a_photograph_gets_none(client: TestClient) -> None:
    def resized(file: bytes) -> bytes:
        body = {"image": b64encode(file).decode(), "upscaler_1": "Lanczos", "upscaling_resize": 2}
        answer = client.post("/sdapi/v1/extra-single-image", json=body)
        assert answer.status_code == 200, answer.text
        return b64decode(answer.json()["image"])

    mark = mark_in(resized(picture(16, 16, tint=1)))
    assert mark is not None
    assert mark.model == "pocket"
    assert mark_in(resized(png())) is None


def test_the_mark_is_no_text_of_the_picture(client: TestClient) -> None:
    body = {"image": b64encode(picture(16, 16, tint=1)).decode()}
    items = client.post("/sdapi/v1/png-info", json=body).json()["items"]
    assert items == {"parameters": "a red apple"}
