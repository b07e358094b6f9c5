"""Tiny models, made once for all tests of samplers."""

from pathlib import Path

import pytest

from tests.worker.sampling.tiny import tiny_folder, tiny_registry
from worker.models.registry import ModelRegistry


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its folder."""
    return tiny_folder(tmp_path_factory.mktemp("tiny") / "tiny")


@pytest.fixture(scope="session")
def tiny_models(tiny: Path) -> ModelRegistry:
    """It, in a worker."""
    return tiny_registry(tiny)


@pytest.fixture(scope="session")
def models(untrained: ModelRegistry) -> ModelRegistry:
    """Networks of random weights; what is in a picture is looked at with ``trained``."""
    return untrained
