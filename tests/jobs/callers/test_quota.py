"""Quotas as operators write them, and as tenants have them."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from redis import Redis

from jobs.callers.identity import EVERYBODY, Identity
from jobs.callers.key_file import KeyFile
from jobs.callers.payer import payer_of
from jobs.callers.quota import NO_QUOTA, Quota
from jobs.callers.record import TenantRecord
from jobs.callers.tenants import TenantBook, TenantStore
from jobs.errors import ConfigurationError, UnknownTenantError

FILED = '[[tenants]]\nname = "studio"\nweight = 3\nquota = {max_waiting = 4}\n'


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("", {}),
        ("max_waiting=3", {"max_waiting": 3}),
        ("units_per_second=0.5, burst_units=90", {"units_per_second": 0.5, "burst_units": 90}),
        ("requests_per_minute=1 units_per_month=2", {"requests_per_minute": 1, "units_per_month": 2}),
    ],
)
def test_a_text_stands_for_a_quota_and_a_quota_for_a_text(text: str, fields: dict[str, Any]) -> None:
    quota = Quota.model_validate(text)
    assert quota == Quota(**fields)
    assert Quota.model_validate(str(quota)) == quota


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max_waiting", "max_waiting"),
        ("max_waiting=0", "greater than or equal to 1"),
        ("max_waiting=1.5", "max_waiting"),
        ("units=3", "Extra inputs"),
        ("burst_units=3", "burst_units needs units_per_second"),
        ("max_waiting=1,max_waiting=2", "max_waiting is given twice"),
        ("units_per_second=nan", "units_per_second"),
        ("units_per_second=inf", "units_per_second"),
    ],
)
def test_a_wrong_text_is_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Quota.model_validate(text)


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("", None),
        ("max_waiting=1", None),
        ("units_per_second=2", (120, "burst_units")),
        ("units_per_second=2,burst_units=50", (50, "burst_units")),
        ("units_per_second=2,units_per_month=100", (100, "units_per_month")),
    ],
)
def test_the_least_ceiling_bounds_one_job(text: str, most: tuple[int, str] | None) -> None:
    assert Quota.model_validate(text).most_of_one_job == most


def test_the_file_wins_over_redis_and_redis_over_the_default(redis: Redis, tmp_path: Path) -> None:
    (tmp_path / "keys.toml").write_text(FILED)
    store = TenantStore(redis)
    for name in ("studio", "other"):
        store.put(TenantRecord(name=name, quota=Quota(max_waiting=5)))
    store.put(TenantRecord(name="plain", weight=2))
    default = Quota(max_waiting=6)
    book = TenantBook(store, KeyFile(tmp_path / "keys.toml"), default=default)
    found = {name: book.get(name) for name in ("studio", "other", "plain", "new")}
    waiting = [record.quota.max_waiting for record in found.values() if record.quota]
    assert waiting == [4, 5, 6, 6]
    assert [record.weight for record in found.values()] == [3, 1, 2, 1]
    assert [record.name for record in book.list()] == ["studio", "other", "plain"]


def test_what_redis_said_is_believed_for_a_while(redis: Redis) -> None:
    store = TenantStore(redis)
    slow, quick = TenantBook(store), TenantBook(store, cache_s=0)
    assert slow.get("studio").quota == quick.get("studio").quota == NO_QUOTA
    store.put(TenantRecord(name="studio", quota=Quota(max_waiting=5)))
    assert slow.get("studio").quota == NO_QUOTA
    assert quick.get("studio").quota == Quota(max_waiting=5)
    slow.forget("studio")
    assert slow.get("studio").quota == Quota(max_waiting=5)
    store.remove("studio")
    with pytest.raises(UnknownTenantError):
        store.remove("studio")


def test_a_newer_version_s_record_is_read(redis: Redis) -> None:
    redis.hset("{lodestar}:tenant_records", "studio", '{"name": "studio", "weight": 2, "colour": "red"}')
    assert TenantStore(redis).get("studio") == TenantRecord(name="studio", weight=2)


@pytest.mark.parametrize("text", [FILED * 2, FILED.replace("max_waiting", "most"), FILED.replace("3", "0")])
def test_a_wrong_tenant_in_the_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys.toml").write_text(text)
    with pytest.raises(ConfigurationError, match="tenant"):
        KeyFile(tmp_path / "keys.toml")


def test_a_caller_pays_too_if_it_has_limits_and_is_not_named_in_redis() -> None:
    tenant = TenantRecord(name="studio", quota=Quota(max_waiting=1), weight=2)
    own = Identity("studio", "ann", frozenset(), "key", quota=Quota(max_waiting=2))
    payer = payer_of(own, tenant)
    assert [account.holder for account in payer.accounts] == ["tenant", "caller"]
    assert payer.accounts[1].name.startswith("studio/")
    assert "ann" not in payer.dump()
    assert payer.weight == 2
    assert len(payer_of(EVERYBODY, tenant).accounts) == 1
