"""A hub of our own, which huggingface_hub calls in this process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub_server import Hosted, Hub, hub_of_this_process
from worker.models.adding import downloading

POCKET = Path(__file__).parents[4] / "models" / "pocket"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """It serves the pocket model as ``acme/pocket``; its cache is empty."""
    monkeypatch.setattr(downloading, "PAUSE_S", 0.01)
    with hub_of_this_process(monkeypatch, tmp_path / "cache") as hub:
        hub.repositories["acme/pocket"] = Hosted(POCKET)
        yield hub
