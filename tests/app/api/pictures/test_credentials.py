"""Content credentials: every file that leaves the API is signed, if the operator has a certificate."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from app.api.main import create_app
from app.api.settings import ApiSettings
from jobs.errors import ConfigurationError
from jobs.pictures.mark import DigitalSource, mark_in
from lodestar.verification import inspect
from tests.app.certificates import ISSUER, Chain, make_chain
from tests.app.conftest import LocalClient
from tests.app.played_worker import PlayedWorker

WAYS_OUT = ("0.png", "0.webp?quality=80", "0.jpeg?quality=80")


@pytest.fixture(scope="module")
def chain() -> Chain:
    """A certificate of the test's own."""
    return make_chain()


@pytest.fixture
def signing(settings: ApiSettings, chain: Chain, tmp_path: Path) -> ApiSettings:
    """Settings of an API that signs."""
    certificates, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    certificates.write_bytes(chain.certificates)
    key.write_bytes(chain.key)
    return settings.model_copy(update={"c2pa_certificate_file": certificates, "c2pa_key_file": key})


@pytest.fixture
def signer(signing: ApiSettings) -> Iterator[TestClient]:
    """A client of it."""
    with LocalClient(create_app(signing)) as client:
        yield client


@pytest.fixture
def images(signer: TestClient, worker: PlayedWorker) -> str:
    """Path of a job's pictures."""
    job_id = signer.post("/v1/jobs", json={"prompt": "a red apple", "width": 64, "height": 48}).json()["id"]
    worker.succeed(job_id)
    return f"/v1/jobs/{job_id}/images"


@pytest.mark.parametrize("way", WAYS_OUT)
def test_every_format_is_signed_and_keeps_its_mark(signer: TestClient, images: str, way: str) -> None:
    file = signer.get(f"{images}/{way}").content
    credentials = inspect(file).credentials
    assert (credentials.state, credentials.issuer) == ("valid", ISSUER)
    assert credentials.source is DigitalSource.GENERATED
    assert credentials.problems == ("signingCredential.untrusted",)  # nobody but the test knows its root
    mark = mark_in(file)
    assert mark is not None
    assert mark.model == "pocket"
    with Image.open(io.BytesIO(file)) as picture:
        picture.load()
        assert picture.size == (64, 48)


@pytest.mark.parametrize("way", WAYS_OUT)
def test_a_changed_file_is_found_out(signer: TestClient, images: str, way: str) -> None:
    file = bytearray(signer.get(f"{images}/{way}").content)
    file[-20] ^= 1  # among the pixels, or the end of the file
    assert inspect(bytes(file)).credentials.state == "invalid"


def test_a_signed_picture_is_recognized_though_no_two_signatures_are_alike(
    signer: TestClient, images: str
) -> None:
    first, second = (signer.get(f"{images}/0.webp") for _ in range(2))
    assert first.content != second.content
    assert first.headers["ETag"] == second.headers["ETag"]
    assert first.headers["ETag"].startswith("W/")
    again = signer.get(f"{images}/0.webp", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304


def test_settings_that_sign_nothing_are_refused_at_the_start(signing: ApiSettings, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(make_chain().key)
    wrong: tuple[tuple[dict[str, object], str, str], ...] = (
        ({"c2pa_key_file": None}, "c2pa_key_file", "need a certificate and its key"),
        ({"c2pa_certificate_file": None}, "c2pa_certificate_file", "need a certificate and its key"),
        ({"c2pa_key_file": tmp_path / "none.pem"}, "c2pa_key_file", "cannot be read: No such file"),
        ({"c2pa_key_file": other}, "c2pa_certificate_file", "sign no picture"),
        ({"c2pa_certificate_file": other}, "c2pa_certificate_file", "sign no picture"),
        ({"marks": "off"}, "marks", "marks too"),
    )
    for update, field, message in wrong:
        with pytest.raises(ConfigurationError, match=message) as refused:
            create_app(signing.model_copy(update=update))
        assert refused.value.field == field
