"""Pictures that requests name by addresses of other servers."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.api.main import create_app
from app.api.pictures import brought_pictures, fetching
from app.api.settings import ApiSettings
from tests.app.conftest import LocalClient
from tests.brought_pictures import encoded, lying, scene

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Site:
    """A server with these answers by path, and the requests that it has got."""

    answers: dict[str, Answer]
    port: int = 0
    drip_s: float = 0.0
    asked: list[tuple[str, str]] = field(default_factory=list)

    def url(self, path: str = "/a.png", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"


@contextmanager
def serving_site(answers: dict[str, Answer], host: str = "127.0.0.1", port: int = 0) -> Iterator[Site]:
    site = Site({f"/{path}": answer for path, answer in answers.items()})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append((self.path, self.headers["Host"]))
            status, headers, body = site.answers[self.path.split("?")[0].removesuffix(".png")]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value.replace("PORT", str(site.port)))
            self.end_headers()
            piece = 8192 if site.drip_s else 65_536
            for start in range(0, len(body), piece):
                time.sleep(site.drip_s)
                try:
                    self.wfile.write(body[start : start + piece])
                except OSError:
                    return  # it has been cut off

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    site.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


PICTURE = (200, {"Content-Type": "image/png"}, encoded(scene()))


@pytest.fixture
def site() -> Iterator[Site]:
    with serving_site({"a": PICTURE}) as site:
        yield site


@pytest.fixture
def allowing(settings: ApiSettings) -> ApiSettings:
    """Settings that allow addresses of pictures, of this one machine's first address too."""
    networks = (ip_network("127.0.0.1/32"),)
    return settings.model_copy(update={"allow_picture_urls": True, "webhook_networks": networks})


@pytest.fixture
def open_client(allowing: ApiSettings) -> Iterator[TestClient]:
    with LocalClient(create_app(allowing)) as client:
        yield client


def named(*urls: str) -> dict[str, Any]:
    objectives = [{"type": "image", "image": url} for url in urls]
    return {"prompt": "a red apple", "guidance": {"objectives": objectives}}


def refusal(client: TestClient, *urls: str) -> str:
    answer = client.post("/v1/jobs", json=named(*urls))
    assert (answer.status_code, answer.json()["type"]) == (422, "/errors/invalid_file"), answer.text
    assert answer.json()["errors"][0]["field"] == f"guidance.objectives.{len(urls) - 1}.image"
    assert client.get("/v1/jobs").json()["data"] == []
    return str(answer.json()["detail"])


def test_a_picture_comes_from_another_server_if_the_operator_allows_it(
    client: TestClient, open_client: TestClient, site: Site
) -> None:
    refused = client.post("/v1/jobs", json=named(site.url()))
    assert (refused.status_code, refused.json()["type"]) == (422, "/errors/invalid_request")
    assert site.asked == []
    answer = open_client.post("/v1/jobs", json=named(site.url("/a.png?x=1"), site.url("/a.png?x=1")))
    assert answer.status_code == 202, answer.text
    assert site.asked == [("/a.png?x=1", f"127.0.0.1:{site.port}")]  # once for both
    upload = open_client.post(
        "/v1/uploads", content=lying(3, "PNG"), headers={"Content-Type": "image/png"}
    ).json()
    shown = {each["image"] for each in answer.json()["request"]["guidance"]["objectives"]}
    assert shown == {upload["data"][0]["id"]}


def test_nobody_inside_is_reached(settings: ApiSettings, site: Site) -> None:
    public = settings.model_copy(update={"allow_picture_urls": True})
    with LocalClient(create_app(public)) as client:
        for host in (
            "127.0.0.1",
            "localhost",
            "[::ffff:127.0.0.1]",
            "2130706433",
            "169.254.169.254",
            "0.0.0.0",
        ):
            detail = refusal(client, site.url(host=host))
            assert "leads to an address that pictures may not be fetched from" in detail, host
            assert str(site.port) not in detail
    assert site.asked == []


def test_a_redirect_is_followed_only_to_where_an_address_may_lead(open_client: TestClient) -> None:
    answers: dict[str, Answer] = {
        "there": (302, {"Location": "/a.png"}, b""),
        "inside": (307, {"Location": "http://127.0.0.2:PORT/a.png"}, b""),
        "file": (301, {"Location": "file:///etc/passwd"}, b""),
        "user": (301, {"Location": "http://me:secret@127.0.0.1:PORT/a.png"}, b""),
        "round": (308, {"Location": "/round"}, b""),
        "nowhere": (302, {}, b""),
    }
    with (
        serving_site({"a": PICTURE, **answers}) as site,
        serving_site({"a": PICTURE}, "127.0.0.2", site.port) as other,
    ):
        assert open_client.post("/v1/jobs", json=named(site.url("/there"))).status_code == 202
        open_client.delete(open_client.get("/v1/jobs").json()["data"][0]["urls"]["self"])
        for path, words in {
            "/inside": "leads to an address",
            "/file": "not one of http or https",
            "/user": "no user name",
            "/round": "more than 3 times",
            "/nowhere": "answered 302",
        }.items():
            assert words in refusal(open_client, site.url(path)), path
        assert other.asked == []


def test_a_name_is_resolved_once_so_that_it_cannot_change_after_the_check(
    open_client: TestClient, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["127.0.0.1", "127.0.0.2"])
    lookup = socket.getaddrinfo

    def answer(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        if host != "pictures.example":
            return list(lookup(host, port, *args, **kwargs))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    with serving_site({"a": PICTURE}, "127.0.0.2", site.port) as other:
        url = site.url(host="pictures.example")
        assert open_client.post("/v1/jobs", json=named(url)).status_code == 202
    assert site.asked == [("/a.png", f"pictures.example:{site.port}")]
    assert other.asked == []


def test_what_a_server_answers_is_bounded_and_refused_in_words(
    open_client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "MAX_FETCHED_BYTES", 1 << 20)
    answers: dict[str, Answer] = {
        "missing": (404, {}, b""),
        "empty": (204, {}, b""),
        "page": (200, {"Content-Type": "image/png"}, b"<html>"),
        "large": (200, {}, bytes((1 << 20) + 1)),
        "packed": (200, {"Content-Encoding": "gzip"}, b"\x1f\x8b"),
    }
    with serving_site({"a": PICTURE, **answers}) as site:
        for path, words in {
            "/missing": "answered 404",
            "/empty": "answered 204",
            "/page": "no PNG, JPEG or WebP",
            "/large": "more than 1 MiB",
            "/packed": "compressed",
        }.items():
            assert words in refusal(open_client, site.url(path)), path
        assert "no PNG" in refusal(open_client, site.url("/a.png"), site.url("/page"))
    assert "no connection" in refusal(open_client, site.url())
    assert "leads nowhere" in refusal(open_client, "http://no-such-name.invalid/a.png")


def test_a_server_that_drips_its_answer_is_given_up(
    open_client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brought_pictures, "TIMEOUT_S", 1.0)
    with serving_site({"a": (200, {}, bytes(1 << 20))}) as site:
        site.drip_s = 0.2
        start = time.monotonic()
        assert "no answer" in refusal(open_client, site.url())
        assert time.monotonic() - start < 15  # the whole would take 26
