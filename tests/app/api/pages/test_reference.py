"""The page about every route is served by us, with all that it loads."""

import re

from starlette.testclient import TestClient


def test_it_may_load_only_files_of_ours_and_they_are_there(client: TestClient) -> None:
    page = client.get("/docs")
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert not re.search(r"<script(?![^>]*src=)", page.text)  # none within the page
    named = re.findall(r'(?:href|src)="([^"]+)"', page.text)
    assert "/" in named  # back to the dashboard
    assert len(named) == 6
    for path in set(named) - {"/"}:
        assert re.match(r"/[a-z]", path), path
        answer = client.get(path)
        assert answer.status_code == 200, path
        if not path.endswith(".json"):
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_there_is_one_such_page(client: TestClient) -> None:
    assert client.get("/redoc").status_code == 404
    answer = client.get("/docs/", follow_redirects=False)
    assert answer.headers["Location"] == "/docs"
