"""A receiver that accepts and never answers delays only its own caller's messages."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_network

import pytest
from redis import Redis

from app.api.main import create_app
from app.api.settings import ApiSettings
from app.api.webhooks import deliverer
from jobs.events.webhooks import WebhookQueue
from tests.app.api.webhooks.receiver import receiving
from tests.app.conftest import LocalClient


@pytest.fixture
def settings(settings: ApiSettings) -> ApiSettings:
    """Settings that let webhooks reach this machine."""
    return settings.model_copy(update={"webhook_networks": (ip_network("127.0.0.0/8"),), "max_queued": 100})


@contextmanager
def dead_receivers(number: int) -> Iterator[list[str]]:
    """Addresses of receivers that take connections and say nothing: the kernel accepts, and nobody reads."""
    with ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server((f"127.0.0.{n + 2}", 0))) for n in range(number)]
        yield [f"http://{host}:{port}/" for host, port in (server.getsockname() for server in servers)]


def end_a_job(client: LocalClient, url: str, caller: str) -> str:
    """A job that has ended, and owes its webhook a message; its id."""
    told = {"X-Forwarded-User": caller}
    job_id = client.post("/v1/jobs", json={"prompt": "a", "webhook": url}, headers=told).json()["id"]
    client.post(f"/v1/jobs/{job_id}/cancel")
    return str(job_id)


@pytest.mark.parametrize("hosts", [1, 20])
def test_a_receiver_that_never_answers_delays_only_its_own(
    settings: ApiSettings, redis: Redis, hosts: int
) -> None:
    with (
        dead_receivers(hosts) as dead,
        receiving() as receiver,
        LocalClient(create_app(settings)) as client,
    ):
        for number in range(64):
            end_a_job(client, dead[number % hosts], "mallory")
        end = time.monotonic() + 60
        while redis.zcard("{lodestar}:webhook_sending:caller:" + _caller(redis)) < min(2 * hosts, 8):
            assert time.monotonic() < end
            time.sleep(0.02)
        begin = time.monotonic()
        end_a_job(client, receiver.url, "bob")
        receiver.wait_for(1)
        # A second to look, and what a busy machine takes; a dead receiver holds its messages for 15.
        assert time.monotonic() - begin < 10
        assert WebhookQueue(redis).pending() >= 64


def test_a_receiver_that_is_slow_is_told_no_more_than_two_things_at_a_time(
    settings: ApiSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliverer, "POLL_S", 60.0)  # each end of a delivery starts the next one
    with receiving() as receiver:
        receiver.delay_s = 0.1
        with LocalClient(create_app(settings)) as one:
            ids = [end_a_job(one, receiver.url, "alice") for _ in range(12)]
        with LocalClient(create_app(settings)), LocalClient(create_app(settings)):
            receiver.wait_for(12)
    assert receiver.most_at_once <= 2
    assert len(ids) == len(receiver.received) == 12


def _caller(redis: Redis) -> str:
    job_id = str(redis.zrange("{lodestar}:jobs", 0, 0)[0])
    return str(redis.hget(f"{{lodestar}}:job:{job_id}", "flow")).rpartition(":")[0]
