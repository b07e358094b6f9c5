"""Addresses of pictures that need no key: they lead to one picture, for a while, and nowhere else."""

import base64
import io
import re
import time
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image
from pydantic import SecretStr, ValidationError
from redis import Redis
from starlette.testclient import TestClient

from app.api.main import create_app
from app.api.settings import ApiSettings
from app.api.webhooks import deliverer
from jobs.callers import link_secrets
from jobs.callers.scopes import Scope
from jobs.db import keys
from jobs.errors import ConfigurationError
from tests.app.api.webhooks.receiver import receiving
from tests.app.conftest import LocalClient, MakeKey
from tests.app.played_worker import PlayedWorker

OLD, NEW = (base64.b64encode(bytes([each]) * 32).decode() for each in (1, 2))
SIGNED = re.compile(r"/v1/signed-images/[^\s\"]+")


@pytest.fixture
def settings(settings: ApiSettings) -> ApiSettings:
    """Settings of an API that asks for keys."""
    return settings.model_copy(update={"auth": "keys"})


@pytest.fixture
def alice(settings: ApiSettings, make_key: MakeKey) -> Iterator[TestClient]:
    """A client of a tenant."""
    headers = {"Authorization": f"Bearer {make_key(tenant='alice')}"}
    with LocalClient(create_app(settings), headers=headers) as client:
        yield client


@pytest.fixture
def stranger(alice: TestClient) -> TestClient:
    """A client of the same server without a key."""
    return LocalClient(alice.app)  # type: ignore[arg-type]


@pytest.fixture
def job_id(alice: TestClient, worker: PlayedWorker) -> str:
    """A job of Alice's that has two pictures."""
    answer = alice.post("/v1/jobs", json={"prompt": "a red apple", "num_images": 2, "seed": 7})
    worker.succeed(answer.json()["id"])
    return str(answer.json()["id"])


def link_of(client: TestClient, job_id: str, name: str = "0.png", **body: object) -> str:
    """A signed address of a picture."""
    answer = client.post(f"/v1/jobs/{job_id}/images/{name}/link", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["url"])


@pytest.mark.parametrize("name", ["1.png", "1.webp", "1.jpeg?quality=80"])
def test_it_leads_to_the_picture_without_a_key(
    alice: TestClient, stranger: TestClient, job_id: str, name: str
) -> None:
    assert stranger.get(f"/v1/jobs/{job_id}/images/{name}").status_code == 401
    plain, _, quality = name.partition("?")
    answer = alice.post(f"/v1/jobs/{job_id}/images/{plain}/link?{quality}", json={"expires_in_s": 60})
    got = stranger.get(answer.json()["url"])
    assert got.status_code == 200
    assert got.content == alice.get(f"/v1/jobs/{job_id}/images/{name}").content
    assert got.headers["Cache-Control"] in {f"private, max-age={left}" for left in range(55, 61)}
    seen = stranger.get(answer.json()["url"], headers={"If-None-Match": got.headers["ETag"]})
    assert seen.status_code == 304


def test_it_leads_nowhere_else(alice: TestClient, stranger: TestClient, job_id: str) -> None:
    url = link_of(alice, job_id)
    other = alice.post("/v1/jobs", json={"prompt": "a pear"}).json()["id"]
    query = parse_qs(urlsplit(url).query)
    (expires,), (signature,) = query["expires"], query["signature"]
    first = "A" if signature[0] != "A" else "B"
    changed = [
        url.replace("/0.png", "/1.png"),
        url.replace("/0.png", "/0.webp"),
        url.replace("/0.png", "/0"),
        url.replace(job_id, other),
        url.replace(expires, str(int(expires) + 1)),
        url.replace(signature, first + signature[1:]),
        url.replace(signature, ""),
        f"{url}&quality=80",
    ]
    for each in changed:
        answer = stranger.get(each)
        assert (answer.status_code, answer.json()["type"]) == (403, "/errors/invalid_link"), each
    for path in (f"/v1/jobs/{job_id}", f"/v1/jobs/{job_id}/images/0.png", "/v1/jobs"):
        assert stranger.get(f"{path}?expires={expires}&signature={signature}").status_code == 401


