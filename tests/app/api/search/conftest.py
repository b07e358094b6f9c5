from pathlib import Path

import pytest
from redis import Redis

from tests.app.api.search.studio import Studio


@pytest.fixture
def studio(redis: Redis, tmp_path: Path) -> Studio:
    """A studio with no pictures."""
    return Studio(redis, tmp_path)
