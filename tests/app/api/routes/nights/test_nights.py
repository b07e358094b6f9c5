"""Nights over HTTP, tended by the API itself."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from redis import Redis
from starlette.testclient import TestClient

from app.api.main import create_app
from app.api.operation import sweeper
from app.api.settings import ApiSettings
from tests.app.conftest import LocalClient, MakeKey, serving
from tests.app.played_worker import PlayedWorker
from tests.waiting import until

NIGHT = {"request": {"prompt": "a red apple", "seed": 7}, "hours": 8, "keep": 2}


@pytest.fixture
def settings(settings: ApiSettings, monkeypatch: pytest.MonkeyPatch) -> ApiSettings:
    """Settings of an API whose queue has room for a night, and which tends it ten times a second."""
    monkeypatch.setattr(sweeper, "TEND_EVERY_S", 0.1)
    return settings.model_copy(update={"max_queued": 40})


def test_a_night_begins_and_can_be_found_at_its_location(client: TestClient) -> None:
    answer = client.post("/v1/nights", json=NIGHT)
    assert answer.status_code == 201, answer.text
    night = answer.json()
    assert (night["status"], night["made"], night["keep"], night["kept"], night["race"]) == (
        "running",
        0,
        2,
        [],
        [],
    )
    assert night["request"]["priority"] == "low"
    assert night["request"]["labels"] == [night["label"]]
    assert night["request"]["select"]["scorer"] == "pocket-m"
    assert (night["request"]["upscale"], night["upscale"]) == (None, True)
    found = client.get(answer.headers["Location"]).json()
    assert found["id"] == night["id"]
    assert 8 * 3600 - 60 < found["left_s"] <= 8 * 3600
    (listed,) = client.get("/v1/nights").json()["data"]
    assert listed["id"] == night["id"]


def test_the_scorer_does_not_guide(client: TestClient) -> None:
    guided = {**NIGHT, "request": {"prompt": "a red apple", "guidance": True}}
    assert client.post("/v1/nights", json=guided).json()["request"]["select"]["scorer"] == "pocket-s"
    answer = client.post("/v1/nights", json={**guided, "scorer": "pocket-m"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "scorer"


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"hours": 0}, "hours", "greater than or equal to 0.0003"),
        ({"hours": 5e-324}, "hours", "greater than or equal to 0.0003"),
        ({"hours": True}, "hours", "should be a number, not true"),
        ({"hours": 25}, "hours", "less than or equal to 24"),
        ({"keep": 0}, "keep", "a number from 1 to 500, or a share such as '5%'"),
        ({"keep": "101%"}, "keep", "a number from 1 to 500, or a share such as '5%'"),
        ({"keep": "٣"}, "keep", "a number from 1 to 500, or a share such as '5%'"),
        ({"keep": "0.0%"}, "keep", "a number from 1 to 500, or a share such as '5%'"),
        ({"by": "beauty"}, "by", "'clip' or 'aesthetic'"),
        ({"by": "aesthetic"}, "by", "no CLIP of the catalog has an aesthetic head"),
        ({"scorer": "none"}, "scorer", "'none' is not in the catalog"),
        (
            {"request": {"prompt": "x", "num_images": 2}},
            "request.num_images",
            "each of its jobs makes one picture",
        ),
        (
            {"request": {"prompt": "x", "webhook": "https://a.example"}},
            "request.webhook",
            "sends no messages yet",
        ),
        ({"request": {"prompt": "x", "select": {"candidates": 4}}}, "request.select", "by, scorer and keep"),
        ({"request": {"prompt": "x", "steps": 0}}, "request.steps", "greater than or equal to 1"),
        ({"request": {"prompt": "x", "width": 8}}, "request.width", "48"),
        (
            {"request": {"prompt": "x", "init": {"image": "01a203967d75b0c90aa928ee9db4/0"}}},
            "request.init.image",
            "takes no pictures yet",
        ),
        ({"request": {"prompt": "x", "labels": [str(n) for n in range(20)]}}, "request.labels", "at most 19"),
        ({"sleep": True}, "sleep", "no field of this name"),
    ],
)
def test_what_is_wrong_is_named(client: TestClient, fields: dict[str, Any], field: str, words: str) -> None:
    answer = client.post("/v1/nights", json={**NIGHT, **fields})
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    assert error["field"] == field
    assert words in answer.text
    assert client.get("/v1/nights").json() == {"data": []}


@pytest.mark.parametrize(
    ("keep", "shown"), [(7.0, 7), ("7", 7), ("100%", "100%"), ("0.5 %", "0.5%"), ("007%", "007%")]
)
def test_what_is_kept_may_be_written_in_several_ways(client: TestClient, keep: object, shown: object) -> None:
    answer = client.post("/v1/nights", json={**NIGHT, "keep": keep})
    assert (answer.status_code, answer.json().get("keep")) == (201, shown), answer.text


def test_a_night_longer_than_pictures_are_kept_is_refused(settings: ApiSettings) -> None:
    with LocalClient(create_app(settings.model_copy(update={"retention_s": 7200}))) as client:
        answer = client.post("/v1/nights", json=NIGHT)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "hours")
        assert "keeps pictures for 2 hours" in answer.json()["detail"]
        assert client.post("/v1/nights", json={**NIGHT, "hours": 2}).status_code == 201


def test_the_request_of_a_night_can_be_sent_again_as_it_is_shown(client: TestClient) -> None:
    first = client.post("/v1/nights", json=NIGHT).json()
    again = client.post("/v1/nights", json={**NIGHT, "request": first["request"]})
    assert again.status_code == 201, again.text
    labels = again.json()["request"]["labels"]
    assert labels == [first["label"], again.json()["label"]]


def test_a_repetition_begins_no_other_night(client: TestClient) -> None:
    headers = {"Idempotency-Key": "tonight"}
    first, second = (client.post("/v1/nights", json=NIGHT, headers=headers) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    assert second.headers["Idempotency-Replayed"] == "true"
    other = client.post("/v1/nights", json={**NIGHT, "hours": 7}, headers=headers)
    assert (other.status_code, other.json()["type"].rpartition("/")[2]) == (422, "idempotency_conflict")
    assert len(client.get("/v1/nights").json()["data"]) == 1


def test_an_unknown_night_is_told_as_such(client: TestClient) -> None:
    for method, path in (("GET", ""), ("POST", "/finish"), ("POST", "/cancel"), ("DELETE", "")):
        answer = client.request(method, f"/v1/nights/none{path}")
        assert (answer.status_code, answer.json()["title"]) == (404, "Unknown night")


def test_a_night_outlives_the_api_and_two_of_them_do_its_work_once(
    settings: ApiSettings, worker: PlayedWorker
) -> None:
    drawn: list[int] = []

    def draw(api: httpx.Client, night_id: str, number: int) -> None:
        """Draw so many more pictures, and wait until they are counted."""
        wanted = len(drawn) + number
        while len(drawn) < wanted:
            if (lease := worker.draw((len(drawn) * 7 % 10) / 10)) is not None:
                drawn.append(lease.generation.seed)
            else:
                time.sleep(0.02)
        until(lambda: bool(api.get(f"/v1/nights/{night_id}").json()["made"] == wanted))

    with serving(create_app(settings)) as url, httpx.Client(base_url=url) as api:
        night_id = api.post("/v1/nights", json={**NIGHT, "upscale": False}).json()["id"]
        draw(api, night_id, 9)
    worker.draw(0.95)  # while no API is there
    drawn.append(0)
    with ExitStack() as stack:
        urls = [stack.enter_context(serving(create_app(settings))) for _ in range(2)]
        api = stack.enter_context(httpx.Client(base_url=urls[0]))
        draw(api, night_id, 8)
        assert api.post(f"/v1/nights/{night_id}/finish").json()["status"] == "finishing"
        until(lambda: bool(api.get(f"/v1/nights/{night_id}").json()["status"] == "succeeded"))
        night = httpx.get(f"{urls[1]}/v1/nights/{night_id}").json()
        assert (night["made"], night["pending"]) == (18, 0)
        assert [each["score"] for each in night["kept"]] == [0.95, 0.9]
        assert len(set(drawn)) == 18
        jobs = api.get("/v1/jobs", params={"label": night["label"]}).json()["data"]
        assert {job["id"] for job in jobs} == {each["job_id"] for each in night["kept"]}
        assert api.get(night["kept"][0]["url"]).status_code == 200
        assert api.delete(f"/v1/nights/{night_id}").status_code == 204
        until(lambda: api.get("/v1/jobs").json()["data"] == [])


@pytest.fixture
def of_tenant(settings: ApiSettings, make_key: MakeKey) -> Iterator[Callable[[str], TestClient]]:
    """A client of a tenant."""
    keyed = settings.model_copy(update={"auth": "keys"})
    with ExitStack() as stack:

        def make(tenant: str) -> TestClient:
            headers = {"Authorization": f"Bearer {make_key(tenant=tenant)}"}
            return stack.enter_context(LocalClient(create_app(keyed), headers=headers))

        yield make


def test_other_tenants_see_nothing_of_a_night(of_tenant: Callable[[str], TestClient], redis: Redis) -> None:
    alice, bob = of_tenant("alice"), of_tenant("bob")
    night_id = alice.post("/v1/nights", json=NIGHT).json()["id"]
    until(lambda: alice.get(f"/v1/nights/{night_id}").json()["pending"] > 0)
    assert len(alice.get("/v1/jobs").json()["data"]) > 0
    assert bob.get("/v1/jobs").json()["data"] == []
    assert bob.get("/v1/nights").json()["data"] == []
    invented = bob.get(f"/v1/nights/{'0' * 28}")
    for method, path in (("GET", ""), ("POST", "/finish"), ("POST", "/cancel"), ("DELETE", "")):
        answer = bob.request(method, f"/v1/nights/{night_id}{path}")
        assert answer.status_code == 404
        assert answer.json()["detail"].replace(night_id, "0" * 28) == invented.json()["detail"]
    assert alice.get(f"/v1/nights/{night_id}").json()["status"] == "running"
