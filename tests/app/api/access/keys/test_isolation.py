"""What belongs to a tenant does not exist for anyone else: every route is asked."""

import re
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from redis import Redis
from starlette.testclient import TestClient

from app.api.access.keys.needs import need_of
from app.api.main import NOUNS, create_app
from app.api.settings import ApiSettings
from jobs.callers.identity import Identity
from jobs.callers.scopes import Role
from jobs.errors import JobFailedError
from jobs.nights.nights import Nights
from jobs.nights.plan import NightPlan
from jobs.queue.queue import JobQueue
from jobs.queue.submission import new_job_id
from jobs.status.job import JobStatus, Progress
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.embeddings import EmbeddingLibrary
from tests.app.conftest import LocalClient, MakeKey, serving
from tests.app.played_worker import PlayedWorker
from tests.app.samples import embedding_file, png
from tests.app.sse import Reader
from tests.jobs.samples import RESOLVED

VARYING = re.compile(
    r"[0-9a-f]{16}(?![0-9a-f])|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z?|\b1[0-9]{9,15}(-[0-9]+)?\b"
)
ENDLESS = "/v1/events"
# What stands in a path besides the id of a job or the name of an embedding: there for everyone, or for operators.
NEUTRAL = {
    "pool": "all",
    "index": "0",
    "number": "0",
    "model_id": "pocket",
    "owner": "lodestar",
    "version": "pocket",
    "key_id": "0" * 10,
    "tenant": "alice",
}
UNKNOWN = {"embedding": "qzzzq"}
UNKNOWN_DIGEST = "sha256:" + "0" * 64


@dataclass(frozen=True)
class Belongings:
    """What a tenant has."""

    jobs: dict[JobStatus, str]
    embedding: str
    digest: str
    upload: str
    night: str


@pytest.fixture
def alice(settings: ApiSettings, make_key: MakeKey) -> Iterator[TestClient]:
    """A client of one tenant."""
    headers = {"Authorization": f"Bearer {make_key(tenant='alice', name='a')}"}
    with LocalClient(create_app(settings), headers=headers) as client:
        yield client


@pytest.fixture(params=["bob", "default"])
def bob(request: pytest.FixtureRequest, settings: ApiSettings, make_key: MakeKey) -> Iterator[TestClient]:
    """A client of another tenant."""
    headers = {"Authorization": f"Bearer {make_key(tenant=request.param, name='a')}"}
    with LocalClient(create_app(settings), headers=headers) as client:
        yield client


@pytest.fixture
def stranger(settings: ApiSettings) -> Iterator[TestClient]:
    """A client without a key."""
    with LocalClient(create_app(settings)) as client:
        yield client


@pytest.fixture
def settings(settings: ApiSettings) -> ApiSettings:
    """Settings of an API that asks for keys and tells its webhook secret."""
    return settings.model_copy(update={"serve_webhook_secret": True, "max_queued": 100})


Give = Callable[[], Belongings]


@pytest.fixture
def give(alice: TestClient, worker: PlayedWorker, artifacts: ArtifactStore, redis: Redis) -> Give:
    """Let Alice have jobs in every status, pictures, previews, an embedding, a picture of an objective, an upload."""

    def submit(**fields: Any) -> str:
        answer = alice.post("/v1/jobs", json={"prompt": "a red apple", **fields})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def make() -> Belongings:
        picture = {"type": "image", "image": "data:image/png;base64," + b64encode(png()).decode()}
        jobs = {status: submit() for status in (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED)}
        jobs |= {status: submit() for status in (JobStatus.RUNNING, JobStatus.QUEUED)}
        kept = submit(guidance={"objectives": [picture]})
        worker.succeed(jobs[JobStatus.SUCCEEDED])
        worker.fail(jobs[JobStatus.FAILED], JobFailedError("because"))
        alice.post(f"/v1/jobs/{jobs[JobStatus.CANCELED]}/cancel")
        lease = worker.claim(jobs[JobStatus.RUNNING])
        worker.leases.renew(lease, Progress(step=1, steps=2))
        worker.leases.preview(lease, 0, 1, png(form="JPEG"))
        EmbeddingLibrary(artifacts, "alice").put("qherq", embedding_file("qherq"))
        objectives = alice.get(f"/v1/jobs/{kept}").json()["request"]["guidance"]["objectives"]
        uploads = alice.post("/v1/uploads", files={"files": ("hers.png", png())})
        assert uploads.status_code == 201, uploads.text
        # At its end already, so that none of its jobs comes between.
        night, whose = new_job_id(), Identity("alice", "a", frozenset(), "open")
        plan = NightPlan(request=RESOLVED, hours=0, keep=1, by="clip", identity=whose, caller="a")
        assert Nights(redis).begin(night, plan)
        upload = uploads.json()["data"][0]["id"]
        return Belongings(jobs, "qherq", objectives[0]["image"], upload, night)

    return make


