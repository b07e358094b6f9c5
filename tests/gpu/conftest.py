"""Everything in this folder needs a CUDA device: it skips without one, unless `make test-gpu` promises one."""

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.gpu)


@pytest.fixture(autouse=True, scope="session")
def cuda() -> None:
    import torch

    if torch.cuda.is_available():
        return
    if os.environ.get("LODESTAR_TEST_GPU"):
        pytest.fail("PyTorch sees no CUDA device")
    pytest.skip("needs a CUDA device")
