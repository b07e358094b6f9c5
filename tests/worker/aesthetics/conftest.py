"""The published heads and embeddings, which are not part of the project."""

from pathlib import Path

import pytest

PUBLISHED = Path(__file__).parents[4] / "shared" / "data" / "aesthetic"


@pytest.fixture(scope="session")
def published() -> Path:
    """The folder of published files; skips without it."""
    if not PUBLISHED.is_dir():
        pytest.skip("needs the published aesthetic files in ../shared/data/aesthetic")
    return PUBLISHED