def routes() -> Iterator[tuple[str, APIRoute]]:
    """Every route, by method."""
    for noun in NOUNS:
        for route in noun.router.routes:
            assert isinstance(route, APIRoute)
            for method in sorted(route.methods or ()):
                yield method, route


def filled(route: APIRoute, job_id: str, embedding: str, digest: str, upload: str, night: str) -> str:
    """The path of a route that leads to a job, an embedding, a job's input, an upload or a night."""
    is_of_embeddings = route.path.startswith("/v1/aesthetic-embeddings")
    is_of_job = "{job_id}" in route.path
    values = {"job_id": job_id, "picture_id": digest, "upload_id": upload, "file_id": upload}
    values["night_id"] = night
    values["name"] = embedding if is_of_embeddings else "0" if is_of_job else "pocket"
    return re.sub(r"\{(\w+)[^}]*\}", lambda found: {**NEUTRAL, **values}[found[1]], route.path)


def told(answer: Any, *own: str) -> tuple[int, dict[str, str], str]:
    """All of an answer but what always varies: dates, ids of requests, and what was asked for itself."""
    text = answer.text
    for word in own:
        text = text.replace(word, "*")
    headers = {name: value for name, value in answer.headers.items() if name not in {"date", "x-request-id"}}
    return answer.status_code, headers, VARYING.sub("~", text)


def bodies(
    mine: Belongings | None, job_id: str, embedding: str, digest: str
) -> dict[str, list[dict[str, Any]]]:
    """Requests by path whose bodies name a job, an embedding or a picture."""
    personal = {"prompt": "a", "personalization": {"embedding": embedding}}
    steered = {"prompt": "a", "guidance": {"objectives": [{"type": "embedding", "embedding": embedding}]}}
    likened = {"prompt": "a", "guidance": {"objectives": [{"type": "image", "image": digest}]}}
    native = [{"json": body} for body in (personal, steered, likened)]
    return {
        "/v1/jobs": native,
        "/v1/quote": native,
        "/v1/images": native,
        "/v1/scores": [{"files": {"jobs": (None, job_id)}}, {"files": {"jobs": (None, f"{job_id}/0")}}],
        "/v1/search": [{"files": {"job": (None, f"{job_id}/0")}}],
        "/v1/aesthetic-embeddings": [
            {"files": {"name": (None, "new"), "clip": (None, "pocket-s"), "jobs": (None, job_id)}},
            {
                "files": {
                    "name": (None, "new"),
                    "clip": (None, "pocket-s"),
                    "jobs": (None, job_id),
                    "minus_jobs": (None, job_id),
                }
            },
        ],
        "/v1/predictions": [{"json": {"version": "pocket", "input": personal}}],
    }


def test_every_parameter_of_a_path_is_one_that_this_test_knows() -> None:
    for _, route in routes():
        assert "{" not in filled(route, "0", "0", "0", "0", "0")


def test_by_every_route_another_s_thing_is_answered_as_one_that_never_was(
    give: Give, bob: TestClient, stranger: TestClient
) -> None:
    hers = give()
    asked = 0
    for client in (stranger, bob):
        for method, route in routes():
            if "{" not in route.path:
                continue
            for job_id in hers.jobs.values():
                unknown = new_job_id()
                named = job_id, hers.embedding, hers.digest, hers.upload, hers.night
                invented = unknown, UNKNOWN["embedding"], UNKNOWN_DIGEST, UNKNOWN_DIGEST, new_job_id()
                known = filled(route, *named)
                answers = [client.request(method, path) for path in (known, filled(route, *invented))]
                said = [told(answers[0], *named), told(answers[1], *invented)]
                assert said[0] == said[1], (method, known)
                if client is stranger and not need_of(route.endpoint).is_public:
                    assert answers[0].status_code == 401
                asked += 1
    assert asked > 200


def test_what_a_body_names_of_another_s_is_answered_as_if_it_never_was(give: Give, bob: TestClient) -> None:
    hers = give()
    unknown_digest = UNKNOWN_DIGEST
    assert unknown_digest not in (hers.digest, hers.upload)
    for job_id in hers.jobs.values():
        unknown = new_job_id()
        mine = bodies(hers, job_id, hers.embedding, hers.digest)
        other = bodies(None, unknown, UNKNOWN["embedding"], unknown_digest)
        for path, requests in mine.items():
            for first, second in zip(requests, other[path], strict=True):
                answers = [bob.post(path, **first), bob.post(path, **second)]
                said = [
                    told(answers[0], job_id, hers.embedding, hers.digest),
                    told(answers[1], unknown, UNKNOWN["embedding"], unknown_digest),
                ]
                assert said[0] == said[1], (path, first)
                assert answers[0].status_code in {404, 422}, answers[0].text


