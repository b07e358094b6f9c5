"""An API that asks for keys."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from redis import Redis
from starlette.testclient import TestClient

from app.api.main import create_app
from app.api.settings import ApiSettings
from jobs.callers.keys import KeyStore
from jobs.callers.record import new_record
from jobs.callers.scopes import SCOPES_OF, Role, Scope
from jobs.callers.secret import draw_key
from tests.app.conftest import LocalClient

MakeKey = Callable[..., str]


@pytest.fixture
def settings(settings: ApiSettings) -> ApiSettings:
    """Settings of an API that asks for keys."""
    return settings.model_copy(update={"auth": "keys"})


@pytest.fixture
def make_key(redis: Redis) -> MakeKey:
    """Make a key; its text."""

    def make(
        *scopes: Scope,
        role: Role = Role.CLIENT,
        tenant: str = "default",
        name: str = "farm",
        expires_in: timedelta | None = None,
    ) -> str:
        key = draw_key()
        wanted = tuple(scopes or SCOPES_OF[role])
        KeyStore(redis).add(new_record(key, tenant=tenant, name=name, scopes=wanted, expires_in=expires_in))
        return str(key)

    return make


@pytest.fixture
def key(make_key: MakeKey) -> str:
    """The key of a client."""
    return make_key()


@pytest.fixture
def operator(settings: ApiSettings, make_key: MakeKey) -> Iterator[TestClient]:
    """A client with an operator's key."""
    headers = {"Authorization": f"Bearer {make_key(role=Role.OPERATOR, name='boss')}"}
    with LocalClient(create_app(settings), headers=headers) as client:
        yield client
