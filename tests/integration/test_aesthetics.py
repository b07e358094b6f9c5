"""Personalize, score, choose and search, through the real stack."""

import base64
import io
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image

from jobs.requests.request import GenerateRequest
from jobs.status.job import Job
from tests.brought_pictures import encoded, greys, lying, same_greys, scene
from tests.integration.stack import PATIENCE_S, Stack

PROMPT = "a red apple on a light blue background"


@pytest.fixture
def http(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.url, timeout=120) as client:
        yield client


def finish(stack: Stack, answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 202, answer.text
    return stack.finish(answer.json()["id"]).model_dump(mode="json")


def make(stack: Stack, **fields: object) -> Job:
    asked = {"prompt": PROMPT, "seed": 7, "steps": 4, **fields}
    return stack.finish(stack.client.submit(GenerateRequest.model_validate(asked)).id)


def pixels(stack: Stack, job: Job) -> bytes:
    with Image.open(io.BytesIO(stack.client.jobs.image(job.id, job.images[0].index))) as image:
        return image.tobytes()


def test_a_job_is_personalized_towards_an_embedding_made_of_another_jobs_pictures(
    stack: Stack, http: httpx.Client
) -> None:
    source = make(stack, prompt="fluent dark green tree", num_images=2)
    form = {"name": "warm", "jobs": [source.id]}
    made = finish(stack, http.post("/v1/aesthetic-embeddings", data=form, files={"ignored": b""}))
    assert (made["result"]["clip"], made["result"]["pictures"]) == ("pocket-s", 2)
    asked = {"embedding": "warm", "steps": 5, "lr": 1e-3}
    plain = pixels(stack, make(stack))
    assert pixels(stack, make(stack, personalization=asked)) != plain
    assert pixels(stack, make(stack, personalization={**asked, "steps": 0})) == plain
    file = http.get("/v1/aesthetic-embeddings/warm/file").content
    again = {"file": ("warm.safetensors", file)}
    imported = finish(
        stack, http.post("/v1/aesthetic-embeddings/import", data={"name": "again"}, files=again)
    )
    assert imported["result"]["digest"] == made["result"]["digest"]
    assert [each["name"] for each in http.get("/v1/aesthetic-embeddings").json()["data"]] == ["again", "warm"]


def test_a_job_is_guided_by_a_picture_and_what_it_shows_as_its_request_gives_the_same_bytes(
    stack: Stack, http: httpx.Client
) -> None:
    def guided_by(file: bytes) -> Job:
        objective = {"type": "image", "image": base64.b64encode(file).decode()}
        return make(stack, guidance={"objectives": [objective], "cutouts": 4, "scale": 0.5, "trace": True})

    upright, turned = guided_by(encoded(scene())), guided_by(lying(6, "PNG"))
    assert upright.images[0].trace == turned.images[0].trace
    assert pixels(stack, upright) == pixels(stack, turned) != pixels(stack, guided_by(encoded(greys())))
    again = http.post("/v1/jobs", json=upright.model_dump(mode="json")["request"])
    assert again.status_code == 202, again.text
    repeated = stack.finish(again.json()["id"])
    assert stack.client.jobs.image(repeated.id, 0) == stack.client.jobs.image(upright.id, 0)
    refusal = http.post(
        "/v1/jobs",
        json={"prompt": PROMPT, "guidance": {"objectives": [{"type": "image", "image": "aGVsbG8="}]}},
    )
    assert (refusal.status_code, refusal.json()["type"]) == (422, "/errors/invalid_file")


def test_what_was_sent_to_be_looked_at_scores_alike_and_is_deleted_when_it_was(
    stack: Stack, http: httpx.Client
) -> None:
    files = [("pictures", (name, file)) for name, file in same_greys().items()]
    scored = finish(stack, http.post("/v1/scores", data={"prompt": PROMPT}, files=files))
    scores = [each["clip_score"] for each in scored["result"]["pictures"]]
    assert scores == pytest.approx([scores[0]] * len(files), abs=0.02)
    end = time.monotonic() + PATIENCE_S
    while (stack.data_dir / "artifacts" / scored["id"] / "uploads").exists():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_an_import_that_is_not_an_embedding_fails_with_the_reason(stack: Stack, http: httpx.Client) -> None:
    answer = http.post(
        "/v1/aesthetic-embeddings/import", data={"name": "bad"}, files={"file": ("bad.npy", b"not numpy")}
    )
    job = stack.client.jobs.wait(answer.json()["id"], timeout_s=PATIENCE_S)
    assert job.error is not None
    assert job.error.type == "invalid_file"
    assert job.error.message.startswith("bad.npy ")


def test_the_best_of_many_are_kept_and_found_by_their_prompt(stack: Stack, http: httpx.Client) -> None:
    chosen = make(
        stack, prompt="a yellow lemon", select={"candidates": 5, "keep": 2, "scorer": "pocket-eval"}
    )
    make(stack, prompt="a blue whale on a dark green background")
    assert [candidate.index for candidate in chosen.candidates] == [0, 1, 2, 3, 4]
    scores = {candidate.index: candidate.clip_score or 0.0 for candidate in chosen.candidates}
    best_first = sorted(scores, key=lambda index: -scores[index])
    assert [image.index for image in chosen.images] == best_first[:2]
    for candidate in chosen.candidates:
        kept = candidate.index in best_first[:2]
        assert candidate.kept is kept
        status = http.get(f"/v1/jobs/{chosen.id}/images/{candidate.index}").status_code
        assert status == 200  # the others are deleted a quarter of an hour later
    hits = http.get("/v1/search", params={"q": "a yellow lemon", "limit": 100}).json()["data"]
    found = [(hit["job_id"], hit["image"]["index"]) for hit in hits]
    assert {(chosen.id, index) for index in best_first[:2]} <= set(found)
    assert not {(chosen.id, index) for index in best_first[2:]} & set(found)
    reference = {"job": f"{chosen.id}/{best_first[0]}"}
    (same, *_) = http.post("/v1/search", data=reference, files={"ignored": b""}).json()["data"]
    assert same["job_id"] == chosen.id
    assert same["similarity"] == pytest.approx(1, abs=1e-3)


def test_an_uploaded_picture_is_scored(stack: Stack, http: httpx.Client) -> None:
    job = make(stack)
    png = stack.client.jobs.image(job.id, 0)
    form = {"prompt": PROMPT, "clip": "pocket-m"}
    answer = http.post("/v1/scores", data=form, files={"pictures": ("a.png", png)})
    (score,) = finish(stack, answer)["result"]["pictures"]
    assert score["clip_score"] == pytest.approx(job.images[0].clip_score, abs=5e-3)
