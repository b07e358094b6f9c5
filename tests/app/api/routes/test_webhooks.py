"""The secret of webhooks is told over HTTP only where the operator wants that."""

import pytest
from starlette.testclient import TestClient

from app.api.main import create_app
from app.api.settings import ApiSettings
from tests.app.conftest import LocalClient

PATHS = ["/v1/webhooks/secret", "/v1/webhooks/default/secret"]


@pytest.mark.parametrize("path", PATHS)
def test_it_is_not_told_by_default(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 403
    assert answer.json()["type"] == "/errors/secret_not_served"
    assert "lodestar webhook-secret" in answer.json()["detail"]
    assert "whsec_" not in answer.text


@pytest.mark.parametrize("path", PATHS)
def test_it_is_told_where_the_operator_wants_that_and_kept_by_no_cache(
    settings: ApiSettings, path: str
) -> None:
    client = LocalClient(create_app(settings.model_copy(update={"serve_webhook_secret": True})))
    answer = client.get(path)
    assert answer.json()["key"].startswith("whsec_")
    assert answer.headers["Cache-Control"] == "no-store"
