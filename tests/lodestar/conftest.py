"""The client, of an API behind real HTTP and a worker that this process plays."""

from collections.abc import Iterator

import pytest

from app.api.main import create_app
from app.api.settings import ApiSettings
from lodestar.client import Client
from tests.app.cli.conftest import queue as queue
from tests.app.cli.conftest import url as url
from tests.app.conftest import artifacts as artifacts
from tests.app.conftest import run as run
from tests.app.conftest import serving
from tests.app.conftest import settings as settings
from tests.app.conftest import worker as worker


@pytest.fixture
def api(settings: ApiSettings) -> Iterator[Client]:
    """Our client."""
    with serving(create_app(settings)) as url, Client(url) as client:
        yield client
