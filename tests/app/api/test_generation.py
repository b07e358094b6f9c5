"""Pictures in one call, as a terminal makes it."""

import io
import json
import re
import shutil
import socket
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from redis import Redis

from app.api.main import create_app
from app.api.settings import ApiSettings
from jobs.errors import DeadlineExceededError
from jobs.queue.leases import Standing
from jobs.queue.queue import JobQueue
from jobs.status.job import JobStatus
from tests.app.conftest import serving
from tests.app.played_worker import PlayedWorker


def _documented_commands() -> list[str]:
    page = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
    section = page.partition("## Make a picture in one call")[2].partition("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    assert blocks  # without any, the test below would be skipped
    return blocks


def first_job(live: httpx.Client) -> dict[str, Any]:
    """The one job, once it is there."""
    end = time.monotonic() + 60
    while not (jobs := live.get("/v1/jobs").json()["data"]):
        assert time.monotonic() < end
        time.sleep(0.02)
    found: dict[str, Any] = jobs[0]
    return found


def job_that_is(live: httpx.Client, job_id: str, status: str) -> dict[str, Any]:
    end = time.monotonic() + 60
    while (job := live.get(f"/v1/jobs/{job_id}").json())["status"] != status:
        assert time.monotonic() < end, job
        time.sleep(0.02)
    return dict(job)


@pytest.fixture
def drawing(redis: Redis, worker: PlayedWorker) -> Iterator[None]:
    """A worker that does whatever comes."""
    stop = threading.Event()

    def work() -> None:
        queue = JobQueue(redis, max_queued=5)
        while not stop.wait(0.02):
            for job in queue.list(status=JobStatus.QUEUED).data:
                worker.succeed(job.id)

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()


def opened(answer: httpx.Response) -> Image.Image:
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content))


WAYS: list[Callable[[httpx.Client, dict[str, str]], httpx.Response]] = [
    lambda live, fields: live.post("/v1/images", params=fields),
    lambda live, fields: live.post("/v1/images", data=fields),
    lambda live, fields: live.post(
        "/v1/images", files={name: (None, value) for name, value in fields.items()}
    ),
    lambda live, fields: live.post("/v1/images", json=fields),
    lambda live, fields: live.post(
        "/v1/images", params={"seed": fields["seed"]}, json={"prompt": fields["prompt"]}
    ),
]


@pytest.mark.parametrize("way", WAYS, ids=["query", "form", "multipart", "json", "mixture"])
def test_the_answer_is_the_picture_however_the_fields_come(
    way: Callable[[httpx.Client, dict[str, str]], httpx.Response], live: httpx.Client, drawing: None
) -> None:
    answer = way(live, {"prompt": "a red apple & more", "seed": "9"})
    picture = opened(answer)
    assert (picture.format, picture.size) == ("PNG", (64, 64))
    assert picture.info["parameters"].startswith("a red apple & more\n")
    job = first_job(live)
    assert (job["request"]["prompt"], job["request"]["seed"]) == ("a red apple & more", 9)
    assert answer.headers["Content-Location"] == f"/v1/jobs/{job['id']}/images/0"
    assert answer.headers["Link"].startswith(f'</v1/jobs/{job["id"]}>; rel="describedby"')
    assert answer.content == live.get(f"/v1/jobs/{job['id']}/images/0").content


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "image/png"),
        ("image/*", "image/png"),
        ("image/webp", "image/webp"),
        ("image/jpeg, image/*;q=0.5", "image/jpeg"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8", "image/webp"),
        ("application/json", "application/json"),
        ("application/json, text/plain, */*", "application/json"),
        ("image/png, application/json;q=0.5", "image/png"),
        ("application/zip", "application/zip"),
    ],
)
def test_accept_chooses_what_comes(accept: str, kind: str, live: httpx.Client, drawing: None) -> None:
    answer = live.post("/v1/images", params={"prompt": "a"}, headers={"Accept": accept})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, kind)
    if kind == "application/json":
        assert answer.json() == first_job(live)


