"""Every route says what it needs, and no other is served."""

import re
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from app.api.access.keys.needs import Need, is_declared, need_of, needs, needs_key, public
from app.api.intake.intake import IntakeRoute
from app.api.main import NOUNS, create_app
from app.api.settings import ApiSettings
from jobs.callers.scopes import SCOPES_OF, Role, Scope
from tests.app.conftest import LocalClient, MakeKey

PUBLIC = {
    "/",
    "/dashboard",
    "/dashboard/",
    "/docs",
    "/errors",
    "/errors/{name}",
    "/healthz",
    "/internal/ping",
    "/login",
    "/logout",
    "/readyz",
    "/v1/signed-images/{job_id}/{name}",
}


def routes() -> Iterator[APIRoute]:
    for noun in NOUNS:
        for route in noun.router.routes:
            assert isinstance(route, APIRoute)
            yield route


def test_every_route_declares_what_it_needs() -> None:
    undeclared = [route.path for route in routes() if not is_declared(route.endpoint)]
    assert undeclared == []


def test_these_routes_and_no_others_are_public() -> None:
    assert {route.path for route in routes() if need_of(route.endpoint).is_public} == PUBLIC


def test_every_scope_opens_something() -> None:
    used = set().union(*(need_of(route.endpoint).scopes for route in routes()))
    assert set(Scope) - used == {Scope.ADMIN_JOBS}  # which widens what the others show


def test_a_route_that_declares_nothing_opens_to_no_one_but_operators(
    settings: ApiSettings, make_key: MakeKey
) -> None:
    app: FastAPI = create_app(settings)

    async def forgotten() -> None:
        """Nothing is declared here."""

    app.router.routes.insert(0, IntakeRoute("/v1/forgotten", forgotten, methods=["GET"]))
    client = LocalClient(app)
    assert client.get("/v1/forgotten").status_code == 401
    headers = {"Authorization": f"Bearer {make_key()}"}
    assert client.get("/v1/forgotten", headers=headers).status_code == 403


def test_a_mark_says_what_is_needed() -> None:
    def one() -> None: ...
    def two() -> None: ...
    def three() -> None: ...

    assert need_of(needs(Scope.SEARCH)(one)) == Need(frozenset({Scope.SEARCH}))
    assert need_of(needs_key(two)) == Need()
    assert need_of(public(three)).is_public


@pytest.mark.parametrize("role", Role)
def test_a_key_reaches_exactly_the_routes_of_its_scopes(
    client: TestClient, make_key: MakeKey, role: Role
) -> None:
    headers = {"Authorization": f"Bearer {make_key(role=role)}"}
    for route in routes():
        need = need_of(route.endpoint)
        path = re.sub(r"\{[^}]*\}", "0", route.path)
        for method in route.methods or ():
            if path == "/v1/events" and need.scopes <= SCOPES_OF[role]:
                continue  # it has no end
            answer = client.request(method, path, headers=headers)
            is_refused = "missing_scope" in answer.text and answer.status_code == 403
            assert is_refused is bool(need.scopes - SCOPES_OF[role]), (method, path, answer.text)
            assert answer.status_code != 401


def test_the_document_says_what_is_needed(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    paths = document["paths"]
    assert "security" not in paths["/healthz"]["get"]
    assert paths["/v1/jobs"]["get"]["security"] == [{"bearer": []}, {"header": []}]
    assert "401" in paths["/v1/jobs"]["get"]["responses"]
    assert set(document["components"]["securitySchemes"]) == {"bearer", "header"}
