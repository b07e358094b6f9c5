"""Behind a proxy that serves the API under a prefix, everything leads to where it is."""

import json
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import httpx
import pytest
from openai import OpenAI

from app.api.main import create_app
from app.api.settings import ApiSettings
from jobs.errors import ConfigurationError
from jobs.requests.request import GenerateRequest
from lodestar.client import Client
from tests.app.api.webhooks.receiver import receiving
from tests.app.conftest import LocalClient, Run, serving
from tests.app.played_worker import PlayedWorker
from tests.app.proxy import proxying

SD = "/sd"
APPLE = {"prompt": "a red apple"}


def placed(kind: str, settings: ApiSettings) -> Iterator[str]:
    """Address of an API under the prefix, which the proxy or the operator says, and the proxy takes off or not."""
    header = {"X_Forwarded_Prefix": SD} if "header" in kind else {}
    app = create_app(settings.model_copy(update={"root_path": "" if header else SD}))
    with serving(app) as backend, proxying(backend, SD, strips="strips" in kind, **header) as url:
        yield url


@pytest.fixture(params=["header, strips", "header, keeps", "setting, strips", "setting, keeps"])
def url(request: pytest.FixtureRequest, settings: ApiSettings) -> Iterator[str]:
    """Address of an API under a prefix, in every way that it can be put there."""
    yield from placed(request.param, settings)


@pytest.fixture
def stripped(settings: ApiSettings) -> Iterator[str]:
    """Address of an API whose proxy takes the prefix off and says so."""
    yield from placed("header, strips", settings)


def at(url: str, path: str) -> str:
    """The address of an absolute path that was told under ``url``, as a browser finds it."""
    return str(httpx.URL(url).join(path))


def paths_in(told: Any) -> list[str]:
    """Every path or address of the API in a JSON value."""
    if isinstance(told, dict):
        return [path for value in told.values() for path in paths_in(value)]
    if isinstance(told, list):
        return [path for value in told for path in paths_in(value)]
    return [told] if isinstance(told, str) and "/v1/" in told else []


def test_what_a_job_names_is_there(url: str, worker: PlayedWorker) -> None:
    submitted = httpx.post(f"{url}/v1/jobs", json={**APPLE, "num_images": 2})
    job_id = submitted.json()["id"]
    assert submitted.headers["Location"] == f"{SD}/v1/jobs/{job_id}"
    worker.succeed(job_id)
    job = httpx.get(at(url, submitted.headers["Location"])).json()
    assert len(paths_in(job)) == 5
    for path in paths_in(job):
        assert path.startswith(f"{SD}/v1/jobs/{job_id}")
        answer = httpx.post(at(url, path)) if path.endswith("cancel") else httpx.get(at(url, path))
        assert answer.status_code == 200, path
    assert httpx.get(f"{url}/v1/jobs").json()["data"] == [job]


def test_events_lead_there(stripped: str, worker: PlayedWorker) -> None:
    job = httpx.post(f"{stripped}/v1/jobs", json={**APPLE, "select": {"candidates": 2}}).json()
    lease = worker.claim(job["id"])
    made = worker.store(lease)
    worker.leases.preview(lease, 0, 1, b"jpeg")
    worker.leases.show(lease, made[0])
    seen = dict[str, Any]()
    with httpx.stream(
        "GET", f"{at(stripped, job['urls']['events'])}?last_event_id=0-1", timeout=60
    ) as stream:
        lines = (line.removeprefix("data:") for line in stream.iter_lines() if line.startswith("data:"))
        while "candidate" not in seen:
            event = json.loads(next(lines))
            seen[event["type"]] = event
    running = httpx.get(at(stripped, job["urls"]["self"])).json()
    paths = [*paths_in(seen["preview"]), *paths_in(seen["candidate"]), *paths_in(running["candidates"])]
    assert len(paths) == 3
    worker.leases.succeed(lease, made)
    final = httpx.get(at(stripped, job["urls"]["events"])).text.split("event: done")[1]
    paths += paths_in(json.loads(final.split("data:")[1].splitlines()[0]))
    assert len(paths) > 8
    for path in paths:
        assert path.startswith(f"{SD}/v1/jobs/{job['id']}"), path


def test_a_drawn_picture_is_linked_to(stripped: str, worker: PlayedWorker, settings: ApiSettings) -> None:
    key = {"Idempotency-Key": "1"}
    job_id = httpx.post(f"{stripped}/v1/jobs", json=APPLE, headers=key).json()["id"]
    worker.succeed(job_id)
    drawn = httpx.post(f"{stripped}/v1/images", json=APPLE, headers=key, timeout=60)
    assert drawn.headers["Content-Location"] == f"{SD}/v1/jobs/{job_id}/images/0"
    assert drawn.headers["Link"].count(f"<{SD}/v1/jobs/{job_id}") == 2


def test_dialects_tell_whole_addresses(stripped: str, worker: PlayedWorker) -> None:
    prediction = httpx.post(f"{stripped}/v1/predictions", json={"version": "pocket", "input": APPLE}).json()
    worker.succeed(prediction["id"])
    told = httpx.get(prediction["urls"]["get"]).json()
    assert len(paths_in(told)) == 4
    model = httpx.get(f"{stripped}/v1/models/lodestar/pocket").json()
    for address in (*paths_in(told), model["url"]):
        assert address.startswith(f"{stripped}/v1/"), address
        assert httpx.get(address).status_code in {200, 405}, address
    job = httpx.post(f"{stripped}/v1/jobs", json=APPLE, headers={"Idempotency-Key": "openai"}).json()
    worker.succeed(job["id"])
    with OpenAI(base_url=f"{stripped}/v1", api_key="none") as client:
        answer = client.images.generate(
            prompt=APPLE["prompt"], response_format="url", extra_headers={"Idempotency-Key": "openai"}
        )
    assert answer.data
    assert answer.data[0].url == f"{stripped}/v1/jobs/{job['id']}/images/0.png"


