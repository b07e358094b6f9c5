"""Numbers at the ends of what a schema allows, and beyond: each is served, or refused by the name of its field."""

import json
import math
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from starlette.testclient import TestClient

from jobs.callers.quota import Quota
from jobs.requests.request import GenerateRequest
from jobs.status.night import MIN_HOURS
from tests.app.samples import png

Path = tuple[str, ...]
PICTURE = b64encode(png(64, 64)).decode()
BEYOND = ("5e-324", "-5e-324", "1e-300", "1e308", "-1e308", "1e999", "NaN", "Infinity", "1" + "0" * 400, "-1")
HERE = "HERE"
# What a group needs to be itself; and what stands beside it.
GROUPS: Mapping[str, dict[str, Any]] = {
    "guidance": {},
    "init": {"image": PICTURE},
    "mask": {"image": PICTURE},
    "outpaint": {},
    "variation": {"strength": 0.1},
    "hires": {},
    "select": {"candidates": 4},
    "sizes": {},
    "edit": {"image": PICTURE},
    "personalization": {"embedding": "warm"},
}
BESIDE: Mapping[str, dict[str, Any]] = {
    "mask": {"init": {"image": PICTURE}},
    "outpaint": {"init": {"image": PICTURE}},
    "init": {"init": {"image": PICTURE, "exact_steps": True}},
}


def numbers() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every number of a request and of its groups, with the schema that it has there."""
    schema = GenerateRequest.model_json_schema()
    for name, field in schema["properties"].items():
        yield from (((name,), kind) for kind in kinds(field))
        for part, inner in parts(field, schema["$defs"]).items():
            yield from (((name, part), kind) for kind in kinds(inner) if name in GROUPS)


def kinds(field: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for each in (field, *field.get("anyOf", ())) if each.get("type") in {"integer", "number"}]


def parts(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    for each in (field, *field.get("anyOf", ())):
        if "$ref" in each:
            inner: dict[str, Any] = definitions[each["$ref"].rpartition("/")[2]].get("properties", {})
            return inner
    return {}


def ends(kind: dict[str, Any]) -> Iterator[str]:
    """The least and the greatest that a schema allows."""
    is_whole = kind["type"] == "integer"
    for name, bound, towards in (
        ("minimum", kind.get("minimum"), None),
        ("exclusiveMinimum", kind.get("exclusiveMinimum"), math.inf),
        ("maximum", kind.get("maximum"), None),
        ("exclusiveMaximum", kind.get("exclusiveMaximum"), -math.inf),
    ):
        if bound is not None:
            yield repr(bound if towards is None else math.nextafter(bound, towards))
            assert not is_whole or towards is None, name


def with_number(path: Path, number: str) -> str:
    """A request that has it there, as JSON."""
    body: dict[str, Any] = {"prompt": "a", **BESIDE.get(path[0], {})}
    if len(path) == 1:
        body[path[0]] = HERE
    else:
        body[path[0]] = {**body.get(path[0], {}), **GROUPS[path[0]], path[1]: HERE}
    return json.dumps(body).replace(f'"{HERE}"', number)


NUMBERS = list(numbers())


def test_the_numbers_of_every_group_are_found() -> None:
    found = {".".join(path) for path, _ in NUMBERS}
    assert {"steps", "timeout_s", "init.strength", "hires.scale", "guidance.scale", "select.keep"} <= found
    assert len(found) > 45


@pytest.mark.parametrize(("path", "kind"), NUMBERS, ids=[".".join(path) for path, _ in NUMBERS])
def test_a_number_of_a_request_is_served_or_refused_by_its_name(
    client: TestClient, path: Path, kind: dict[str, Any]
) -> None:
    for number in (*ends(kind), *BEYOND):
        answer = client.post(
            "/v1/quote", content=with_number(path, number), headers={"Content-Type": "application/json"}
        )
        assert answer.status_code in {200, 422} or (answer.status_code == 400 and len(number) > 300), number
        if answer.status_code == 422:
            assert answer.json()["errors"], answer.text
        if answer.status_code == 422 and number in BEYOND:
            assert ".".join(path) in {error["field"] for error in answer.json()["errors"]} or not refused(
                kind, number
            ), answer.text
        assert len(answer.content) < 4000


def refused(kind: dict[str, Any], number: str) -> bool:
    """Whether the schema has no such number."""
    value = float(number.replace("Infinity", "inf"))
    if kind["type"] == "integer" and not value.is_integer():
        return True
    return not (
        kind.get("minimum", -math.inf) <= value <= kind.get("maximum", math.inf)
        and kind.get("exclusiveMinimum", -math.inf) < value < kind.get("exclusiveMaximum", math.inf)
    )


@pytest.mark.parametrize("number", [*BEYOND, "0", "true"])
@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/nights", {"request": {"prompt": "a"}, "hours": HERE}, "hours"),
        ("/v1/admin/keys", {"name": "a", "expires_in_s": HERE}, "expires_in_s"),
        ("/v1/admin/keys", {"name": "a", "quota": {"units_per_second": HERE}}, "quota.units_per_second"),
        ("/v1/admin/keys", {"name": "a", "quota": {"max_waiting": HERE}}, "quota.max_waiting"),
        ("/v1/controls/detect", {"image": PICTURE, "width": HERE}, "width"),
    ],
)
def test_so_is_one_of_a_night_a_key_a_quota_and_a_map(
    client: TestClient, path: str, body: dict[str, Any], field: str, number: str
) -> None:
    content = json.dumps(body).replace(f'"{HERE}"', number)
    answer = client.post(path, content=content, headers={"Content-Type": "application/json"})
    if field == "expires_in_s" and number == "1e308":
        number = "1e999"
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, [field])


@pytest.mark.parametrize("overlap_s", ["-5e-324", "1e999", "NaN", "false", "1e308"])
def test_so_is_the_overlap_of_a_key_that_is_rotated(client: TestClient, overlap_s: str) -> None:
    key = client.post("/v1/admin/keys", json={"name": "a"}).json()["id"]
    answer = client.post(
        f"/v1/admin/keys/{key}/rotate",
        content=f'{{"overlap_s": {overlap_s}}}',
        headers={"Content-Type": "application/json"},
    )
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "overlap_s")


def test_the_least_of_everything_is_served(client: TestClient) -> None:
    night = client.post("/v1/nights", json={"request": {"prompt": "a"}, "hours": MIN_HOURS})
    assert night.status_code == 201, night.text
    assert client.post("/v1/admin/keys", json={"name": "a", "expires_in_s": 1}).status_code == 201


def quotas() -> Iterator[dict[str, Any]]:
    for name, field in Quota.model_json_schema()["properties"].items():
        for kind in kinds(field):
            for end in ends(kind):
                yield {"burst_units": 1, "units_per_second": 1} | {name: json.loads(end)}


@pytest.mark.parametrize("quota", list(quotas()), ids=str)
def test_under_every_quota_that_can_be_set_submissions_and_usage_are_answered(
    client: TestClient, quota: dict[str, Any]
) -> None:
    assert client.put("/v1/admin/tenants/default", json={"quota": quota}).status_code == 200
    for _ in range(3):
        answer = client.post("/v1/jobs", json={"prompt": "a"})
        assert answer.status_code in {202, 422, 429}, answer.text
        if answer.status_code == 429:
            assert int(answer.headers["Retry-After"]) >= 1
    assert client.get("/v1/usage").status_code == 200
