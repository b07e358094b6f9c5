"""Many jobs in one call, on a real queue."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.api.routes.bulk import bulk
from app.api.settings import ApiSettings
from jobs.errors import DeadlineExceededError, OutOfMemoryError
from tests.app.played_worker import PlayedWorker

Submit = Callable[..., str]
Call = Callable[..., dict[str, Any]]


@pytest.fixture
def call(client: TestClient) -> Call:
    """Do something with many jobs; the answer."""

    def call_it(action: str, headers: dict[str, str] | None = None, **chosen: object) -> dict[str, Any]:
        answer = client.post(f"/v1/jobs/{action}", json=chosen, headers=headers)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    return call_it


def statuses(client: TestClient) -> dict[str, str]:
    return {job["id"]: job["status"] for job in client.get("/v1/jobs").json()["data"]}


def test_all_that_wait_are_canceled_and_nothing_else_changes(
    client: TestClient, submit: Submit, worker: PlayedWorker, call: Call
) -> None:
    done, runs, *wait = (submit() for _ in range(5))
    worker.succeed(done)
    worker.claim(runs)
    nothing_else = {"made": [], "errors": [], "more": False, "next_cursor": None}
    assert call("cancel", status=["queued"]) == {"data": wait[::-1], **nothing_else}
    assert statuses(client) == {done: "succeeded", runs: "running", **dict.fromkeys(wait, "canceled")}
    assert call("cancel", status=["queued"])["data"] == []


def test_what_cannot_be_done_for_one_job_is_told_and_done_for_the_others(
    client: TestClient, submit: Submit, call: Call
) -> None:
    first, second = submit(), submit()
    told = call("cancel", ids=[first, "0" * 24, second, first])
    assert told["data"] == [first, second]
    (error,) = told["errors"]
    assert (error["id"], error["type"]) == ("0" * 24, "unknown_job")


def test_jobs_are_deleted_with_their_pictures(
    client: TestClient, submit: Submit, worker: PlayedWorker, call: Call, settings: ApiSettings
) -> None:
    done, failed, waits = (submit() for _ in range(3))
    worker.succeed(done)
    worker.fail(failed, DeadlineExceededError("it took too long"))
    assert set(call("delete", status=["succeeded", "failed"])["data"]) == {done, failed}
    assert statuses(client) == {waits: "queued"}
    assert list(Path(settings.artifacts_url).rglob("*.png")) == []


def test_failures_are_run_again_once_however_often_the_call_is_repeated(
    client: TestClient, submit: Submit, worker: PlayedWorker, call: Call
) -> None:
    failed = [submit(seed=seed) for seed in (1, 2)]
    for job_id in failed:
        worker.fail(job_id, DeadlineExceededError("it took too long"))
    first, again = (call("retry", {"Idempotency-Key": "k"}, status=["failed"]) for _ in range(2))
    assert (first["data"], first["made"]) == (failed[::-1], again["made"])
    new = [client.get(f"/v1/jobs/{job_id}").json() for job_id in first["made"]]
    assert [(job["status"], job["request"]["seed"]) for job in new] == [("queued", 2), ("queued", 1)]
    assert len(statuses(client)) == 4


def test_a_full_queue_takes_what_it_can_and_tells_the_rest(
    submit: Submit, call: Call, settings: ApiSettings
) -> None:
    waiting = [submit() for _ in range(settings.max_queued - 1)]
    told = call("retry", ids=waiting[:2])
    assert (len(told["made"]), [error["type"] for error in told["errors"]]) == (1, ["queue_full"])


def test_a_call_that_leaves_some_says_so(submit: Submit, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "MOST_JOBS", 2)
    ids = [submit() for _ in range(3)]
    first = call("cancel", status=["queued", "canceled"])
    rest = call("cancel", status=["queued", "canceled"], cursor=first["next_cursor"])
    assert (first["more"], rest["more"], rest["next_cursor"]) == (True, False, None)
    assert first["data"] + rest["data"] == ids[::-1]  # although the first two are there still


def test_all_jobs_of_a_label_are_canceled_run_again_and_deleted(
    client: TestClient, submit: Submit, worker: PlayedWorker, call: Call
) -> None:
    done, failed, waits = (submit(labels=["sweep"], seed=seed) for seed in range(3))
    other = submit()
    worker.succeed(done)
    worker.fail(failed, DeadlineExceededError("it took too long"))
    assert call("cancel", label="sweep")["data"] == [waits]  # those that have ended need no cancel
    told = call("retry", label="sweep")
    assert told["data"] == [waits, failed]  # and what succeeded needs no other try
    assert call("delete", label="sweep", status=["queued"])["data"] == told["made"][::-1]
    assert call("delete", label="sweep")["data"] == [waits, failed, done]
    assert statuses(client) == {other: "queued"}


def test_jobs_are_chosen_by_what_a_list_is_filtered_by(
    submit: Submit, worker: PlayedWorker, call: Call
) -> None:
    late, large = submit(), submit()
    submit(prompt="a pear")
    worker.fail(late, DeadlineExceededError("it took too long"))
    worker.fail(large, OutOfMemoryError("no memory"))
    assert call("delete", error="out_of_memory", q="APPLE", model="pocket")["data"] == [large]
    assert call("cancel", until="2001-01-01T00:00:00Z")["data"] == []
    assert call("delete", kind=["generate"], q="apple", since="2001-01-01")["data"] == [late]


@pytest.mark.parametrize(
    ("chosen", "field"),
    [
        ({"label": ""}, "label"),
        ({"model": "none"}, "model"),
        ({"error": "bad luck"}, "error"),
        ({"since": "2026-01-02", "until": "2026-01-01"}, "until"),
        ({"ids": ["a"], "cursor": "1"}, "cursor"),
        ({"lable": "sweep"}, "lable"),
    ],
)
def test_a_filter_that_cannot_be_is_refused_by_its_name(
    client: TestClient, chosen: dict[str, object], field: str
) -> None:
    answer = client.post("/v1/jobs/delete", json=chosen)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize(
    "chosen", [{}, {"ids": ["a"], "status": ["queued"]}, {"ids": ["a"], "label": "a"}, {"ids": ["a"] * 201}]
)
def test_jobs_are_chosen_in_one_way_and_not_too_many(client: TestClient, chosen: dict[str, object]) -> None:
    answer = client.post("/v1/jobs/delete", json=chosen)
    assert (answer.status_code, answer.json()["type"]) == (422, "/errors/invalid_request")


def test_jobs_that_wait_get_another_priority_and_the_others_are_told(
    client: TestClient, submit: Submit, worker: PlayedWorker, call: Call
) -> None:
    runs, first, second = (submit(labels=["mine"]) for _ in range(3))
    worker.claim(runs)
    told = call("prioritize", ids=[runs, first], priority="low")
    assert told["data"] == [first]
    assert [error["type"] for error in told["errors"]] == ["job_not_waiting"]
    assert call("prioritize", label="mine", priority="high")["data"] == [second, first]
    asked = {job["id"]: job["request"]["priority"] for job in client.get("/v1/jobs").json()["data"]}
    assert asked == {runs: "normal", first: "high", second: "high"}
    answer = client.post("/v1/jobs/prioritize", json={"priority": "high"})
    assert answer.status_code == 422
    answer = client.post(f"/v1/jobs/{runs}/prioritize", json={"priority": "high"})
    assert (answer.status_code, answer.json()["type"]) == (409, "/errors/job_not_waiting")
    answer = client.post(f"/v1/jobs/{first}/prioritize", json={"priority": "low"})
    assert (answer.json()["request"]["priority"], answer.json()["queue_position"]) == ("low", 1)
