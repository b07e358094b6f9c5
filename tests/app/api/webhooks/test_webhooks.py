"""From a request with a webhook to the message at its receiver."""

import base64
import socket
import time
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import pytest
from redis import Redis
from standardwebhooks.webhooks import WebhookVerificationError
from starlette.testclient import TestClient

from app.api.main import create_app
from app.api.settings import ApiSettings
from app.api.webhooks import deliverer
from app.api.webhooks.deliverer import pause_s
from jobs.errors import JobFailedError
from jobs.events.webhooks import WebhookQueue
from tests.app.api.webhooks.receiver import receiving
from tests.app.conftest import LocalClient, MakeKey
from tests.app.played_worker import PlayedWorker

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


@pytest.fixture
def settings(settings: ApiSettings) -> ApiSettings:
    """Settings that let webhooks reach this machine, and let tests ask for their secret."""
    update = {"webhook_networks": (ip_network("127.0.0.0/8"),), "serve_webhook_secret": True}
    return settings.model_copy(update=update)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that a test need not wait for, between looks and between attempts."""
    monkeypatch.setattr(deliverer, "POLL_S", 0.02)
    monkeypatch.setattr(deliverer, "pause_s", lambda attempt: 0.05)


def state_of(client: TestClient, job_id: str, status: str) -> dict[str, Any]:
    """The job's webhook once it is in this state."""
    end = time.monotonic() + 60
    while True:
        webhook: dict[str, Any] = client.get(f"/v1/jobs/{job_id}").json()["webhook"]
        if webhook["status"] == status:
            return webhook
        assert time.monotonic() < end, webhook
        time.sleep(0.02)


def test_the_end_of_a_job_is_told_and_can_be_verified(
    client: TestClient, submit: Callable[..., str], worker: PlayedWorker
) -> None:
    with receiving() as receiver:
        job_id = submit(webhook=receiver.url)
        job = client.get(f"/v1/jobs/{job_id}").json()
        assert job["webhook"] == {
            "url": receiver.url,
            "events": ["done"],
            "status": "waiting",
            "attempts": 0,
            "last_error": None,
            "prediction_base": None,
        }
        worker.succeed(job_id)
        (message,) = receiver.wait_for(1)
        assert state_of(client, job_id, "delivered")["attempts"] == 1
    told = message.verified(client.get("/v1/webhooks/secret").json()["key"])
    job = client.get(f"/v1/jobs/{job_id}").json()
    del job["webhook"]
    assert told == {"type": "job.done", "timestamp": job["finished_at"], "data": job}
    assert 'lodestar_webhook_attempts_total{outcome="delivered"} 1.0' in client.get("/metrics").text
    assert "lodestar_webhook_messages 0.0" in client.get("/metrics").text


def test_failures_and_cancels_are_told_too(
    client: TestClient, submit: Callable[..., str], worker: PlayedWorker
) -> None:
    with receiving() as receiver:
        failed, canceled = submit(webhook={"url": receiver.url}), submit(webhook={"url": receiver.url})
        client.post(f"/v1/jobs/{canceled}/cancel")
        worker.fail(failed, JobFailedError("no luck"))
        messages = receiver.wait_for(2)
        secret = client.get("/v1/webhooks/secret").json()["key"]
        told = {
            data["id"]: data["status"] for data in (message.verified(secret)["data"] for message in messages)
        }
    assert told == {failed: "failed", canceled: "canceled"}


def test_the_start_is_told_on_request_and_only_once(
    client: TestClient, submit: Callable[..., str], worker: PlayedWorker
) -> None:
    with receiving(500, 200) as receiver:
        job_id = submit(webhook={"url": receiver.url, "events": ["started", "done"]})
        lease = worker.claim(job_id)
        receiver.wait_for(1)
        assert "500" in state_of(client, job_id, "failed")["last_error"]
        worker.leases.succeed(lease, worker.store(lease))
        first, second = receiver.wait_for(2)
        assert state_of(client, job_id, "delivered")["last_error"] is None
    secret = client.get("/v1/webhooks/secret").json()["key"]
    assert [message.verified(secret)["type"] for message in (first, second)] == ["job.started", "job.done"]