def test_several_pictures_are_linked_or_come_as_a_zip_file(live: httpx.Client, drawing: None) -> None:
    fields: dict[str, str | int] = {"prompt": "a", "num_images": 3, "seed": 5}
    answer = live.post("/v1/images", params=fields)
    links = [part.split(";")[0].strip("<>") for part in answer.headers["Link"].split(", ") if "item" in part]
    assert opened(live.get(links[0])).tobytes() == opened(answer).tobytes()
    assert len({live.get(link).content for link in links}) == 3
    archive = live.post("/v1/images", params=fields, headers={"Accept": "application/zip"})
    with zipfile.ZipFile(io.BytesIO(archive.content)) as folder:
        assert [folder.read(name) for name in folder.namelist()] == [live.get(link).content for link in links]


def test_fields_are_known_by_their_former_names(live: httpx.Client, drawing: None) -> None:
    fields = {"prompt": "a", "images": "2", "preview_every": "4", "select.judge": "pocket-s"}
    fields |= {"select.candidates": "2", "sampler": "dpmpp_2m_karras"}
    for where in ("params", "data"):
        assert live.post("/v1/images", **{where: fields}).status_code == 200  # type: ignore[arg-type]
        request = first_job(live)["request"]
        assert (request["num_images"], request["preview_every_steps"]) == (2, 4)
        assert request["select"]["scorer"] == "pocket-s"
        assert (request["sampler"], request["schedule"]) == ("dpmpp_2m", "karras")
        assert not {"images", "preview_every", "judge"} & (request.keys() | request["select"].keys())


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ({"prompt": "a", "steps": "999"}, {"prompt": "a", "steps": 999}),
        ({"prompt": "a\0"}, {"prompt": "a\0"}),
        ({}, {}),
        ({"prompt": "a", "size": "1"}, {"prompt": "a", "size": "1"}),
        ({"prompt": "a", "guidance.cutouts": "0"}, {"prompt": "a", "guidance": {"cutouts": 0}}),
        ({"prompt": "a", "model": "nope"}, {"prompt": "a", "model": "nope"}),
        ({"prompt": "a", "images": "17"}, {"prompt": "a", "num_images": 17}),
        (
            {"prompt": "a", "images": "2", "num_images": "3"},
            {"prompt": "a", "images": 2, "num_images": 3},
        ),
        (
            {"prompt": "a", "sampler": "dpmpp_2m_karras", "schedule": "default"},
            {"prompt": "a", "sampler": "dpmpp_2m_karras", "schedule": "default"},
        ),
        (
            {"prompt": "a", "sampler": "pndm", "schedule": "karras"},
            {"prompt": "a", "sampler": "pndm", "schedule": "karras"},
        ),
        ({"prompt": "a", "width": "50"}, {"prompt": "a", "width": 50}),
        ({"prompt": "a", "webhook": "http://127.0.0.1/"}, {"prompt": "a", "webhook": "http://127.0.0.1/"}),
    ],
)
def test_errors_are_those_of_a_job(query: dict[str, str], body: dict[str, Any], live: httpx.Client) -> None:
    def told(answer: httpx.Response) -> dict[str, Any]:
        problem: dict[str, Any] = answer.json()
        del problem["request_id"]
        return problem

    expected = told(live.post("/v1/jobs", json=body))
    assert expected["status"] == 422
    assert told(live.post("/v1/images", params=query)) == expected
    assert told(live.post("/v1/images", data=query)) == expected
    assert told(live.post("/v1/images", json=body)) == expected


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[1]", "application/json", 422),
        (b"[" * 200_000, "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"a red apple", "text/plain", 415),
        (b"--x", "multipart/form-data", 400),
        (b"--x", "multipart/form-data; boundary=y", 400),
        (b'--y\r\nContent-Disposition: form-data; name="prompt"; filename="a"\r\n\r\na\r\n--y--\r\n',
         "multipart/form-data; boundary=y", 422),
    ],
)  # fmt: skip
def test_a_body_that_cannot_be_read_is_refused(
    content: bytes, kind: str, status: int, live: httpx.Client
) -> None:
    answer = live.post("/v1/images", content=content, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text
    assert answer.json()["type"].startswith("/errors/")


def test_a_field_in_both_places_is_refused(live: httpx.Client) -> None:
    answer = live.post("/v1/images", params={"prompt": "a"}, json={"prompt": "b"})
    assert (answer.status_code, answer.json()["detail"]) == (422, "prompt came in the query and in the body")


def test_a_job_that_fails_or_is_canceled_is_an_error_that_says_so(
    live: httpx.Client, worker: PlayedWorker
) -> None:
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(live.post, "/v1/images", params={"prompt": "a"})
        worker.fail(first_job(live)["id"], DeadlineExceededError("too slow"))
        problem = call.result().json()
        assert (problem["type"], problem["status"]) == ("/errors/job_failed", 500)
        assert problem["detail"].endswith("has failed (deadline_exceeded): too slow")
        live.delete(f"/v1/jobs/{first_job(live)['id']}")
        call = pool.submit(live.post, "/v1/images", params={"prompt": "a"})
        live.post(f"/v1/jobs/{first_job(live)['id']}/cancel")
        assert call.result().json()["type"] == "/errors/job_canceled"
        live.delete(f"/v1/jobs/{first_job(live)['id']}")
        call = pool.submit(live.post, "/v1/images", params={"prompt": "a"})
        live.delete(f"/v1/jobs/{first_job(live)['id']}")
        assert call.result().json()["type"] == "/errors/unknown_job"


def hang_up(live: httpx.Client, *headers: str) -> socket.socket:
    """A call whose client will not wait for the answer."""
    connection = socket.create_connection((live.base_url.host, live.base_url.port or 80))
    lines = ["POST /v1/images?prompt=a HTTP/1.1", "Host: localhost", "Content-Length: 0", *headers, "", ""]
    connection.sendall("\r\n".join(lines).encode())
    return connection


def test_a_client_that_hangs_up_takes_its_waiting_job_with_it(live: httpx.Client) -> None:
    with hang_up(live):
        job_id = first_job(live)["id"]
    job_that_is(live, job_id, "canceled")


def test_and_its_running_one(live: httpx.Client, worker: PlayedWorker) -> None:
    with hang_up(live):
        lease = worker.claim(first_job(live)["id"])
    end = time.monotonic() + 60
    while worker.leases.renew(lease) is not Standing.CANCELED:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_but_not_one_that_it_can_come_back_to(live: httpx.Client, worker: PlayedWorker) -> None:
    with hang_up(live, "Idempotency-Key: mine"):
        job_id = first_job(live)["id"]
    time.sleep(1)
    assert live.get(f"/v1/jobs/{job_id}").json()["status"] == "queued"
    worker.succeed(job_id)
    again = live.post("/v1/images", params={"prompt": "a"}, headers={"Idempotency-Key": "mine"})
    assert opened(again).size == (64, 64)
    assert first_job(live)["id"] == job_id


def test_waiting_clients_do_not_use_up_the_threads_of_the_others(
    live: httpx.Client, worker: PlayedWorker
) -> None:
    key = {"Idempotency-Key": "one job for all"}
    with ThreadPoolExecutor(60) as clients:  # more than the server has threads
        waits = [
            clients.submit(live.post, "/v1/images", params={"prompt": "a"}, headers=key) for _ in range(60)
        ]
        job_id = first_job(live)["id"]
        begin = time.monotonic()
        assert live.get("/v1/jobs").status_code == 200
        assert time.monotonic() - begin < 20
        worker.succeed(job_id)
    assert {wait.result().status_code for wait in waits} == {200}


def test_when_the_server_stops_the_client_is_told_to_ask_again(settings: ApiSettings, redis: Redis) -> None:
    app = create_app(settings)
    with (
        serving(app) as url,
        httpx.Client(base_url=url, timeout=60) as http,
        ThreadPoolExecutor(1) as pool,
    ):
        call = pool.submit(http.post, "/v1/images", params={"prompt": "a"})
        job_id = first_job(http)["id"]
        app.state.services.stopping.set()
        answer = call.result()
    assert (answer.status_code, answer.json()["type"]) == (503, "/errors/stopping")
    assert answer.headers["Retry-After"] == "2"
    assert JobQueue(redis, max_queued=5).get(job_id).status is JobStatus.CANCELED


def test_errors_can_be_read_in_a_terminal(live: httpx.Client) -> None:
    pretty = live.post("/v1/images", params={"prompt": "a", "steps": 0})
    assert pretty.headers["Content-Type"] == "application/problem+json"
    assert pretty.text.startswith('{\n  "type": "/errors/invalid_request",\n')
    assert pretty.text.endswith("}\n")
    line = live.post("/v1/images", params={"prompt": "a", "steps": 0}, headers={"Accept": "text/plain"})
    request_id = line.headers["x-request-id"]
    assert line.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert line.text == (
        f"invalid_request: steps: Input should be greater than or equal to 1 (request {request_id})\n"
    )


@pytest.fixture
def curl(live: httpx.Client) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """The real one."""
    if shutil.which("curl") is None:
        pytest.skip("needs curl")

    def run(path: str, *options: str) -> subprocess.CompletedProcess[bytes]:
        command = ["curl", "-sS", *options, f"{live.base_url}{path}"]
        return subprocess.run(command, capture_output=True, timeout=120, check=False)

    return run


@pytest.mark.parametrize(
    "options",
    [
        ["-X", "POST", "/v1/images?prompt=red+apple"],
        ["-d", "prompt=red apple", "/v1/images"],
        ["-F", "prompt=red apple", "/v1/images"],
        ["-d", '{"prompt": "red apple"}', "/v1/images"],
        ["--json", '{"prompt": "red apple"}', "-H", "Accept: image/*", "/v1/images"],
    ],
)
def test_curl_writes_a_picture(
    options: list[str],
    live: httpx.Client,
    curl: Callable[..., subprocess.CompletedProcess[bytes]],
    drawing: None,
    tmp_path: Path,
) -> None:
    file = tmp_path / "apple.png"
    *rest, path = options
    done = curl(path, *rest, "-f", "-o", str(file))
    assert (done.returncode, done.stderr) == (0, b"")
    with Image.open(file) as picture:
        assert picture.format == "PNG"
    assert first_job(live)["request"]["prompt"] == "red apple"


def test_curl_shows_an_error_and_leaves_no_file_when_told_to_fail(
    curl: Callable[..., subprocess.CompletedProcess[bytes]], tmp_path: Path
) -> None:
    file = tmp_path / "apple.png"
    done = curl("/v1/images?prompt=a&steps=0", "-X", "POST", "-f", "-o", str(file))
    assert done.returncode == 22
    assert not file.exists()
    shown = curl("/v1/images?prompt=a&steps=0", "-X", "POST")
    assert json.loads(shown.stdout)["errors"][0]["field"] == "steps"


@pytest.mark.parametrize("block", _documented_commands())
def test_the_documented_commands_make_pictures(
    block: str, live: httpx.Client, drawing: None, tmp_path: Path
) -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    commands = block.replace("localhost:8000", f"{live.base_url.host}:{live.base_url.port}")
    subprocess.run(["sh", "-e", "-c", commands], cwd=tmp_path, check=True, timeout=120, capture_output=True)
    written = list(tmp_path.glob("apple.*"))
    assert written
    for file in written:
        with Image.open(file) as picture:
            assert f".{(picture.format or '').lower()}" == file.suffix
