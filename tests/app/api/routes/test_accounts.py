"""Quotas, quotes and usage, as clients meet them."""

import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from redis import Redis
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from app.api.main import create_app
from app.api.services import Services
from app.api.settings import ApiSettings
from jobs.callers.quota import Quota
from jobs.callers.record import TenantRecord
from jobs.callers.secret import draw_key
from jobs.callers.tenants import TenantStore
from tests.app.conftest import LocalClient, MakeKey, serving
from tests.app.played_worker import PlayedWorker
from tests.app.samples import png

Limit = Callable[..., None]
BODY = {"prompt": "a red apple"}
PNG = png()


@pytest.fixture
def settings(settings: ApiSettings) -> ApiSettings:
    """Settings of an API that asks for keys."""
    return settings.model_copy(update={"auth": "keys", "max_queued": 100})


@pytest.fixture
def studio(settings: ApiSettings, make_key: MakeKey) -> Iterator[TestClient]:
    """A client of the tenant studio."""
    headers = {"Authorization": f"Bearer {make_key(tenant='studio', name='artist')}"}
    with LocalClient(create_app(settings), headers=headers) as client:
        yield client


@pytest.fixture
def limit(redis: Redis, studio: TestClient) -> Limit:
    """Set the quota of the tenant studio."""

    def to(**limits: Any) -> None:
        TenantStore(redis).put(TenantRecord(name="studio", quota=Quota(**limits)))
        services_in(studio).tenants.forget("studio")

    return to


def services_in(client: TestClient) -> Services:
    services: Services = client.app.state.services  # type: ignore[attr-defined]
    return services


def cost(client: TestClient, **fields: Any) -> int:
    return int(client.post("/v1/quote", json={**BODY, **fields}).json()["cost"])