def test_a_receiver_that_is_down_is_tried_again_with_the_same_message_and_holds_nobody(
    client: TestClient, submit: Callable[..., str], worker: PlayedWorker
) -> None:
    with receiving(503, 500, 302, 200) as receiver:
        job_id = submit(webhook=receiver.url)
        begin = time.monotonic()
        worker.succeed(job_id)
        assert time.monotonic() - begin < 10
        messages = receiver.wait_for(4)
        state = state_of(client, job_id, "delivered")
    assert (state["attempts"], state["last_error"]) == (4, None)
    assert len({message.headers["webhook-id"] for message in messages}) == 1
    assert len({message.body for message in messages}) == 1


def test_what_goes_wrong_is_shown_in_the_job(
    client: TestClient, submit: Callable[..., str], worker: PlayedWorker
) -> None:
    with receiving(410) as receiver:
        job_id = submit(webhook=receiver.url)
        worker.succeed(job_id)
        state = state_of(client, job_id, "failed")
    assert (state["attempts"], state["last_error"]) == (1, "the receiver answered 410")
    nobody = submit(webhook=receiver.url)  # it is gone by now
    worker.succeed(nobody)
    end = time.monotonic() + 60
    while (state := state_of(client, nobody, "pending"))["attempts"] < 2:
        assert time.monotonic() < end
    assert state["last_error"] == "no connection"


def test_a_message_outlives_the_api_and_is_sent_by_the_next_one(
    settings: ApiSettings, redis: Redis, worker: PlayedWorker
) -> None:
    with receiving() as receiver:
        with LocalClient(create_app(settings)) as client:
            job_id = client.post("/v1/jobs", json={"prompt": "a", "webhook": receiver.url}).json()["id"]
        worker.succeed(job_id)
        # An API that took the message and died before it sent it: its lease has ended.
        taken = WebhookQueue(redis, lease_s=0).take()
        assert taken is not None
        assert taken.job_id == job_id
        with LocalClient(create_app(settings)) as client:
            (message,) = receiver.wait_for(1)
            assert state_of(client, job_id, "delivered")["attempts"] == 2
    assert message.headers["webhook-id"] == taken.message_id == f"msg_{job_id}_done"


def test_two_deliverers_share_the_work_and_send_nothing_twice(
    settings: ApiSettings, redis: Redis, worker: PlayedWorker
) -> None:
    app_settings = settings.model_copy(update={"max_queued": 50})
    with (
        receiving() as receiver,
        LocalClient(create_app(app_settings)) as one,
        LocalClient(create_app(app_settings)),
    ):
        ids = [
            one.post("/v1/jobs", json={"prompt": "a", "webhook": receiver.url}).json()["id"]
            for _ in range(20)
        ]
        for job_id in ids:
            worker.succeed(job_id)
        receiver.wait_for(20)
        for job_id in ids:
            assert state_of(one, job_id, "delivered")["attempts"] == 1
    assert len(receiver.received) == 20


def test_a_job_deleted_in_the_meantime_owes_nothing(
    redis: Redis, settings: ApiSettings, worker: PlayedWorker
) -> None:
    with receiving() as receiver:
        with LocalClient(create_app(settings)) as client:
            body = {"prompt": "a", "webhook": "http://127.0.0.1:1/"}
            job_id = client.post("/v1/jobs", json=body).json()["id"]
            worker.succeed(job_id)
            client.delete(f"/v1/jobs/{job_id}")
            end = time.monotonic() + 60
            while WebhookQueue(redis).pending():
                assert time.monotonic() < end
                time.sleep(0.02)
        assert receiver.received == []
    assert redis.keys("{lodestar}:webhook:*") == []
    assert redis.keys(f"{{lodestar}}:job:{job_id}") == []


def test_a_given_up_execution_tells_nobody(redis: Redis, settings: ApiSettings, worker: PlayedWorker) -> None:
    client = LocalClient(create_app(settings))
    job_id = client.post("/v1/jobs", json={"prompt": "a", "webhook": "http://127.0.0.1:1/"}).json()["id"]
    stale = worker.claim(job_id)
    worker.leases.release(stale)
    worker.succeed(job_id)
    with pytest.raises(Exception, match="no longer owns"):
        worker.leases.succeed(stale, ())
    assert WebhookQueue(redis).pending() == 1