def test_pages_load_all_that_they_name(url: str) -> None:
    for page in (url, f"{url}/", f"{url}/dashboard", f"{url}/dashboard/", f"{url}/docs", f"{url}/docs/"):
        answer = httpx.get(page, follow_redirects=True)
        assert answer.status_code == 200, page
        named = [part.split('"')[0] for part in answer.text.replace("src=", "href=").split('href="')[1:]]
        assert len(named) > 3
        for path in named:
            assert path.startswith(("#", f"{SD}/")), path
            assert httpx.get(at(str(answer.url), path)).status_code == 200, path
    assert httpx.get(f"{url}/openapi.json").json()["servers"] == [{"url": SD}]


def test_a_redirect_stays_under_the_prefix(url: str) -> None:
    answer = httpx.get(f"{url}/v1/jobs/?limit=1")
    assert (answer.status_code, answer.headers["Location"]) == (307, f"{SD}/v1/jobs?limit=1")
    assert httpx.get(f"{url}/dashboard").headers["Location"] == f"{SD}/"


def test_errors_uploads_and_dialects_know_their_paths(url: str) -> None:
    assert httpx.get(f"{url}/v1/jobs/none").json()["type"] == "/errors/unknown_job"
    assert httpx.get(f"{url}/v1/models/none").json()["error"]["code"] == "model_not_found"
    # Longer than a body may be that is no upload: what is refused is the file.
    answer = httpx.post(
        f"{url}/v1/scores", data={"prompt": "a"}, files={"pictures": b"x" * (2 << 20)}, timeout=60
    )
    assert answer.json()["type"] == "/errors/invalid_file"
    cross = {"Sec-Fetch-Site": "cross-site"}
    assert httpx.get(f"{url}/v1/search?q=a", headers=cross).json()["type"] == "/errors/cross_site"


def test_our_own_client_finds_everything(stripped: str, worker: PlayedWorker, run: Run) -> None:
    with Client(stripped) as client:
        job_id = client.submit(GenerateRequest(prompt="a red apple")).id
        worker.succeed(job_id)
        assert [event.name for event in client.jobs.events(job_id)] == ["snapshot", "done"]
        assert client.jobs.image(job_id, 0).startswith(b"\x89PNG")
    assert run("wait", job_id, "-o", "apple.png", "--url", stripped) == 0
    assert run("jobs", "--url", f"{stripped}/") == 0


def test_webhooks_name_the_prefix_that_is_set(settings: ApiSettings, worker: PlayedWorker) -> None:
    update = {"webhook_networks": (ip_network("127.0.0.0/8"),), "root_path": SD}
    with receiving() as receiver, serving(create_app(settings.model_copy(update=update))) as url:
        native = httpx.post(f"{url}/v1/jobs", json={**APPLE, "webhook": receiver.url}).json()
        body = {
            "version": "pocket",
            "input": APPLE,
            "webhook": receiver.url,
            "webhook_events_filter": ["completed"],
        }
        predicted = httpx.post(f"{url}/v1/predictions", json=body).json()
        for job in (native, predicted):
            worker.succeed(job["id"])
        told = [json.loads(message.body) for message in receiver.wait_for(2)]
    paths = [path for message in told for path in paths_in(message)]
    assert len(paths) == 4 + 4
    assert all(path.startswith((f"{SD}/v1/", f"{url}{SD}/v1/")) for path in paths), paths


def test_a_prefix_is_only_believed_of_a_trusted_proxy(settings: ApiSettings) -> None:
    elsewhere = settings.model_copy(update={"forwarded_allow_ips": "10.0.0.0/8"})
    for trusting, prefix in ((settings, SD), (elsewhere, "")):
        with serving(create_app(trusting)) as url:
            answer = httpx.post(f"{url}/v1/jobs", json=APPLE, headers={"X-Forwarded-Prefix": SD})
            assert answer.headers["Location"] == f"{prefix}/v1/jobs/{answer.json()['id']}"


@pytest.mark.parametrize(
    ("said", "prefix"),
    [
        ("/a/b/", "/a/b"),
        ("/a, /b", "/a/b"),
        ("/", ""),
        ("//evil.example", ""),
        ("http://evil.example", ""),
        ('/"><script>', ""),
        ("/..", ""),
        ("evil.example", ""),
    ],
)
def test_nothing_but_a_path_is_taken_for_a_prefix(settings: ApiSettings, said: str, prefix: str) -> None:
    client = LocalClient(create_app(settings), client=("127.0.0.1", 1))
    page = client.get("/", headers={"X-Forwarded-Prefix": said}).text
    assert f'src="{prefix}/dashboard/app.js"' in page
    assert "evil" not in page


def test_a_prefix_among_our_own_paths_is_refused(settings: ApiSettings) -> None:
    for prefix in ("/v1", "/v1/jobs", "/docs", "/sdapi", "/healthz", "/reference", "/openapi.json"):
        with pytest.raises(ConfigurationError, match="paths of its own under"):
            create_app(settings.model_copy(update={"root_path": prefix}))
    create_app(settings.model_copy(update={"root_path": "/v1beta"}))


def test_clients_that_came_by_ipv4_are_known_by_their_own_address(settings: ApiSettings) -> None:
    app = create_app(settings)
    for address in ("127.0.0.1", "::ffff:127.0.0.1", "::1"):
        client = LocalClient(app, client=(address, 1))
        answer = client.get("/v1/jobs/", headers={"X-Forwarded-Prefix": SD}, follow_redirects=False)
        assert answer.headers["Location"] == f"{SD}/v1/jobs", address