SUBMISSIONS: dict[str, dict[str, Any]] = {
    "/v1/jobs": {"json": BODY},
    "/v1/images": {"json": BODY},
    "/v1/images/generations": {"json": BODY},
    "/v1/images/edits": {"data": BODY, "files": {"image": ("a.png", PNG)}},
    "/v1/predictions": {"json": {"version": "pocket", "input": BODY}},
    "/v1/models/lodestar/pocket/predictions": {"json": {"input": BODY}},
    "/sdapi/v1/txt2img": {"json": BODY},
    "/v1/scores": {"files": {"pictures": ("a.png", PNG)}},
    "/v1/search": {"files": {"picture": ("a.png", PNG)}},
    "/v1/search?q=apple": {},
    "/v1/aesthetic-embeddings": {
        "data": {"name": "a", "clip": "pocket-s"},
        "files": {"pictures": ("a.png", PNG)},
    },
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("path", SUBMISSIONS)
def test_every_way_of_submitting_meets_the_same_limit(limit: Limit, studio: TestClient, path: str) -> None:
    limit(requests_per_minute=1)
    assert studio.post("/v1/jobs", json=BODY).status_code == 202
    method = "GET" if "?" in path else "POST"
    refused = studio.request(method, path, **SUBMISSIONS[path])
    assert refused.status_code == 429, refused.text
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert "1 submissions a minute (requests_per_minute)" in refused.text
    assert refused.headers["ratelimit"].startswith('"tenant-requests";r=0;t=')
    assert "x-should-retry" not in refused.headers


@pytest.mark.timeout(60)
@pytest.mark.parametrize("path", SUBMISSIONS)
def test_a_month_s_budget_that_is_spent_is_worth_no_other_try(
    limit: Limit, studio: TestClient, path: str
) -> None:
    spent = cost(studio, num_images=6)
    limit(units_per_month=spent)
    assert studio.post("/v1/jobs", json={**BODY, "num_images": 6}).status_code == 202
    method = "GET" if "?" in path else "POST"
    refused = studio.request(method, path, **SUBMISSIONS[path])
    assert refused.status_code == 429, refused.text
    assert refused.headers["x-should-retry"] == "false"
    assert 0 < int(refused.headers["retry-after"]) <= 31 * 86400
    assert re.search(r'"tenant-month";r=0;t=\d+', refused.headers["ratelimit"])
    if path.startswith("/v1/images/"):
        assert refused.json()["error"]["type"] == refused.json()["error"]["code"] == "insufficient_quota"


def test_a_job_that_no_wait_would_let_pass_is_refused_for_good(limit: Limit, studio: TestClient) -> None:
    limit(units_per_second=1, burst_units=cost(studio) + 10)
    assert studio.post("/v1/jobs", json=BODY).status_code == 202
    for path, body in (
        ("/v1/jobs", {**BODY, "steps": 200}),
        ("/v1/quote", {**BODY, "steps": 200}),
        ("/sdapi/v1/txt2img", {**BODY, "steps": 150}),
    ):
        refused = studio.post(path, json=body)
        assert refused.status_code == 422, refused.text
        assert "burst_units of the tenant's quota grants" in refused.text
        assert "steps" in refused.text


def test_nor_are_more_pictures_scored_than_a_quota_can_ever_grant(limit: Limit, studio: TestClient) -> None:
    limit(units_per_second=1, burst_units=2)
    refused = studio.post("/v1/scores", files=[("pictures", ("a.png", PNG))] * 9)
    assert refused.status_code == 422, refused.text
    assert refused.json()["errors"][0]["field"] == "pictures"
    assert "3 units of work, and burst_units of the tenant's quota grants 2 at most" in refused.text


def test_the_headers_of_an_answer_say_what_is_left(limit: Limit, studio: TestClient) -> None:
    limit(requests_per_minute=5, units_per_second=10, max_waiting=7, units_per_month=100_000)
    accepted = studio.post("/v1/jobs", json=BODY)
    policy, left = accepted.headers["ratelimit-policy"], accepted.headers["ratelimit"]
    assert re.fullmatch(
        r'"tenant-requests";q=5;w=60, "tenant-units";q=600;w=60, "tenant-month";q=100000;w=2[4-6]\d{5}',
        policy,
    )
    spent = cost(studio)
    assert f'"tenant-requests";r=4;t=12, "tenant-units";r={600 - spent};t=' in left
    assert f'"tenant-month";r={100_000 - spent};t=' in left
    assert "ratelimit" not in studio.get("/v1/jobs").headers


def test_without_quotas_an_answer_says_nothing_of_them(studio: TestClient) -> None:
    answer = studio.post("/v1/jobs", json=BODY)
    assert answer.status_code == 202
    assert not [name for name in answer.headers if "ratelimit" in name]
    assert studio.get("/v1/usage").json()["allowances"] == []


def test_a_key_has_limits_of_its_own_which_a_rotation_does_not_renew(
    redis: Redis, studio: TestClient, operator: TestClient
) -> None:
    body = {"name": "intern", "tenant": "studio", "quota": {"units_per_month": cost(studio)}}
    made = operator.post("/v1/admin/keys", json=body).json()
    assert made["quota"] == {**dict.fromkeys(Quota.model_fields), "units_per_month": cost(studio)}
    rotated = operator.post(f"/v1/admin/keys/{made['id']}/rotate").json()
    intern, again = ({"Authorization": f"Bearer {key['key']}"} for key in (made, rotated))
    assert studio.post("/v1/jobs", json=BODY, headers=intern).status_code == 202
    refused = studio.post("/v1/jobs", json=BODY, headers=again)
    assert refused.json()["type"] == "/errors/quota_exceeded"
    assert "the caller's quota" in refused.json()["detail"]
    assert studio.post("/v1/jobs", json=BODY).status_code == 202
    shown = studio.get("/v1/usage", headers=again).json()
    assert [(each["holder"], each["name"], each["jobs"]) for each in shown["data"]] == [
        ("tenant", "studio", 2),
        ("caller", "intern", 1),
    ]


@pytest.mark.parametrize("where", ["keys", "groups", "tenants", "setting"])
def test_a_quota_may_stand_in_the_keys_file_or_in_a_setting(
    settings: ApiSettings, where: str, tmp_path: Any
) -> None:
    key = draw_key()
    quota = "quota = {max_waiting = 1}"
    texts = {
        "keys": f'[[keys]]\nid = "{key.id}"\nsha256 = "{key.sha256}"\nname = "a"\nrole = "client"\n'
        f"created_at = 2026-01-01T00:00:00Z\n{quota if where == 'keys' else ''}\n",
        "groups": f'[[groups]]\nname = "artists"\nrole = "client"\n{quota if where == "groups" else ""}\n',
        "tenants": '[[tenants]]\nname = "default"\nquota = "max_waiting=1"\n' if where == "tenants" else "",
    }
    (tmp_path / "keys.toml").write_text("".join(texts.values()))
    changed = {"keys_file": tmp_path / "keys.toml", "auth": "proxy"}
    if where == "setting":
        changed["tenant_quota"] = Quota(max_waiting=1)
    user = {"X-Forwarded-User": "ann", "X-Forwarded-Groups": "artists"}
    headers = user if where == "groups" else {"Authorization": f"Bearer {key}"}
    with LocalClient(create_app(settings.model_copy(update=changed)), headers=headers) as client:
        assert client.post("/v1/jobs", json=BODY).status_code == 202
        refused = client.post("/v1/jobs", json=BODY)
        assert refused.json()["type"] == "/errors/queue_full", refused.text
        assert "lets no more wait (max_waiting)" in refused.json()["detail"]


def test_without_keys_the_quota_of_every_tenant_holds_for_all(settings: ApiSettings) -> None:
    changed = {"auth": "none", "tenant_quota": Quota(requests_per_minute=1)}
    with LocalClient(create_app(settings.model_copy(update=changed))) as client:
        statuses = [client.post("/v1/jobs", json=BODY).status_code for _ in range(2)]
        assert statuses == [202, 429]
        assert client.get("/v1/usage").json()["data"][0]["name"] == "default"


class TestQuote:
    def test_it_costs_what_the_job_is_charged(self, limit: Limit, studio: TestClient) -> None:
        limit(units_per_month=10_000)
        quote = studio.post("/v1/quote", json=BODY).json()
        assert quote["is_covered"]
        studio.post("/v1/jobs", json=BODY)
        usage = studio.get("/v1/usage").json()
        assert usage["data"][0]["units"] == quote["cost"] == 10_000 - usage["allowances"][0]["remaining"]

    def test_it_says_when_a_quota_would_cover_the_job(self, limit: Limit, studio: TestClient) -> None:
        limit(units_per_second=1, burst_units=cost(studio))
        studio.post("/v1/jobs", json=BODY)
        quote = studio.post("/v1/quote", json=BODY).json()
        assert not quote["is_covered"]
        assert quote["retry_after_s"] == pytest.approx(quote["cost"], abs=3)

    def test_a_picture_in_it_is_read_and_not_kept(
        self, studio: TestClient, redis: Redis, settings: ApiSettings, tmp_path: Any
    ) -> None:
        body = {**BODY, "init": {"image": "data:image/png;base64," + b64encode(png(128, 64)).decode()}}
        quote = studio.post("/v1/quote", json=body)
        assert quote.status_code == 200, quote.text
        kept = {str(key) for key in redis.keys("{lodestar}:*")}
        assert not {key for key in kept if "orphans" in key or "job" in key or "usage" in key}
        assert list((tmp_path / "artifacts").rglob("*.png")) == []
        studio.post("/v1/jobs", json=body)
        assert studio.get("/v1/usage").json()["data"][0]["units"] == quote.json()["cost"]

    def test_it_refuses_what_a_submission_would(self, studio: TestClient) -> None:
        assert studio.post("/v1/quote", json={**BODY, "model": "nope"}).status_code == 422
        assert studio.post("/v1/quote", json={**BODY, "colour": "red"}).status_code == 422


class TestUsage:
    def test_an_operator_sees_every_tenant(self, studio: TestClient, operator: TestClient) -> None:
        studio.post("/v1/jobs", json=BODY)
        rows = operator.get("/v1/usage").json()["data"]
        assert [(row["name"], row["jobs"]) for row in rows] == [("default", 0), ("studio", 1)]
        assert [row["name"] for row in studio.get("/v1/usage").json()["data"]] == ["studio"]

    def test_earlier_months_are_shown_by_name(self, studio: TestClient) -> None:
        earlier = studio.get("/v1/usage", params={"month": "2025-01"}).json()
        assert (earlier["month"], earlier["data"][0]["units"]) == ("2025-01", 0)
        for month in ("2025-13", "202501", "x"):
            assert studio.get("/v1/usage", params={"month": month}).status_code == 422

    def test_pictures_and_seconds_count_once_they_are_there(
        self, studio: TestClient, worker: PlayedWorker
    ) -> None:
        job_id = studio.post("/v1/jobs", json={**BODY, "num_images": 3}).json()["id"]
        before = studio.get("/v1/usage").json()["data"][0]
        worker.succeed(job_id)
        after = studio.get("/v1/usage").json()["data"][0]
        assert (before["pictures"], after["pictures"]) == (0, 3)
        assert before["units"] == after["units"]
        assert after["execution_s"] >= 0


class TestTenants:
    PATH = "/v1/admin/tenants"

    def test_what_is_set_counts_at_once_and_is_listed(self, operator: TestClient, make_key: MakeKey) -> None:
        key = {"Authorization": f"Bearer {make_key(tenant='studio')}"}
        assert operator.post("/v1/jobs", json=BODY, headers=key).status_code == 202
        quota = {"max_waiting": 1}
        record = operator.put(f"{self.PATH}/studio", json={"quota": quota, "weight": 2}).json()
        assert (record["name"], record["weight"], record["quota"]["max_waiting"]) == ("studio", 2, 1)
        assert operator.post("/v1/jobs", json=BODY, headers=key).status_code == 202
        assert operator.post("/v1/jobs", json=BODY, headers=key).status_code == 429
        assert operator.get(self.PATH).json()["data"] == [record]
        assert operator.delete(f"{self.PATH}/studio").status_code == 204
        assert operator.post("/v1/jobs", json=BODY, headers=key).status_code == 202
        assert operator.delete(f"{self.PATH}/studio").json()["type"] == "/errors/unknown_tenant"

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"quota": {"burst_units": 5}}, "quota"),
            ({"quota": {"units_per_second": 0}}, "quota.units_per_second"),
            ({"quota": {"units_per_hour": 5}}, "quota.units_per_hour"),
            ({"weight": 0}, "weight"),
        ],
    )
    def test_a_wrong_quota_is_refused_by_field(
        self, operator: TestClient, body: dict[str, Any], field: str
    ) -> None:
        refused = operator.put(f"{self.PATH}/studio", json=body)
        assert refused.status_code == 422
        assert [error["field"] for error in refused.json()["errors"]] == [field]

    def test_a_name_that_no_tenant_can_have_is_unknown(self, operator: TestClient) -> None:
        assert operator.put(f"{self.PATH}/No%20One", json={}).status_code == 404

    def test_clients_set_nothing(self, studio: TestClient) -> None:
        assert studio.put(f"{self.PATH}/studio", json={}).status_code == 403
        assert studio.get(self.PATH).status_code == 403


@pytest.mark.timeout(60)
def test_openai_s_client_does_not_try_again_in_vain(
    limit: Limit, settings: ApiSettings, make_key: MakeKey, studio: TestClient
) -> None:
    limit(units_per_month=cost(studio))
    studio.post("/v1/jobs", json=BODY)
    app, asked = create_app(settings), []

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(scope.get("path"))
        await app(scope, receive, send)

    with serving(counting) as url:
        client = openai.OpenAI(base_url=f"{url}/v1", api_key=make_key(tenant="studio"), max_retries=5)
        with pytest.raises(openai.RateLimitError) as refused:
            client.images.generate(prompt="a red apple")
    assert refused.value.code == "insufficient_quota"
    assert asked.count("/v1/images/generations") == 1
