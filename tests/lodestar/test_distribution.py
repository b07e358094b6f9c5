"""The package as people install it, but for the installation: tests/integration/test_installed_client.py does that."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lodestar.hatch_build import gather

ROOT = Path(__file__).parents[2]
SERVICE = {"app", "fastapi", "jobs", "redis", "rq", "starlette", "torch", "worker"}

_LOOK = """
import json, pkgutil, sys
import lodestar
names = [module.name for module in pkgutil.walk_packages(lodestar.__path__, "lodestar.")]
for name in names:
    __import__(name)
loaded = {name.partition(".")[0] for name in sys.modules}
print(json.dumps([sorted(loaded), lodestar.Job.__module__, lodestar.GenerateRequest.__module__, names]))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package, as a wheel brings it."""
    folder = tmp_path_factory.mktemp("site")
    gather(ROOT, folder / "lodestar")
    return folder


def test_every_module_of_it_loads_without_the_service(site: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(site)!r})\n{_LOOK}"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={"PATH": "/usr/bin:/bin"},
        cwd=site,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded, home_of_jobs, home_of_requests, names = json.loads(done.stdout)
    assert SERVICE & set(loaded) == set()
    assert home_of_jobs == "lodestar._jobs.status.job"
    assert home_of_requests == "lodestar._jobs.requests.request"
    assert "lodestar.hatch_build" not in names


def test_what_is_shipped_is_declared_once(site: Path) -> None:
    """A shipped module differs from the service's own in the names of its imports alone."""
    shipped = sorted((site / "lodestar" / "_jobs").rglob("*.py"))
    assert len(shipped) > 15
    for file in shipped:
        own = (ROOT / "jobs" / file.relative_to(site / "lodestar" / "_jobs")).read_text()
        assert file.read_text().replace("from lodestar._jobs.", "from jobs.") == own, file


@pytest.mark.parametrize("line", ["import jobs.wire", "NAME = 'jobs.wire'", "from jobs import wire"])
def test_a_name_that_would_break_there_is_refused(tmp_path: Path, line: str) -> None:
    for name in ("lodestar", "jobs"):
        (tmp_path / name).mkdir()
    (tmp_path / "lodestar" / "odd.py").write_text(f"{line}\n")
    with pytest.raises(ValueError, match=r"odd\.py"):
        gather(tmp_path, tmp_path / "site")