def test_it_expires(
    alice: TestClient, stranger: TestClient, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = link_of(alice, job_id, expires_in_s=60)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    answer = stranger.get(url)
    assert (answer.status_code, answer.json()["type"]) == (410, "/errors/link_expired")
    changed = stranger.get(url.replace("0.png", "1.png"))
    assert changed.status_code == 403  # whoever cannot sign learns nothing


@pytest.mark.parametrize("seconds", [0, -1, 7 * 24 * 3600 + 1])
def test_a_time_out_of_its_bounds_is_refused(alice: TestClient, job_id: str, seconds: int) -> None:
    answer = alice.post(f"/v1/jobs/{job_id}/images/0.png/link", json={"expires_in_s": seconds})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "expires_in_s"


def test_only_who_may_get_a_picture_makes_an_address_of_it(
    alice: TestClient, make_key: MakeKey, job_id: str
) -> None:
    path = f"/v1/jobs/{job_id}/images/0.png/link"
    for tenant, scope, status in (
        ("bob", Scope.IMAGES_READ, 404),
        ("alice", Scope.JOBS_READ, 403),
    ):
        headers = {"Authorization": f"Bearer {make_key(scope, tenant=tenant)}"}
        assert alice.post(path, headers=headers).status_code == status
        if scope is Scope.JOBS_READ:
            assert alice.get(f"/v1/jobs/{job_id}", headers=headers).status_code == 200
            assert alice.get(f"/v1/jobs/{job_id}?signed_urls=true", headers=headers).status_code == 403


def test_it_dies_with_its_job(alice: TestClient, stranger: TestClient, job_id: str) -> None:
    url = link_of(alice, job_id)
    alice.delete(f"/v1/jobs/{job_id}")
    assert stranger.get(url).status_code == 404


def test_a_job_tells_signed_addresses_to_who_asks(
    alice: TestClient, stranger: TestClient, job_id: str
) -> None:
    plain, asked = (alice.get(f"/v1/jobs/{job_id}{query}").json() for query in ("", "?signed_urls=true"))
    assert [image["signed_url"] for image in plain["images"]] == [None, None]
    for image in asked["images"]:
        assert stranger.get(image["signed_url"]).status_code == 200


def test_an_old_secret_counts_until_it_is_dropped(
    settings: ApiSettings, alice: TestClient, job_id: str
) -> None:
    def status(secrets: str, url: str | None = None) -> Any:
        update = {"signed_url_secret": SecretStr(secrets)}
        with LocalClient(create_app(settings.model_copy(update=update)), headers=alice.headers) as client:
            return link_of(client, job_id) if url is None else client.get(url).status_code

    url = status(OLD)
    assert status(f"{NEW} {OLD}", url) == 200
    assert status(NEW, url) == 403
    assert status(OLD, status(f"{NEW} {OLD}")) == 403  # the newest signs


def test_the_drawn_secret_is_the_same_everywhere_and_can_be_drawn_anew(
    settings: ApiSettings, alice: TestClient, job_id: str, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_secrets, "CACHE_S", 0.0)
    url = link_of(alice, job_id)
    with LocalClient(create_app(settings)) as another_process:
        assert another_process.get(url).status_code == 200
        redis.delete(keys.LINK_SECRET)
        assert another_process.get(url).status_code == 403


@pytest.mark.parametrize("secret", ["hello", base64.b64encode(b"short").decode(), f"{NEW} x"])
def test_a_weak_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValidationError, match="the base64 of 24 to 64 bytes"):
        ApiSettings(signed_url_secret=SecretStr(secret))


def test_a_folder_signs_nothing(settings: ApiSettings) -> None:
    with pytest.raises(ConfigurationError, match="signs no addresses"):
        create_app(settings.model_copy(update={"store_signed_urls": True}))


def test_webhooks_and_other_services_answers_name_pictures_that_need_no_key(
    settings: ApiSettings, make_key: MakeKey, worker: PlayedWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliverer, "POLL_S", 0.02)
    update = {"signed_urls": True, "webhook_networks": (ip_network("127.0.0.0/8"),)}
    headers = {"Authorization": f"Bearer {make_key(tenant='alice')}"}
    app = create_app(settings.model_copy(update=update))
    with receiving() as receiver, LocalClient(app, headers=headers) as client:
        native = {"prompt": "a red apple", "webhook": receiver.url}
        job_id = client.post("/v1/jobs", json=native).json()["id"]
        worker.succeed(job_id)
        (told,) = (each.body for each in receiver.wait_for(1))
        asked: dict[str, Any] = {"input": {"prompt": "a pear", "output_format": "webp"}}
        asked |= {"webhook": receiver.url, "webhook_events_filter": ["completed"]}
        made = client.post("/v1/models/lodestar/pocket/predictions", json=asked).json()["id"]
        worker.succeed(made)
        _, second = receiver.wait_for(2)
        shown = client.get(f"/v1/predictions/{made}").json()["output"]
        stranger = LocalClient(app)
        urls = [SIGNED.findall(text)[0] for text in (told.decode(), second.body.decode(), shown[0])]
        for url, form in zip(urls, ("PNG", "WEBP", "WEBP"), strict=True):
            answer = stranger.get(url)
            assert answer.status_code == 200, url
            assert Image.open(io.BytesIO(answer.content)).format == form
        again = client.post(
            "/v1/jobs", json={"prompt": "a fig", "init": {"image": f"http://localhost{urls[0]}"}}
        )
        assert again.status_code == 202, again.text
