"""The real stack: `lodestar up` as a process of its own, with its Valkey, its API, its worker and the pocket model."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.stack.preflight import free_port
from tests.integration.collector import Collector
from tests.integration.stack import ROOT, Stack

StartStack = Callable[[Path], Stack]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.integration)
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def pocket_model() -> None:
    """Skips where the pocket model is missing, and fails in CI."""
    if not (ROOT / "models/pocket/model_index.json").exists():
        if os.environ.get("CI"):
            pytest.fail("models/pocket is missing")
        pytest.skip("needs models/pocket")


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """Receives the traces of the shared stack."""
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="session")
def shared_stack(
    pocket_model: None, tmp_path_factory: pytest.TempPathFactory, collector: Collector
) -> Iterator[Stack]:
    """One stack for all tests that leave it working; it tells all that it can of itself."""
    env = {**collector.env, "LODESTAR_METRICS_PORT": str(free_port("127.0.0.1"))}
    with Stack(tmp_path_factory.mktemp("shared"), env) as stack:
        yield stack


@pytest.fixture
def stack(shared_stack: Stack) -> Stack:
    """The shared stack, ready and with nothing to do."""
    shared_stack.settle()
    return shared_stack


@pytest.fixture
def start_stack(pocket_model: None) -> Iterator[StartStack]:
    """Start further stacks, on the data folders that are given."""
    with ExitStack() as stacks:
        yield lambda data_dir: stacks.enter_context(Stack(data_dir))
