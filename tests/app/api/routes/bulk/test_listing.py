"""The filters of the list of jobs, over the API."""

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from jobs.errors import DeadlineExceededError, OutOfMemoryError
from tests.app.played_worker import PlayedWorker

Submit = Callable[..., str]


def test_jobs_are_found_by_prompt_model_error_and_time(
    client: TestClient, submit: Submit, worker: PlayedWorker
) -> None:
    apple, pear = submit(prompt="a red Apple"), submit(prompt="a green pear")
    worker.fail(pear, OutOfMemoryError("no memory"))

    def listed(**params: str) -> list[str]:
        answer = client.get("/v1/jobs", params=params)
        assert answer.status_code == 200, answer.text
        return [job["id"] for job in answer.json()["data"]]

    created = client.get(f"/v1/jobs/{pear}").json()["created_at"]
    assert listed(q="apple") == listed(until=created) == [apple]
    assert listed(since=created) == listed(error="out_of_memory", model="pocket") == [pear]
    assert listed(model="pocket", since="2001-01-01") == [pear, apple]
    assert listed(model="pocket-m") == []  # a CLIP, of which tasks may be
    assert listed(since="2999-12-31T23:59:59+14:00") == []


def test_failures_are_counted_by_reason_among_those_that_fit(
    client: TestClient, submit: Submit, worker: PlayedWorker
) -> None:
    for label, error in (("a", OutOfMemoryError), ("a", DeadlineExceededError), ("b", OutOfMemoryError)):
        newest = submit(labels=[label])
        worker.fail(newest, error("a reason"))
    told = client.get("/v1/jobs/failures").json()
    assert (told["looked_to"], told["data"][0]) == (
        None,
        {"type": "out_of_memory", "jobs": 2, "newest": newest},
    )
    counted = client.get("/v1/jobs/failures?label=a").json()["data"]
    assert {each["type"]: each["jobs"] for each in counted} == {"deadline_exceeded": 1, "out_of_memory": 1}


@pytest.mark.parametrize(
    ("query", "field", "words"),
    [
        ("q=", "q", "at least 1"),
        ("q=" + "a" * 201, "q", "200"),
        ("q=%00", "q", "NUL"),
        ("model=pockt", "model", "it holds: pocket, big"),
        ("error=bad", "error", "Input should be 'artifacts_unavailable'"),
        ("since=soon", "since", "datetime"),
        ("since=2026-01-02&until=2026-01-02", "until", "later than since"),
        ("order=turn&q=fox", "order", "takes kind and caller alone"),
        ("order=turn&error=out_of_memory", "order", "takes kind and caller alone"),
        ("order=turn&status=failed", "order", "no other status"),
    ],
)
def test_a_filter_that_cannot_be_is_refused_by_its_name(
    client: TestClient, query: str, field: str, words: str
) -> None:
    answer = client.get(f"/v1/jobs?{query}")
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == field
    assert words in error["message"]


def test_a_list_in_turn_takes_kinds(client: TestClient, submit: Submit) -> None:
    waits = submit()
    answer = client.get("/v1/jobs?order=turn&kind=generate&status=queued")
    assert [job["id"] for job in answer.json()["data"]] == [waits]


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "0.5", "1e30", "-1", 0.5, 10**20]
)
@pytest.mark.parametrize("name", ["since", "until"])
def test_a_time_that_utc_does_not_have_is_refused(client: TestClient, name: str, moment: str | float) -> None:
    for path in ("/v1/jobs", "/v1/jobs/failures"):
        answer = client.get(path, params={name: moment})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, name)
    answer = client.post("/v1/jobs/cancel", json={name: moment})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, name)
