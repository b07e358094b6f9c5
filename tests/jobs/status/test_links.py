"""Paths of a job's resources, under the prefix that their reader came by."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from jobs.status import links


@pytest.mark.parametrize("prefix", ["/sd", "/a/b-c/d_e", "/v2.1~x"])
def test_a_prefix_is_segments_of_plain_characters(prefix: str) -> None:
    assert links.is_prefix(prefix)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "/",
            "sd",
            "/sd/",
            "//evil.example",
            "/a//b",
            "/..",
            "/a/../b",
            "/./a",
            "/a b",
            '/"x',
            "/a?b",
            "/a#b",
        ),
        *("http://evil.example", "/a\n", "/a%2fb", "/a\\b", "/ä"),
    ],
)
def test_nothing_else_is_one(text: str) -> None:
    assert not links.is_prefix(text)


def test_paths_begin_with_the_prefix_of_their_reader_and_of_nobody_else() -> None:
    with links.placed_under("/sd"):
        assert links.here(links.image("7", 0)) == "/sd/v1/jobs/7/images/0"
        with ThreadPoolExecutor() as others:
            assert others.submit(links.here, "/v1/jobs").result() == "/v1/jobs"
    assert links.here(links.job("7")) == "/v1/jobs/7"
