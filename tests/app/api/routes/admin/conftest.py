"""An API that asks for keys."""

import pytest

from app.api.settings import ApiSettings


@pytest.fixture
def settings(settings: ApiSettings) -> ApiSettings:
    """Settings of an API that asks for keys."""
    return settings.model_copy(update={"auth": "keys"})
