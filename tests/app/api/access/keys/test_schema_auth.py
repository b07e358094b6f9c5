"""Schemathesis' check: what the document says to need a key is refused without one, and with a bad one."""

from collections.abc import Iterator

import httpx
import pytest
import schemathesis
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import ignored_auth

from app.api.main import create_app
from app.api.settings import ApiSettings
from jobs.callers.scopes import Role
from tests.app.conftest import MakeKey, serving


@pytest.fixture
def url(settings: ApiSettings) -> Iterator[str]:
    """Address of an API that asks for keys."""
    with serving(create_app(settings), stop_timeout_s=1) as url:
        yield url


def test_no_operation_ignores_its_authentication(url: str, make_key: MakeKey) -> None:
    headers = {"Authorization": f"Bearer {make_key(role=Role.OPERATOR)}"}
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    checked = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        if operation.path == "/v1/events" or "security" not in operation.definition.raw:
            continue
        names = (parameter.name for parameter in operation.path_parameters)
        case = operation.Case(path_parameters=dict.fromkeys(names, "0"))
        answer = case.call(headers=headers, timeout=30)
        assert answer.status_code != 401, operation.label
        assert "missing_scope" not in answer.text
        case.validate_response(answer, checks=[ignored_auth], headers=headers)
        checked += 1
    assert checked > 25
    assert httpx.get(f"{url}/healthz").status_code == 200
