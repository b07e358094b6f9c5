"""A TypeScript client that openapi-typescript makes of the API's description: it compiles, and it draws a picture."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from redis import Redis

from app.api.main import create_app
from app.api.settings import ApiSettings
from benchmarks.clients.environments import javascript_folder
from benchmarks.clients.roster import TYPESCRIPT
from jobs.queue.queue import JobQueue
from tests.app.api.dialects.conftest import BusyWorker
from tests.app.conftest import serving
from tests.app.played_worker import PlayedWorker

PAGE = Path(__file__).parents[3] / "docs" / "clients.md"
_CODE = re.compile(r"^```ts\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"^npx (openapi-typescript) \S+ (.*) -o lodestar\.d\.ts$", re.MULTILINE)


@pytest.fixture
def url(settings: ApiSettings, redis: Redis, worker: PlayedWorker) -> Iterator[str]:
    """Address of an API with a worker that makes every picture."""
    queue = JobQueue(redis, max_queued=5)
    with serving(create_app(settings)) as url, BusyWorker(queue, worker.succeed):
        yield url


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "NO_COLOR": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow("npm installs a compiler, and it compiles")
def test_the_client_of_the_page_compiles_and_draws(url: str, settings: ApiSettings, tmp_path: Path) -> None:
    if shutil.which("npm") is None and not os.environ.get("CI"):
        pytest.skip("needs npm")
    (tmp_path / "node_modules").symlink_to(javascript_folder(TYPESCRIPT) / "node_modules")
    for name in ("package.json", "tsconfig.json"):
        shutil.copy(TYPESCRIPT / name, tmp_path)
    (tmp_path / "openapi.json").write_text(json.dumps(create_app(settings).openapi()))
    page = PAGE.read_text()
    (generate,) = _COMMAND.findall(page)
    tools = tmp_path / "node_modules" / ".bin"
    run(tmp_path, str(tools / generate[0]), "openapi.json", *generate[1].split(), "-o", "lodestar.d.ts")
    types = (tmp_path / "lodestar.d.ts").read_text()
    loose = [line.strip() for line in types.splitlines() if re.search(r": (unknown|any)(;| \|)", line)]
    assert set(loose) == {"[name: string]: unknown;"}  # of the headers of answers
    (code,) = _CODE.findall(page)
    (tmp_path / "draw.ts").write_text(code.replace("http://127.0.0.1:8000", url))
    run(tmp_path, str(tools / "tsc"))
    seed, width, _ = run(tmp_path, "node", "draw.js").split()
    assert int(seed) >= 0
    with Image.open(tmp_path / "apple-0.png") as picture:
        assert (picture.width, picture.height) == (int(width), 64)
