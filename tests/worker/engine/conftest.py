"""Networks for the properties of the engine's own arithmetic."""

import pytest

from jobs.catalog.catalog import Catalog
from tests.worker.tiny import tiny_models
from worker.models.registry import ModelRegistry


@pytest.fixture(scope="session")
def tiny(pocket_catalog: Catalog) -> ModelRegistry:
    """The catalog's first model and its CLIPs, as tiny networks of random weights."""
    return tiny_models(pocket_catalog)


@pytest.fixture(scope="session")
def models(untrained: ModelRegistry) -> ModelRegistry:
    """Networks of random weights, served as any others; what is in a picture is looked at with ``trained``."""
    return untrained
