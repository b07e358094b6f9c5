"""An API that asks for keys."""

import pytest

from app.api.settings import ApiSettings
from tests.app.conftest import MakeKey


@pytest.fixture
def settings(settings: ApiSettings) -> ApiSettings:
    """Settings of an API that asks for keys."""
    return settings.model_copy(update={"auth": "keys"})


@pytest.fixture
def key(make_key: MakeKey) -> str:
    """The key of a client."""
    return make_key()
