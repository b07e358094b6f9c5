"""The service starts where it is put, and keeps what it makes there to itself."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from app.cli.demo import SEED
from tests.app.hostile_names import MOST_OF_THEM
from tests.integration.stack import PATIENCE_S, put_catalog


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with such a name, but not so long that the socket would lie elsewhere for that reason."""
    with tempfile.TemporaryDirectory(prefix="l-") as short:
        yield Path(short) / MOST_OF_THEM


def test_it_draws_in_a_folder_of_any_name_and_nobody_else_may_read_there(
    pocket_model: None, folder: Path
) -> None:
    (folder / "data").mkdir(parents=True)
    (folder / "data").chmod(0o755)  # as an earlier version left it
    put_catalog(folder)
    done = subprocess.run(
        [sys.executable, "-m", "app", "demo", "--once"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert str(folder / "demo.png") in done.stdout
    assert "curl -s http://127.0.0.1:" in done.stdout
    with Image.open(folder / "demo.png") as picture:
        picture.load()
        assert picture.size == (64, 64)
        assert f"Seed: {SEED}" in str(picture.info["parameters"])
    found = [path for path in (folder / "data", *(folder / "data").rglob("*")) if not path.is_symlink()]
    names = {path.name for path in found}
    assert {"artifacts", "0.png", "valkey", "api.log", "worker-1.log", "valkey.log"} <= names
    assert [str(path) for path in found if path.stat().st_mode & 0o077] == []
