"""Files of the unmodified ``replicate`` client."""

import io
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from replicate.client import Client
from replicate.exceptions import ReplicateError
from replicate.prediction import Prediction

from tests.app.api.dialects.test_replicate import MODEL, client_of
from tests.brought_pictures import encoded, greys, lying, scene


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with client_of(url) as client:
        yield client


def guided_by(*images: object) -> dict[str, Any]:
    objectives = [{"type": "image", "image": image} for image in images]
    return {"prompt": "a red apple", "guidance": {"cutouts": 2, "objectives": objectives}}


def images_of(prediction: Prediction) -> list[str]:
    assert prediction.input is not None
    return [objective["image"] for objective in prediction.input["guidance"]["objectives"]]


def test_a_file_is_created_found_and_deleted(client: Client, tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(lying(6))
    file = client.files.create(tmp_path / "cat.jpg", metadata={"a": 1})
    assert (file.name, file.content_type, file.metadata) == ("cat.jpg", "image/png", {})
    assert file.id == f"sha256:{file.checksums['sha256']}"
    assert file.urls["get"].endswith(f"/v1/files/{file.id}")
    assert file.expires_at is not None
    assert file.expires_at > file.created_at
    assert client.files.get(file.id) == file
    assert client.files.list() == [file]
    content = httpx.get(file.urls["get"].replace("/v1/files/", "/v1/uploads/") + "/content").content
    assert (len(content), sha256(content).hexdigest()) == (file.size, file.etag)
    assert client.files.delete(file.id)
    assert client.files.list() == []
    for gone in (client.files.get, client.files.delete):
        with pytest.raises(ReplicateError, match="unknown_upload") as error:
            gone(file.id)
        assert error.value.status == 404


def test_a_files_address_is_an_input_of_a_prediction(client: Client) -> None:
    file = client.files.create(io.BytesIO(encoded(scene())))
    prediction = client.predictions.create(model=MODEL, input=guided_by(file.urls["get"], file.id))
    assert images_of(prediction) == [file.id, file.id]


@pytest.mark.parametrize("strategy", ["base64", "url"])
def test_an_open_file_is_an_input_however_the_client_sends_it(client: Client, strategy: Any) -> None:
    file = io.BytesIO(encoded(greys()))
    prediction = client.predictions.create(
        model=MODEL, input=guided_by(file), file_encoding_strategy=strategy
    )
    kept = client.files.create(io.BytesIO(encoded(greys())))
    assert images_of(prediction) == [kept.id]


def test_what_is_no_picture_is_refused_as_replicate_does(client: Client) -> None:
    with pytest.raises(ReplicateError, match="no PNG, JPEG or WebP") as error:
        client.files.create(io.BytesIO(b"hello"), filename="a.txt")
    assert error.value.status == 422
    for files, field in (({"file": b"a"}, "file"), ({"content": b"a", "other": b"b"}, None)):
        answer = httpx.post(f"{client._base_url}/v1/files", files=files)
        assert answer.status_code == 422
        if field:
            assert answer.json()["invalid_fields"][0]["field"] == field
    nothing = httpx.post(f"{client._base_url}/v1/files", content=b"a")
    assert (nothing.status_code, nothing.json()["title"]) == (415, "Unsupported media type")