def test_nothing_that_a_tenant_does_changes_what_another_sees(
    give: Give, bob: TestClient, alice: TestClient
) -> None:
    """Lists, counts, progress and secrets, by every route without a parameter."""

    def seen() -> dict[str, Any]:
        paths = {
            route.path
            for method, route in routes()
            if method == "GET" and "{" not in route.path and route.path not in {ENDLESS, "/v1/search"}
        }
        shown = {path: told(bob.get(path)) for path in sorted(paths - {"/readyz", "/metrics"})}
        return shown | {
            f"/v1/jobs?status={status}": told(bob.get("/v1/jobs", params={"status": status}))
            for status in JobStatus
        }

    before = seen()
    hers = give()
    alice.post("/sdapi/v1/options", json={"sd_model_checkpoint": "big"})
    assert alice.get("/v1/queue").json()["jobs"]["queued"] == 2
    assert seen() == before
    assert len(alice.get("/v1/jobs").json()["data"]) == len(hers.jobs) + 1


def test_nobody_cancels_or_deletes_another_s_job(give: Give, bob: TestClient, alice: TestClient) -> None:
    hers = give()
    for job_id in hers.jobs.values():
        before = alice.get(f"/v1/jobs/{job_id}").json()
        assert bob.post(f"/v1/jobs/{job_id}/cancel").status_code == 404
        assert bob.post(f"/v1/predictions/{job_id}/cancel").status_code == 404
        assert bob.delete(f"/v1/jobs/{job_id}").status_code == 404
        after = alice.get(f"/v1/jobs/{job_id}").json()
        assert (before["status"], before["cancel_requested"]) == (after["status"], after["cancel_requested"])
    assert bob.delete(f"/v1/aesthetic-embeddings/{hers.embedding}").status_code == 404
    assert alice.get(f"/v1/aesthetic-embeddings/{hers.embedding}").status_code == 200


def test_a_tenant_reaches_what_is_its_own(give: Give, alice: TestClient) -> None:
    hers = give()
    done, running = hers.jobs[JobStatus.SUCCEEDED], hers.jobs[JobStatus.RUNNING]
    for path in (
        f"/v1/jobs/{done}",
        f"/v1/jobs/{done}/images/0",
        f"/v1/jobs/{done}/events",
        f"/v1/predictions/{done}",
        f"/v1/jobs/{running}/previews/0",
        f"/v1/aesthetic-embeddings/{hers.embedding}/file",
    ):
        assert alice.get(path).status_code == 200, path
    likened = {"prompt": "a", "guidance": {"objectives": [{"type": "image", "image": hers.digest}]}}
    assert alice.post("/v1/jobs", json=likened).status_code == 202
    assert alice.delete(f"/v1/jobs/{done}").status_code == 204
    assert alice.get(f"/v1/jobs/{done}").status_code == 404


def test_an_operator_sees_the_jobs_of_all(give: Give, operator: TestClient, bob: TestClient) -> None:
    hers = give()
    bobs = bob.post("/v1/jobs", json={"prompt": "a"}).json()["id"]
    listed = {job["id"] for job in operator.get("/v1/jobs").json()["data"]}
    assert listed >= {*hers.jobs.values(), bobs}
    assert operator.get(f"/v1/jobs/{hers.jobs[JobStatus.SUCCEEDED]}/images/0").status_code == 200
    assert operator.post(f"/v1/jobs/{hers.jobs[JobStatus.QUEUED]}/cancel").json()["status"] == "canceled"
    assert operator.get("/v1/queue").json()["jobs"]["failed"] == 1


def test_the_same_idempotency_key_of_two_tenants_is_two_keys(alice: TestClient, bob: TestClient) -> None:
    headers = {"Idempotency-Key": "key"}
    answers = [
        client.post("/v1/jobs", json={"prompt": "a"}, headers=headers) for client in (alice, bob, alice)
    ]
    assert [answer.status_code for answer in answers] == [202, 202, 202]
    first, second, again = (answer.json()["id"] for answer in answers)
    assert first == again != second
    assert "idempotency-replayed" not in answers[1].headers
    other = bob.post("/v1/jobs", json={"prompt": "b"}, headers={"Idempotency-Key": "key 2"})
    assert other.status_code == 202
    assert (
        alice.post("/v1/jobs", json={"prompt": "c"}, headers={"Idempotency-Key": "key 2"}).status_code == 202
    )


