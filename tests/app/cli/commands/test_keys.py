"""The commands about keys."""

import json
from pathlib import Path

import pytest
from redis import Redis

from app.stack.embedded import announce_socket
from jobs.callers.key_file import KeyFile
from jobs.callers.keys import KeyStore
from jobs.callers.quota import Quota
from jobs.callers.record import TenantRecord
from jobs.callers.ring import KeyRing
from jobs.callers.scopes import SCOPES_OF, Role, Scope
from jobs.callers.secret import KeyText, parse_key
from jobs.callers.tenants import TenantStore
from tests.app.conftest import Run

Out = pytest.CaptureFixture[str]


def printed(capsys: Out) -> KeyText:
    key = parse_key(capsys.readouterr().out.strip())
    assert key is not None
    return key


def test_a_key_is_made_and_printed(run: Run, redis: Redis, redis_url: str, capsys: Out) -> None:
    words = ("keys", "create", "wall", "--tenant", "studio", "--role", "viewer", "--expires-in-days", "30")
    assert run(*words, "--redis-url", redis_url) == 0
    info = KeyRing(KeyStore(redis)).verify(printed(capsys))
    assert info is not None
    assert (info.name, info.tenant) == ("wall", "studio")
    assert set(info.scopes) == SCOPES_OF[Role.VIEWER]
    assert info.expires_at is not None


def test_a_key_may_have_single_scopes(run: Run, redis: Redis, redis_url: str, capsys: Out) -> None:
    assert (
        run("keys", "create", "a", "--scope", "metrics", "--scope", "jobs:read", "--redis-url", redis_url)
        == 0
    )
    info = KeyRing(KeyStore(redis)).verify(printed(capsys))
    assert info is not None
    assert set(info.scopes) == {Scope.METRICS, Scope.JOBS_READ}


def test_the_private_server_of_a_data_folder_is_found(
    run: Run, redis: Redis, redis_url: str, tmp_path: Path, capsys: Out
) -> None:
    announce_socket(tmp_path / "data" / "valkey", Path(redis_url.removeprefix("unix://")))
    assert run("keys", "create", "a") == 0
    assert KeyStore(redis).get(printed(capsys).id)


def test_an_entry_for_the_file_is_read_by_the_service(
    run: Run, redis: Redis, tmp_path: Path, capsys: Out
) -> None:
    assert run("keys", "create", 'a "quoted" name', "--for-file", "--expires-in-days", "1") == 0
    said = capsys.readouterr()
    key = parse_key(said.out.strip())
    assert key is not None
    assert key.secret not in said.err
    (tmp_path / "keys.toml").write_text(said.err)
    record = KeyFile(tmp_path / "keys.toml").get(key.id)
    assert record is not None
    assert record.matches(key)
    assert record.name == 'a "quoted" name'
    assert KeyStore(redis).list() == ()


def test_keys_are_listed_without_their_secrets(run: Run, redis_url: str, capsys: Out) -> None:
    run("keys", "create", "wall", "--redis-url", redis_url)
    key = printed(capsys)
    assert run("keys", "list", "--redis-url", redis_url) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split("\t")[:3] == [key.id, "default", "wall"]
    assert run("keys", "list", "--json", "--redis-url", redis_url) == 0
    out = capsys.readouterr().out
    assert json.loads(out)[0]["id"] == key.id
    assert key.sha256 not in out


def test_a_key_is_rotated_and_revoked(run: Run, redis: Redis, redis_url: str, capsys: Out) -> None:
    run("keys", "create", "a", "--redis-url", redis_url)
    old = printed(capsys)
    assert run("keys", "rotate", old.id, "--overlap-hours", "1", "--redis-url", redis_url) == 0
    new = printed(capsys)
    ring = KeyRing(KeyStore(redis))
    assert ring.verify(old)
    assert ring.verify(new)
    assert run("keys", "revoke", old.id, "--redis-url", redis_url) == 0
    assert KeyRing(KeyStore(redis)).verify(old) is None


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("revoke", "a" * 10), 1, "there is no key"),
        (("rotate", "nothing"), 1, "there is no key"),
        (("create", "a", "--tenant", "A B"), 2, "tenant"),
        (("create", "", "--role", "client"), 2, "name"),
        (("create", "a", "--role", "king"), 2, "king"),
    ],
)
def test_what_is_wrong_is_said(
    run: Run, redis_url: str, capsys: Out, words: tuple[str, ...], code: int, said: str
) -> None:
    assert run("keys", *words, "--redis-url", redis_url) == code
    assert said in capsys.readouterr().err


def test_a_key_may_have_a_quota_in_redis_and_in_the_file(
    run: Run, redis: Redis, redis_url: str, tmp_path: Path, capsys: Out
) -> None:
    limits = "units_per_second=2.5,max_waiting=3"
    assert run("keys", "create", "a", "--quota", limits, "--redis-url", redis_url) == 0
    record = KeyStore(redis).get(printed(capsys).id)
    assert record is not None
    assert run("keys", "create", "a", "--quota", limits, "--for-file") == 0
    said = capsys.readouterr()
    (tmp_path / "keys.toml").write_text(said.err)
    key = parse_key(said.out.strip())
    assert key is not None
    filed = KeyFile(tmp_path / "keys.toml").get(key.id)
    assert filed is not None
    assert filed.quota == record.quota == Quota.model_validate(limits)


def test_a_wrong_quota_is_refused_in_one_line(run: Run, capsys: Out) -> None:
    assert run("keys", "create", "a", "--quota", "burst_units=3", "--for-file") == 2
    assert "burst_units needs units_per_second" in capsys.readouterr().err


def test_the_quota_of_a_tenant_is_set_listed_and_forgotten(
    run: Run, redis: Redis, redis_url: str, capsys: Out
) -> None:
    server = ("--redis-url", redis_url)
    assert run("tenants", "set", "studio", "--quota", "max_waiting=3", "--weight", "2", *server) == 0
    assert TenantStore(redis).get("studio") == TenantRecord(
        name="studio", quota=Quota(max_waiting=3), weight=2
    )
    assert run("tenants", "set", "other", *server) == 0
    capsys.readouterr()
    assert run("tenants", "list", *server) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == ["other\t1\tas all", "studio\t2\tmax_waiting=3"]
    assert run("tenants", "list", "--json", *server) == 0
    assert [each["name"] for each in json.loads(capsys.readouterr().out)] == ["other", "studio"]
    assert run("tenants", "forget", "studio", *server) == 0
    assert run("tenants", "forget", "studio", *server) != 0
    assert TenantStore(redis).get("studio") is None
