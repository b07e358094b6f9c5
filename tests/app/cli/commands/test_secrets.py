"""The command that tells the webhooks' secret."""

import base64
from pathlib import Path

import pytest
from redis import Redis

from app.stack.embedded import announce_socket
from jobs.events.webhooks import WebhookQueue
from tests.app.conftest import Run

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


def test_it_prints_what_the_server_signs_with(
    run: Run, redis: Redis, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("webhook-secret", "--redis-url", redis_url) == 0
    assert capsys.readouterr().out.strip() == WebhookQueue(redis).own_secret()


def test_it_prints_the_newest_one_that_is_set(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LODESTAR_WEBHOOK_SECRET", f"{SECRET} whsec_older")
    assert run("webhook-secret") == 0
    assert capsys.readouterr().out.strip() == SECRET


def test_it_finds_the_private_server_of_a_data_folder(
    run: Run, redis: Redis, redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / ("my data" * 20)  # too long for a socket
    announce_socket(folder / "valkey", Path(redis_url.removeprefix("unix://")))
    assert run("webhook-secret", "--data-dir", str(folder)) == 0
    assert capsys.readouterr().out.strip() == WebhookQueue(redis).own_secret()


def test_without_a_server_it_is_one_line(run: Run, hasty: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("webhook-secret") == 1
    assert "no lodestar up runs on the data folder" in capsys.readouterr().err
    assert run("webhook-secret", "--redis-url", "redis://127.0.0.1:1") == 1
    assert capsys.readouterr().err.count("\n") == 1