def test_the_same_name_of_two_tenants_is_two_embeddings(
    alice: TestClient, bob: TestClient, artifacts: ArtifactStore
) -> None:
    EmbeddingLibrary(artifacts, "alice").put("fluent", embedding_file("fluent"))
    assert alice.get("/v1/aesthetic-embeddings").json()["data"][0]["name"] == "fluent"
    assert bob.get("/v1/aesthetic-embeddings").json()["data"] == []
    form: Any = {
        "name": (None, "fluent"),
        "clip": (None, "pocket-s"),
        "pictures": ("a.png", png(), "image/png"),
    }
    assert alice.post("/v1/aesthetic-embeddings", files=form).status_code == 409
    assert bob.post("/v1/aesthetic-embeddings", files=form).status_code == 202


def test_each_tenant_has_a_webhook_secret_of_its_own(alice: TestClient, bob: TestClient) -> None:
    secrets = [
        client.get(path).json()["key"]
        for client in (alice, bob)
        for path in ("/v1/webhooks/secret", "/v1/webhooks/default/secret")
    ]
    assert secrets[0] == secrets[1] != secrets[2] == secrets[3]


def test_jobs_of_a_version_without_tenants_are_the_default_tenant_s(
    redis: Redis, bob: TestClient, alice: TestClient, make_key: MakeKey
) -> None:
    old = JobQueue(redis, max_queued=100).submit(RESOLVED).job.id
    assert redis.hget(f"{{lodestar}}:job:{old}", "tenant") is None
    default = {"Authorization": f"Bearer {make_key()}"}
    assert alice.get(f"/v1/jobs/{old}", headers=default).status_code == 200
    assert [job["id"] for job in alice.get("/v1/jobs", headers=default).json()["data"]] == [old]
    assert alice.get(f"/v1/jobs/{old}").status_code == 404


def test_a_page_of_the_default_tenant_is_full_among_the_jobs_of_others(
    alice: TestClient, make_key: MakeKey
) -> None:
    default = {"Authorization": f"Bearer {make_key()}"}
    own = []
    for _ in range(4):
        own.append(alice.post("/v1/jobs", json={"prompt": "a"}, headers=default).json()["id"])
        alice.post("/v1/jobs", json={"prompt": "a"})
    found, cursor = [], None
    while True:
        page = alice.get(
            "/v1/jobs", params={"limit": 3, **({"cursor": cursor} if cursor else {})}, headers=default
        )
        found.append([job["id"] for job in page.json()["data"]])
        if (cursor := page.json()["next_cursor"]) is None:
            break
    assert found == [own[:0:-1], own[:1]]


@pytest.mark.parametrize("tenant", ["bob", "default"])
def test_the_stream_of_all_events_has_those_of_one_s_own_jobs_alone(
    settings: ApiSettings, make_key: MakeKey, tenant: str
) -> None:
    def headers(name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {make_key(tenant=name)}"}

    with (
        serving(create_app(settings), stop_timeout_s=1) as url,
        httpx.Client(base_url=url, headers=headers("alice"), timeout=60) as alice,
        httpx.Client(base_url=url, headers=headers(tenant), timeout=60) as bob,
    ):
        alice.post("/v1/jobs", json={"prompt": "before"})
        reader = Reader(bob, ENDLESS)
        thread = threading.Thread(target=reader.read, args=(3,))
        thread.start()
        while not reader.seen:
            thread.join(0.02)
        hers = alice.post("/v1/jobs", json={"prompt": "hers"}).json()["id"]
        alice.post(f"/v1/jobs/{hers}/cancel")
        alice.delete(f"/v1/jobs/{hers}")
        his = bob.post("/v1/jobs", json={"prompt": "his"}).json()["id"]
        bob.post(f"/v1/jobs/{his}/cancel")
        thread.join(30)
        assert reader.names == ["snapshot", "queued", "done"]
        assert sum(reader.seen[0].data["jobs"].values()) == 0
        assert {message.data["job_id"] for message in reader.seen[1:]} == {his}


def test_an_operator_s_stream_has_the_events_of_all(settings: ApiSettings, make_key: MakeKey) -> None:
    boss = {"Authorization": f"Bearer {make_key(role=Role.OPERATOR)}"}
    with (
        serving(create_app(settings), stop_timeout_s=1) as url,
        httpx.Client(base_url=url, headers=boss, timeout=60) as client,
    ):
        reader = Reader(client, ENDLESS)
        thread = threading.Thread(target=reader.read, args=(2,))
        thread.start()
        while not reader.seen:
            thread.join(0.02)
        key = {"Authorization": f"Bearer {make_key(tenant='alice')}"}
        hers = client.post("/v1/jobs", json={"prompt": "hers"}, headers=key).json()["id"]
        thread.join(30)
        assert reader.seen[1].data["job_id"] == hers
