"""Submitting, looking at, canceling and deleting jobs."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from redis import Redis
from starlette.testclient import TestClient

from app.api.settings import ApiSettings
from jobs.db.scripts import PREFIX
from jobs.errors import DeadlineExceededError, LeaseLostError
from tests.app.played_worker import PlayedWorker

PROMPT = {"prompt": "a red apple"}


def test_a_submitted_job_is_accepted_and_can_be_found_at_its_location(client: TestClient) -> None:
    answer = client.post("/v1/jobs", json=PROMPT)
    assert answer.status_code == 202
    job = answer.json()
    assert (job["status"], job["queue_position"], job["attempts"]) == ("queued", 0, 0)
    assert client.get(answer.headers["Location"]).json() == job


def test_the_answer_shows_every_default_and_the_seed(client: TestClient) -> None:
    request = client.post("/v1/jobs", json={**PROMPT, "guidance": {}}).json()["request"]
    seed = request.pop("seed")
    assert 0 <= seed < 2**32
    assert request == {
        "prompt": "a red apple",
        "negative_prompt": "",
        "prompt_syntax": "plain",
        "long_prompt": "cut",
        "edit": None,
        "init": None,
        "mask": None,
        "adapters": [],
        "controls": [],
        "image_prompts": [],
        "sizes": None,
        "refiner": None,
        "variation": None,
        "hires": None,
        "outpaint": None,
        "model": "pocket",
        "width": 64,
        "height": 64,
        "steps": 25,
        "cfg_scale": 4.0,
        "cfg_embedded": False,
        "sampler": "ddim",
        "schedule": "default",
        "eta": 0.0,
        "clip_skip": 0,
        "guidance_rescale": 0.0,
        "num_images": 1,
        "guidance": {
            "preset": "fast",
            "clip": "pocket-m",
            "objectives": [
                {
                    "type": "text",
                    "text": "a red apple",
                    "clip": "pocket-m",
                    "weight": 1.0,
                    "start": 0.0,
                    "end": 1.0,
                }
            ],
            "scale": 0.2,
            "cutouts": 4,
            "overview_cuts": "4",
            "inner_cuts": "0",
            "cut_pow": 1.0,
            "stratified": False,
            "start": 0.6,
            "end": 1.0,
            "last_step": False,
            "stride": 2,
            "reuse": False,
            "patience": 0,
            "recurrences": 1,
            "iterations": 1,
            "rho": 0.0,
            "mu": 1.0,
            "clamp": 0.05,
            "smoothing": 0.0,
            "smoothing_samples": 1,
            "blur": 0.0,
            "decoder": "vae",
            "trace": False,
        },
        "preview_every_steps": None,
        "personalization": None,
        "select": None,
        "upscale": None,
        "timeout_s": 3600.0,
        "priority": "normal",
        "labels": [],
    }


def test_the_same_idempotency_key_and_body_find_the_same_job(client: TestClient) -> None:
    key = {"Idempotency-Key": "k-1"}
    first, second = (client.post("/v1/jobs", json=PROMPT, headers=key) for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert len(client.get("/v1/jobs").json()["data"]) == 1


def test_a_job_reports_its_progress_and_its_worker(
    client: TestClient, submit: Callable[..., str], worker: PlayedWorker
) -> None:
    job_id = submit()
    lease = worker.claim(job_id)
    worker.report(lease, step=5, steps=25, eta_s=4.5)
    job = client.get(f"/v1/jobs/{job_id}").json()
    assert (job["status"], job["worker"], job["attempts"]) == ("running", "played", 1)
    assert job["progress"] == {"step": 5, "steps": 25, "eta_s": 4.5, "fraction": 0.2}
    assert job["queue_position"] is None


def test_a_finished_job_shows_its_pictures_and_times(
    client: TestClient, submit: Callable[..., str], worker: PlayedWorker
) -> None:
    job_id = submit(num_images=2, seed=7)
    worker.succeed(job_id)
    job = client.get(f"/v1/jobs/{job_id}").json()
    assert job["status"] == "succeeded"
    assert [(image["index"], image["seed"]) for image in job["images"]] == [(0, 7), (1, 8)]
    assert job["metrics"]["queue_s"] >= 0
    assert job["metrics"]["execution_s"] >= 0
    age_s = (datetime.now(UTC) - datetime.fromisoformat(job["finished_at"])).total_seconds()
    assert abs(age_s) < 60


def test_a_failed_job_tells_why(client: TestClient, submit: Callable[..., str], worker: PlayedWorker) -> None:
    job_id = submit()
    worker.fail(job_id, DeadlineExceededError("it ran for more than 5 s"))
    job = client.get(f"/v1/jobs/{job_id}").json()
    assert job["status"] == "failed"
    assert job["error"] == {"type": "deadline_exceeded", "message": "it ran for more than 5 s"}


def test_a_waiting_job_is_canceled_at_once_and_twice_does_no_harm(
    client: TestClient, submit: Callable[..., str]
) -> None:
    job_id = submit()
    first, second = (client.post(f"/v1/jobs/{job_id}/cancel") for _ in range(2))
    assert (first.status_code, first.json()["status"]) == (200, "canceled")
    assert second.json() == first.json()


def test_a_running_job_is_canceling_until_its_worker_confirms(
    client: TestClient, submit: Callable[..., str], worker: PlayedWorker
) -> None:
    job_id = submit()
    lease = worker.claim(job_id)
    job = client.post(f"/v1/jobs/{job_id}/cancel").json()
    assert (job["status"], job["cancel_requested"]) == ("running", True)
    worker.leases.cancel(lease)
    job = client.get(f"/v1/jobs/{job_id}").json()
    assert (job["status"], job["cancel_requested"]) == ("canceled", False)


def test_canceling_a_finished_job_leaves_it_as_it_is(
    client: TestClient, submit: Callable[..., str], worker: PlayedWorker
) -> None:
    job_id = submit()
    worker.succeed(job_id)
    assert client.post(f"/v1/jobs/{job_id}/cancel").json()["status"] == "succeeded"


def test_deleting_a_job_removes_it_and_its_pictures(
    client: TestClient, submit: Callable[..., str], worker: PlayedWorker, settings: ApiSettings
) -> None:
    job_id = submit()
    worker.succeed(job_id)
    assert list(Path(settings.artifacts_url).rglob("*.png")) != []
    answer = client.delete(f"/v1/jobs/{job_id}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert list(Path(settings.artifacts_url).rglob("*.png")) == []
    assert client.get(f"/v1/jobs/{job_id}").status_code == 404
    assert client.get("/v1/jobs").json()["data"] == []


def test_a_worker_cannot_finish_a_job_that_was_deleted(
    client: TestClient, submit: Callable[..., str], worker: PlayedWorker
) -> None:
    job_id = submit()
    lease = worker.claim(job_id)
    client.delete(f"/v1/jobs/{job_id}")
    with pytest.raises(LeaseLostError):
        worker.leases.succeed(lease, ())


def test_a_job_is_run_again_as_it_was_asked_for_then(
    client: TestClient, submit: Callable[..., str], worker: PlayedWorker
) -> None:
    webhook = {"url": "https://example.com/hook", "events": ["started", "done"]}
    shape = {"guidance": True, "select": {"candidates": 3}, "hires": {}, "priority": "low"}
    job_id = submit(**shape, webhook=webhook)
    worker.fail(job_id, DeadlineExceededError("it ran for more than 5 s"))
    key = {"Idempotency-Key": "again"}
    answers = [client.post(f"/v1/jobs/{job_id}/retry", headers=key) for _ in range(2)]
    first, (job, again) = client.get(f"/v1/jobs/{job_id}").json(), (answer.json() for answer in answers)
    assert (answers[0].status_code, answers[0].headers["Location"]) == (202, f"/v1/jobs/{job['id']}")
    assert answers[1].headers["Idempotency-Replayed"] == "true"
    assert (again["id"], first["status"]) == (job["id"], "failed")
    assert job["id"] != job_id
    assert job["request"] == first["request"]
    assert (job["webhook"]["url"], job["webhook"]["events"]) == (webhook["url"], webhook["events"])


def test_a_list_has_one_status_or_several(
    client: TestClient, submit: Callable[..., str], worker: PlayedWorker
) -> None:
    done, runs, waits = (submit() for _ in range(3))
    worker.succeed(done)
    worker.claim(runs)

    def listed(query: str) -> list[str]:
        return [job["id"] for job in client.get(f"/v1/jobs?{query}").json()["data"]]

    assert listed("status=running&status=succeeded") == [runs, done]
    assert listed("status=queued&status=queued") == [waits]
    assert listed("") == [waits, runs, done]
    page = client.get("/v1/jobs?status=queued&status=succeeded&limit=1").json()
    assert [job["id"] for job in page["data"]] == [waits]
    assert listed(f"status=queued&status=succeeded&cursor={page['next_cursor']}") == [done]


def test_jobs_are_found_by_their_labels(
    client: TestClient, submit: Callable[..., str], worker: PlayedWorker
) -> None:
    one = submit(labels=["sweep 7", "café", "sweep 7"])
    both, none = submit(labels=["sweep 7"]), submit()
    assert client.get(f"/v1/jobs/{one}").json()["request"]["labels"] == ["sweep 7", "café"]

    def listed(**params: str) -> list[str]:
        return [job["id"] for job in client.get("/v1/jobs", params=params).json()["data"]]

    assert listed(label="sweep 7") == [both, one]
    assert listed(label="café") == [one]
    assert listed(label="sweep") == []
    worker.succeed(one)
    assert listed(label="sweep 7", status="succeeded") == [one]
    page = client.get("/v1/jobs?label=sweep 7&limit=1").json()
    assert listed(label="sweep 7", cursor=page["next_cursor"]) == [one]
    client.delete(f"/v1/jobs/{one}")
    assert listed(label="sweep 7") == [both]
    again = client.post(f"/v1/jobs/{both}/retry").json()["id"]
    assert listed(label="sweep 7") == [again, both]
    assert none in listed()


def test_an_unknown_field_of_a_query_is_refused_and_named(client: TestClient) -> None:
    for method, path in (("GET", "/v1/jobs"), ("GET", "/v1/queue"), ("POST", "/v1/jobs")):
        answer = client.request(method, f"{path}?prompt=fox", json=PROMPT if method == "POST" else None)
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert error["field"] == "prompt"
        assert "no such field in its query; it takes" in error["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", "/cancel"), ("DELETE", ""), ("GET", "/images/0")],
)
@pytest.mark.parametrize("job_id", ["0" * 24, "..%2f..", "a%00b", "%F0%9F%A6%8A"])
def test_an_unknown_job_is_told_from_a_waiting_one(
    client: TestClient, method: str, path: str, job_id: str
) -> None:
    answer = client.request(method, f"/v1/jobs/{job_id}{path}")
    assert answer.status_code == 404
    # An encoded slash makes it a path that no route has.
    assert answer.json()["type"] in {"/errors/unknown_job", "/errors/not_found"}


def test_the_list_is_newest_first_and_pages_without_gaps(
    client: TestClient, submit: Callable[..., str]
) -> None:
    ids = [submit() for _ in range(5)]
    pages, cursor = [], None
    while True:
        page = client.get("/v1/jobs", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        pages.append([job["id"] for job in page["data"]])
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [job_id for page in pages for job_id in page] == ids[::-1]


def test_a_page_is_not_moved_by_jobs_that_come_in_between(
    client: TestClient, submit: Callable[..., str]
) -> None:
    ids = [submit() for _ in range(4)]
    first = client.get("/v1/jobs", params={"limit": 2}).json()
    submit()
    second = client.get("/v1/jobs", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [job["id"] for job in second["data"]] == [ids[1], ids[0]]


def test_the_list_can_be_of_one_status(
    client: TestClient, submit: Callable[..., str], worker: PlayedWorker
) -> None:
    done, waiting = submit(), submit()
    worker.succeed(done)
    by_status = {
        status: [job["id"] for job in client.get("/v1/jobs", params={"status": status}).json()["data"]]
        for status in ("queued", "running", "succeeded")
    }
    assert by_status == {"queued": [waiting], "running": [], "succeeded": [done]}


def test_a_replay_after_the_job_was_deleted_makes_a_new_job(client: TestClient, redis: Redis) -> None:
    key = {"Idempotency-Key": "k-1"}
    first = client.post("/v1/jobs", json=PROMPT, headers=key).json()
    client.delete(f"/v1/jobs/{first['id']}")
    second = client.post("/v1/jobs", json=PROMPT, headers=key)
    assert second.status_code == 202
    assert second.json()["id"] != first["id"]


def test_a_rejected_candidate_is_kept_while_its_file_is_there(
    client: TestClient, submit: Callable[..., str], worker: PlayedWorker, redis: Redis
) -> None:
    job_id = submit(select={"candidates": 3})
    keep = f"/v1/jobs/{job_id}/candidates"
    assert client.post(f"{keep}/0/keep").json()["type"] == "/errors/unknown_image"  # it has not chosen yet
    lease = worker.claim(job_id)
    made = worker.store(lease)
    for image in made:
        worker.leases.show(lease, image)
    worker.leases.succeed(lease, made[:1])
    worker.leases.reject(lease, [image.key for image in made[1:]])
    assert client.get(f"/v1/jobs/{job_id}/images/2").status_code == 200
    kept = client.post(f"{keep}/2/keep").json()
    assert [image["index"] for image in kept["images"]] == [0, 2]
    assert [one["kept"] for one in kept["candidates"]] == [True, False, True]
    assert kept["candidates"][1]["url"].endswith("/images/1")
    redis.hset(f"{PREFIX}job:{job_id}", "rejected_until_us", 1)  # as if the time were over
    assert client.post(f"{keep}/1/keep").status_code == 404
    assert client.get(f"/v1/jobs/{job_id}").json()["candidates"][1]["url"] is None
    assert client.get(f"/v1/jobs/{job_id}/images/1").status_code == 404
    assert client.post(f"{keep}/9/keep").status_code == 404
    assert client.post("/v1/jobs/nothing/candidates/0/keep").status_code == 404
