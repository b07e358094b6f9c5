"""An API as the chart's objects should meet it."""

from typing import Any

import pytest

from app.api.main import create_app
from app.api.settings import ApiSettings
from tests.deploy.dockerfile import ROOT


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The routes of an API, as it describes them."""
    folder = tmp_path_factory.mktemp("api")
    settings = ApiSettings(
        redis_url="unix:///nowhere/valkey.sock", models_file=ROOT / "models.toml", artifacts_url=str(folder)
    )
    described: dict[str, Any] = create_app(settings).openapi()["paths"]
    return described
