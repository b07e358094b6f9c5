"""A worker process that cannot start says why in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.worker.conftest import ROOT


def start(**env: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m worker`` to its end."""
    settings = {
        "LODESTAR_MODELS_FILE": str(ROOT / "models.toml"),
        "LODESTAR_REDIS_URL": "unix:///nowhere.sock",
    }
    return subprocess.run(
        [sys.executable, "-m", "worker"],
        cwd=ROOT,
        env={**os.environ, **settings, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LODESTAR_CAPACITY", "0", "LODESTAR_CAPACITY"),
        ("LODESTAR_DTYPE", "fp8", "LODESTAR_DTYPE"),
        ("LODESTAR_MODELS_FILE", "/nowhere.toml", "/nowhere.toml"),
    ],
)
def test_a_wrong_setting_is_one_line_and_status_78(name: str, value: str, said: str) -> None:
    ended = start(**{name: value})
    assert ended.returncode == 78
    (line,) = ended.stderr.splitlines()
    assert said in line


def test_a_redis_that_is_not_there_is_one_line_and_status_1() -> None:
    ended = start()
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "Redis" in line


def test_a_model_folder_that_is_missing_is_one_line_that_names_it(tmp_path: Path) -> None:
    catalog = tmp_path / "models.toml"
    catalog.write_text((ROOT / "models.toml").read_text())
    ended = start(LODESTAR_MODELS_FILE=str(catalog))
    assert ended.returncode == 78
    (line,) = ended.stderr.splitlines()
    assert str(tmp_path / "models" / "pocket") in line
