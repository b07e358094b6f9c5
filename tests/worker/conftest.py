"""The pocket models, loaded once for all tests of the worker."""

from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.catalog.catalog import Catalog, load_catalog
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.resolve.request import resolve
from tests.worker.presets import at_every_step
from tests.worker.tiny import POCKET, tiny_models
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.settings import WorkerSettings

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def pocket_catalog() -> Catalog:
    """The catalog that ships with the project."""
    return load_catalog(ROOT / "models.toml")


@pytest.fixture(scope="session")
def trained(pocket_catalog: Catalog) -> ModelRegistry:
    """The shipped models on the CPU."""
    return ModelRegistry(pocket_catalog, Device(WorkerSettings(device="cpu", dtype="fp32")))


@pytest.fixture(scope="session")
def untrained(pocket_catalog: Catalog) -> ModelRegistry:
    """The same catalog's, with latents of the same shape, as tiny networks of random weights: a call costs a tenth."""
    return tiny_models(pocket_catalog, POCKET)


@pytest.fixture(scope="session")
def models(trained: ModelRegistry) -> ModelRegistry:
    """Those that most tests of a room take: ``untrained`` where the contents of pictures say nothing."""
    return trained


@pytest.fixture(scope="session")
def ask(pocket_catalog: Catalog) -> Callable[..., ResolvedRequest]:
    """Resolve a request for the pocket model from keyword arguments; short and seeded unless they say otherwise."""

    def asked(**fields: object) -> ResolvedRequest:
        defaults = {"prompt": "a red apple on a light blue background", "steps": 4, "seed": 7}
        return resolve(GenerateRequest.model_validate(defaults | at_every_step(fields)), pocket_catalog)

    return asked
