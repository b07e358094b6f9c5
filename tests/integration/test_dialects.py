"""The examples of the documentation, run as they stand by the unmodified clients of other services."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.clients.pictures import write_pictures
from tests.integration.stack import PATIENCE_S, ROOT, Stack

_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", ["openai.md", "replicate.md", "a1111.md"])
def test_the_example_of_the_page_makes_pictures(stack: Stack, page: str, tmp_path: Path) -> None:
    blocks = _PYTHON.findall((ROOT / "docs" / page).read_text())
    assert blocks
    code = "\n".join(blocks)
    assert "8000" in code
    write_pictures(tmp_path)
    given = set(tmp_path.iterdir())
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code.replace("8000", str(stack.port))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "pocket" in done.stdout
    files = set(tmp_path.glob("*.png")) - given
    assert files
    for file in files:
        with Image.open(file) as picture:
            picture.load()
            assert (picture.format, picture.size) == ("PNG", (64, 64))
            assert "a red apple" in str(picture.info["parameters"])