@pytest.mark.parametrize(
    ("webhook", "field"),
    [
        ("http://10.0.0.1/", "webhook.url"),
        ("http://[::1]:6379/", "webhook.url"),
        ("http://169.254.169.254/latest", "webhook.url"),
        ("ftp://example.com/", "webhook.url"),
        ("https://me:secret@example.com/", "webhook.url"),
        ("not an address", "webhook.url"),
        ({"url": "https://example.com/", "events": ["progress"]}, "webhook.events.0"),
        ({"url": "https://example.com/", "events": []}, "webhook.events"),
    ],
)
def test_a_webhook_that_cannot_work_is_refused_at_once(
    client: TestClient, webhook: object, field: str
) -> None:
    answer = client.post("/v1/jobs", json={"prompt": "a", "webhook": webhook})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
    assert client.get("/v1/jobs").json()["data"] == []


def test_a_name_that_leads_inside_is_shown_as_given_up(
    client: TestClient, submit: Callable[..., str], worker: PlayedWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.1.1.1", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: inside)
    job_id = submit(webhook="http://hooks.example/")
    worker.succeed(job_id)
    state = state_of(client, job_id, "failed")
    assert state["last_error"] == "the name leads to an address that webhooks may not reach"


def test_the_pauses_grow_up_to_an_hour() -> None:
    pauses = [pause_s(attempt) for attempt in range(1, 100)]
    assert 2.5 <= pauses[0] <= 5
    assert 160 <= pauses[6] <= 320
    assert all(1800 <= pause <= 3600 for pause in pauses[10:])
    assert len(set(pauses[10:])) > 80  # spread, so that receivers are not met by all at once


def test_a_message_is_given_up_when_it_is_too_old(
    settings: ApiSettings, redis: Redis, worker: PlayedWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliverer, "GIVE_UP_S", 0.2)
    with receiving(503) as receiver, LocalClient(create_app(settings)) as client:
        job_id = client.post("/v1/jobs", json={"prompt": "a", "webhook": receiver.url}).json()["id"]
        worker.succeed(job_id)
        state = state_of(client, job_id, "failed")
    assert state["attempts"] == len(receiver.received) >= 2
    assert WebhookQueue(redis).pending() == 0


def test_a_secret_of_the_operators_own_is_used_and_checked(settings: ApiSettings) -> None:
    own = ApiSettings(**{**settings.model_dump(), "webhook_secret": SECRET})
    assert LocalClient(create_app(own)).get("/v1/webhooks/secret").json() == {"key": SECRET}
    for wrong in ("secret", "whsec_short", "whsec_!!!", SECRET[6:]):
        with pytest.raises(ValueError, match="whsec_"):
            ApiSettings(webhook_secret=wrong)  # type: ignore[arg-type]


def test_networks_come_from_one_line_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LODESTAR_WEBHOOK_NETWORKS", "10.0.0.0/8, fd00::/8")
    assert ApiSettings().webhook_networks == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def test_a_message_is_signed_for_the_tenant_of_its_job(
    settings: ApiSettings, make_key: MakeKey, worker: PlayedWorker
) -> None:
    app = create_app(settings.model_copy(update={"auth": "keys"}))
    keys = {tenant: {"Authorization": f"Bearer {make_key(tenant=tenant)}"} for tenant in ("studio", "other")}
    with receiving() as receiver, LocalClient(app) as client:
        asked = {"prompt": "a red apple", "webhook": {"url": receiver.url}}
        job_id = client.post("/v1/jobs", json=asked, headers=keys["studio"]).json()["id"]
        worker.succeed(job_id)
        (message,) = receiver.wait_for(1)
        secrets = {
            tenant: client.get("/v1/webhooks/secret", headers=headers).json()["key"]
            for tenant, headers in keys.items()
        }
    assert message.verified(secrets["studio"])["data"]["id"] == job_id
    with pytest.raises(WebhookVerificationError):
        message.verified(secrets["other"])
