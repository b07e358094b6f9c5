"""The job-status page is whole, and needs nothing from elsewhere."""

import re
from pathlib import Path
from urllib.parse import urljoin

import pytest
from starlette.testclient import TestClient

from app.api.pages.files import COMPRESSED_FROM_BYTES

FOLDER = Path(__file__).parents[4] / "app" / "dashboard"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".html": "text/html"}


def files() -> list[Path]:
    return [file for file in sorted(FOLDER.rglob("*")) if file.suffix in TYPES]


def name(file: Path) -> str:
    return file.relative_to(FOLDER).as_posix()


def test_the_page_is_at_the_root_and_may_load_only_its_own_files(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.headers["Content-Type"].startswith("text/html")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy
    assert "http" not in policy


def test_every_file_that_the_page_names_is_there(client: TestClient) -> None:
    pages = client.get("/").text + client.get("/login").text
    named = set(re.findall(r'(?:href|src)="(/dashboard/[^"]+)"', pages))
    assert {"/dashboard/style.css", "/dashboard/app.js"} <= named
    seen = set[str]()
    while unseen := named - seen:
        path = unseen.pop()
        seen.add(path)
        answer = client.get(path)
        assert answer.status_code == 200, path
        named |= {urljoin(path, other) for other in re.findall(r'(?:from |import\()"(\.[^"]+)"', answer.text)}
    assert seen == {f"/dashboard/{name(file)}" for file in files() if file.suffix != ".html"}


@pytest.mark.parametrize("file", files(), ids=name)
def test_a_file_is_served_with_its_type_and_the_policy(client: TestClient, file: Path) -> None:
    answer = client.get(f"/dashboard/{name(file)}")
    assert answer.headers["Content-Type"].partition(";")[0] == TYPES[file.suffix]
    assert "Content-Security-Policy" in answer.headers
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("file", files(), ids=name)
def test_a_file_names_no_other_host_and_writes_no_markup(file: Path) -> None:
    text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z]", text) == []
    for risky in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", " style="):
        assert risky not in text


@pytest.mark.parametrize("path", ["../main.py", "%2e%2e/main.py", "..%2fmain.py", "/etc/passwd"])
def test_nothing_outside_the_folder_is_served(client: TestClient, path: str) -> None:
    assert client.get(f"/dashboard/{path}").status_code == 404


def test_all_but_the_smallest_files_are_sent_compressed_and_confirmed_unchanged(client: TestClient) -> None:
    for file in files():
        if file.suffix == ".html":
            continue
        answer = client.get(f"/dashboard/{name(file)}", headers={"Accept-Encoding": "gzip"})
        is_small = len(file.read_bytes()) < COMPRESSED_FROM_BYTES
        assert answer.headers.get("Content-Encoding") == (None if is_small else "gzip"), file
        assert answer.content == file.read_bytes()  # as the client unpacks it
        kept = {"Accept-Encoding": "gzip", "If-None-Match": answer.headers["ETag"]}
        assert client.get(f"/dashboard/{name(file)}", headers=kept).status_code == 304, file
