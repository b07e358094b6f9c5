"""A caller has one name, on every route."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from redis import Redis
from starlette.requests import Request

from app.api.access.caller import caller_of
from app.api.dialects.a1111.callers import caller_of as known_as
from app.api.main import create_app
from app.api.settings import ApiSettings
from jobs.queue.order import flow_of
from jobs.requests.request import Priority
from tests.app.conftest import serving

NAMES = ["alice", "Jane Doe", "josé", "Ärzte & Co. <x@y.de>", "日本", "a" * 5000, "DOMAIN\\jane", '"q"']


@pytest.fixture
def url(settings: ApiSettings) -> Iterator[str]:
    """Address of an API that lets many wait."""
    with serving(create_app(settings.model_copy(update={"max_queued": 100}))) as url:
        yield url


def post(url: str, path: str, body: dict[str, Any], name: bytes) -> int:
    """The status of the answer to a request with these bytes as the user's name."""
    headers = [(b"Content-Type", b"application/json"), (b"X-Forwarded-User", name)]
    return httpx.post(f"{url}{path}", json=body, headers=headers).status_code


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/jobs", {"prompt": "a"}, 202),
        ("/v1/predictions", {"version": "pocket", "input": {"prompt": "a"}}, 201),
    ],
)
def test_any_name_is_taken_and_is_the_same_on_every_route(
    url: str, redis: Redis, name: str, path: str, body: dict[str, Any], status: int
) -> None:
    assert post(url, path, body, name.encode()) == status
    flows = {redis.hget(key, "flow") for key in redis.keys("{lodestar}:job:*")}
    assert flows == {flow_of(name, Priority.NORMAL)}


def asked(*headers: tuple[str, bytes], client: str = "10.0.0.1") -> Request:
    encoded = [(name.encode(), value) for name, value in headers]
    return Request({"type": "http", "headers": encoded, "client": (client, 1)})


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ([], ""),
        ([b""], ""),
        ([b"  alice "], "alice"),
        (["josé".encode()], "josé"),
        (["josé".encode("latin-1")], "josé"),
        ([b"mallory", b"alice"], "alice"),
    ],
)
def test_a_name_is_what_the_proxy_says(sent: list[bytes], name: str) -> None:
    assert caller_of(asked(*(("x-forwarded-user", each) for each in sent))) == name


def test_a1111_s_callers_are_known_by_name_then_credentials_then_address() -> None:
    alice = ("x-forwarded-user", b"alice")
    password = ("authorization", b"Basic eDp5")
    assert known_as(asked(alice)) == known_as(asked(alice, password, client="10.0.0.2"))
    assert known_as(asked(password)) == known_as(asked(password, client="10.0.0.2"))
    names = [asked(alice), asked(password), asked(), asked(client="10.0.0.2")]
    assert len({known_as(each) for each in names}) == 4
    # Nobody takes another's place by calling himself as he is known.
    assert known_as(asked(("x-forwarded-user", b"10.0.0.1"))) != known_as(asked())
    assert known_as(asked(("x-forwarded-user", b"Basic eDp5"))) != known_as(asked(password))
